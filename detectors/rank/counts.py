"""Where window rows fall among the values of a fixed reference: all that a rank test needs, and it merges without loss.

The K distinct reference values of a feature cut the line into 2K+1 cells: cell 2k+1 is the k-th value itself, cell 2k
the gap below it. Between two reference values the reference's distribution is flat, so within a gap the order does not
matter, and a window is described by the sorted cell numbers of its rows. Those are integers: merging is exact.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Rows, frozen
from detectors.identity import refuse_other
from detectors.rank.search import Knots


@dataclass(frozen=True, slots=True, eq=False)
class RankReference:
    """The reference's values in order, and its distribution function at them."""

    digest: str
    count: int
    knots: Knots
    """The distinct values of every feature."""
    fractions: NDArray[np.float64]
    """For all features in a row, K+1 entries each: the fraction of reference rows below the k-th distinct value."""
    untied: bool
    """No feature has a value twice, so that the k-th fraction is k / count."""
    offsets: NDArray[np.intp]
    """Shape (features, 1): where each feature's fractions start."""

    @property
    def features(self) -> int:
        """Columns of the reference."""
        return len(self.offsets)

    def fraction_below(self, cells: NDArray[np.int32], features: slice) -> NDArray[np.float64]:
        """Fraction of reference rows strictly below each cell of these features, shape (these features, rows)."""
        return self._fraction(cells[features] >> 1, features)

    def fraction_not_above(self, cells: NDArray[np.int32], features: slice) -> NDArray[np.float64]:
        """Fraction of reference rows in or below each cell of these features, shape (these features, rows)."""
        return self._fraction((cells[features] + 1) >> 1, features)

    def _fraction(self, values: NDArray[np.int32], features: slice) -> NDArray[np.float64]:
        if self.untied:  # dividing costs less than looking up, and gives the same bits
            return values / self.count
        return np.take(self.fractions, values + self.offsets[features])


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """The sorted cells of the rows summarised."""

    reference_digest: str
    cells: NDArray[np.int32]
    """Shape (features, rows), ascending along the rows, read-only."""

    @property
    def count(self) -> int:
        """Rows summarised."""
        return int(self.cells.shape[1])

    def __add__(self, other: Self, /) -> Self:
        refuse_other(self.reference_digest, other)
        merged = np.concatenate([self.cells, other.cells], axis=1)
        merged.sort(axis=1)
        return type(self)(self.reference_digest, frozen(merged))

    def __eq__(self, other: object, /) -> bool:
        if not isinstance(other, Counts):
            return NotImplemented
        return self.reference_digest == other.reference_digest and np.array_equal(self.cells, other.cells)

    def __hash__(self) -> int:
        return hash((self.reference_digest, self.cells.tobytes()))


def fit(digest: str, rows: Rows) -> RankReference:
    """Sort every feature and count its distinct values."""
    ordered = np.sort(np.ascontiguousarray(rows.T), axis=1)
    first = np.ones(ordered.shape, dtype=np.bool_)  # the first of its equals
    np.not_equal(ordered[:, 1:], ordered[:, :-1], out=first[:, 1:])
    lengths = first.sum(axis=1)
    below = np.concatenate([np.append(np.flatnonzero(here), len(rows)) for here in first])
    offsets = np.cumsum(lengths + 1) - (lengths + 1)
    return RankReference(
        digest=digest,
        count=len(rows),
        knots=Knots.of([values[here] for values, here in zip(ordered, first, strict=True)]),
        fractions=frozen(below / len(rows)),
        untied=bool(first.all()),
        offsets=frozen(offsets.reshape(-1, 1)),
    )


def empty(reference: RankReference) -> Counts:
    """The counts of no rows."""
    return Counts(reference.digest, frozen(np.empty((reference.features, 0), dtype=np.int32)))


def summarise(reference: RankReference, rows: Rows) -> Counts:
    """Sort the rows of each feature and find their cells."""
    ordered = np.ascontiguousarray(rows.T)
    if ordered.base is not None:  # one feature: the transpose was already contiguous, and it is not ours to sort
        ordered = ordered.copy()
    ordered.sort(axis=1)
    return Counts(reference.digest, frozen(reference.knots.cells(ordered)))
