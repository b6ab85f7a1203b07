"""What is counted together: for each feature some categories, or intervals that cover the whole line.

A category is a number, whatever it codes: -0.0 and 0.0 are one. Intervals are cut at quantiles of the reference, at
values that it holds, so that they depend on its order alone and every one of them has a reference row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Rows, frozen
from detectors.errors import InvalidRows, TooFewRows

Values = NDArray[np.float64]

MAXIMUM_CATEGORIES = 1000
"""Of one feature in the reference: with more, it is a number or a name rather than a category."""
MAXIMUM_UNSEEN = 1024
"""Categories of one feature that the reference does not have and that are still told apart."""
MAXIMUM_BINS = 1000

_ROWS_IN_A_BIN = 5  # fewer than these on average, and no chi-square law holds


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """The cells of every feature, all in a row."""

    values: Values
    """Ascending within each feature: the categories, or the upper ends of intervals, the last of which is infinite."""
    owners: NDArray[np.intp]
    """For each cell, its feature."""
    starts: NDArray[np.intp]
    """Shape (features + 1,): where each feature's cells start."""
    covering: NDArray[np.bool_]
    """Shape (features,): the cells are intervals, and every number is in one of them."""
    told_apart: int
    """Numbers in no cell of a feature that are told apart; of the others only the rows are counted."""

    @classmethod
    def of(cls, values: Sequence[Values], covering: Sequence[bool], told_apart: int = 0) -> Self:
        """One ascending array for each feature; it may be empty."""
        lengths = np.array([len(each) for each in values], dtype=np.intp)
        return cls(
            values=frozen(np.concatenate([*values, np.empty(0)])),
            owners=frozen(np.repeat(np.arange(len(values)), lengths)),
            starts=frozen(np.concatenate([[0], np.cumsum(lengths)]).astype(np.intp)),
            covering=frozen(np.array(covering, dtype=np.bool_)),
            told_apart=told_apart,
        )

    @property
    def features(self) -> int:
        """Columns of the reference."""
        return len(self.covering)

    def of_feature(self, feature: int) -> Values:
        """The values of its cells."""
        return self.values[self.starts[feature] : self.starts[feature + 1]]


def measured_columns(rows: Rows) -> list[Values]:
    """The values of each feature that are not missing; raises `TooFewRows` where there is no row at all."""
    if not len(rows):
        raise TooFewRows("no reference rows, and at least 1 is needed")
    columns = np.ascontiguousarray(rows.T)
    return [column[~np.isnan(column)] for column in columns]


def categories(columns: Sequence[Values], told_apart: int) -> Cells:
    """A cell for every distinct value; raises `InvalidRows` for more than `MAXIMUM_CATEGORIES` of one feature."""
    distinct = [np.unique(column) for column in columns]
    for feature, values in enumerate(distinct):
        if len(values) > MAXIMUM_CATEGORIES:
            found = f"column {feature} has {len(values)} distinct values, and at most {MAXIMUM_CATEGORIES} categories"
            raise InvalidRows(f"{found} are taken; use population_stability_index with bins, or a rank test")
    return Cells.of(distinct, [False] * len(distinct), told_apart)


def cells_of(rows: Rows, bins: int | None) -> Cells:
    """Intervals, or categories where `bins` is None."""
    columns = measured_columns(rows)
    return categories(columns, MAXIMUM_UNSEEN) if bins is None else intervals(columns, bins)


def intervals(columns: Sequence[Values], bins: int) -> Cells:
    """Equally frequent intervals, at most `bins` of them, with 5 reference rows each.

    A feature of no more distinct values than `bins`, each of them twice on average, is taken by its values, so that
    what moves off them is seen: between intervals it would not be. So is one that never varied.
    """
    values, covering = [], []
    for column in columns:
        distinct = np.unique(column)
        few = 0 < len(distinct) <= max(1, min(bins, len(column) // 2))
        values.append(distinct if few else _upper_ends(np.sort(column), distinct, bins))
        covering.append(not few)
    return Cells.of(values, covering, MAXIMUM_UNSEEN)


def _upper_ends(ordered: Values, distinct: Values, bins: int) -> Values:
    """Quantiles, and infinity; there is a value above the last quantile, however many are equal to the largest."""
    count = len(ordered)
    if not count:
        return np.array([np.inf])
    wanted = max(2, min(bins, count // _ROWS_IN_A_BIN))
    quantiles = ordered[-(-count * np.arange(1, wanted) // wanted) - 1]
    return np.append(np.unique(np.minimum(quantiles, distinct[-2])), np.inf)
