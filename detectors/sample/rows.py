"""Window rows as they came: the summary of whatever needs the rows themselves.

Merging puts them one after another. Their order means nothing, so whoever reads them takes them in one order that
depends on the rows alone; only so is merging commutative in effect, and a seeded choice among them repeatable.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Rows, frozen
from detectors.identity import refuse_other

Positions = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class RowSample:
    """Rows, in no order that means anything."""

    reference_digest: str
    rows: Rows
    """Shape (rows, features), read-only."""

    @property
    def count(self) -> int:
        """Rows summarised."""
        return len(self.rows)

    def __add__(self, other: Self, /) -> Self:
        refuse_other(self.reference_digest, other)
        return type(self)(self.reference_digest, frozen(np.concatenate([self.rows, other.rows])))

    def __eq__(self, other: object, /) -> bool:
        if not isinstance(other, RowSample):
            return NotImplemented
        return self.reference_digest == other.reference_digest and np.array_equal(
            in_canonical_order(self.rows), in_canonical_order(other.rows)
        )

    def __hash__(self) -> int:
        return hash((self.reference_digest, self.count))


def of(reference_digest: str, rows: Rows) -> RowSample:
    """A copy of the rows: the caller may go on writing into theirs."""
    return RowSample(reference_digest, frozen(rows.copy()))


def in_canonical_order(rows: Rows) -> Rows:
    """By the first feature, equals by the second, and so on."""
    return rows[_canonical_order(rows)]


def at_most(rows: Rows, limit: int, seed: tuple[int, ...]) -> Positions:
    """Where the rows are in canonical order; of more than `limit`, a random choice that rows and seed determine."""
    order = _canonical_order(rows)
    if len(order) <= limit:
        return order
    chosen = np.random.default_rng(seed).choice(len(order), limit, replace=False, shuffle=False)
    return order[np.sort(chosen)]


def _canonical_order(rows: Rows) -> Positions:
    order: Positions = np.argsort(rows[:, 0], kind="stable")
    first = rows[order, 0]
    if (first[1:] == first[:-1]).any():  # rare for continuous features, and many times as much work
        order = np.lexsort(rows.T[::-1])
    return order
