"""Where values fall among a fixed reference's, feature by feature, as integers.

The K distinct reference values of a feature cut the line into 2K+1 cells: cell 2k+1 is the k-th value itself, cell 2k
the gap below it. A missing value is in cell -1.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Rows, frozen
from detectors.errors import InvalidDocument

Cells = NDArray[np.int32]
Integers = NDArray[np.int64]

MISSING = -1


@dataclass(frozen=True, slots=True, eq=False)
class RankTable:
    """The reference's distribution function."""

    knots: NDArray[np.float64]
    """The distinct values of every feature, ascending, for all features in a row."""
    below: Cells
    """For all features in a row, K+1 entries each: values below the k-th distinct one."""
    starts: Integers
    """Shape (features + 1,): where each feature's knots start. Its entries in `below` start one later per feature."""
    counts: Integers
    """Shape (features,): values that are not missing."""

    @classmethod
    def of(cls, rows: Rows) -> Self:
        """Of the reference rows, shape (rows, features)."""
        knots, below, counts = [], [], []
        for column in rows.T:
            values, repeated = np.unique(column[~np.isnan(column)], return_counts=True)
            knots.append(values)
            below.append(np.concatenate([[0], np.cumsum(repeated)]))
            counts.append(int(repeated.sum()))
        starts = np.cumsum([0, *map(len, knots)])
        return cls(
            frozen(np.concatenate(knots)),
            frozen(np.concatenate(below).astype(np.int32)),
            frozen(starts.astype(np.int64)),
            frozen(np.array(counts, dtype=np.int64)),
        )

    @property
    def features(self) -> int:
        """Columns of the reference."""
        return len(self.counts)

    def cells(self, rows: Rows) -> Cells:
        """Shape (features, rows)."""
        cells = np.empty(rows.shape[::-1], dtype=np.int32)
        for feature in range(self.features):
            values, knots = rows[:, feature], self.knots[self.starts[feature] : self.starts[feature + 1]]
            place = np.searchsorted(knots, values)
            equal = np.zeros(len(values), dtype=np.bool_)
            if len(knots):
                equal = knots[np.minimum(place, len(knots) - 1)] == values
            cells[feature] = np.where(np.isnan(values), MISSING, 2 * place + equal)
        return cells

    def below_of(self, features: slice) -> Integers:
        """Shape (features, 1): where the entries of `below` start for these features."""
        return (self.starts[:-1] + np.arange(self.features))[features, None]

    def refuse_other_cells(self, name: str, cells: NDArray[Any]) -> None:
        """Raise `InvalidDocument` unless every cell, shape (features, anything), is one of this table's or -1."""
        highest = 2 * np.diff(self.starts)[:, None]
        if not ((cells >= MISSING) & (cells <= highest)).all():
            raise InvalidDocument(f"{name}: there are no such cells in the reference")
