"""Window rows as they came: the summary of whatever needs the rows themselves.

Merging puts them one after another. Their order means nothing, so whoever reads them takes them in one order that
depends on the rows alone; only so is merging commutative in effect, and a seeded choice among them repeatable. A row
with a missing value cannot be compared with another, and is only counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Rows, complete, frozen, measurable_rows
from detectors.errors import InvalidDocument
from detectors.identity import refuse_other

Positions = NDArray[np.intp]

_MOST_MISSING = 2**53


@dataclass(frozen=True, slots=True, eq=False)
class RowSample:
    """Rows, in no order that means anything."""

    reference_digest: str
    rows: Rows
    """Those without a missing value, shape (rows, features), read-only."""
    missing: int = 0
    """Rows with a missing value."""

    @property
    def count(self) -> int:
        """Rows summarised."""
        return len(self.rows) + self.missing

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        return {"missing": np.array(self.missing, dtype=np.int64), "rows": self.rows}

    def __add__(self, other: Self, /) -> Self:
        refuse_other(self.reference_digest, other)
        merged = frozen(np.concatenate([self.rows, other.rows]))
        return type(self)(self.reference_digest, merged, self.missing + other.missing)

    def __eq__(self, other: object, /) -> bool:
        if not isinstance(other, RowSample):
            return NotImplemented
        return (
            self.reference_digest == other.reference_digest
            and self.missing == other.missing
            and np.array_equal(in_canonical_order(self.rows), in_canonical_order(other.rows))
        )

    def __hash__(self) -> int:
        return hash((self.reference_digest, self.count, self.missing))


def of(reference_digest: str, rows: Any, features: int) -> RowSample:
    """The sample of these rows, in a copy: the caller may go on writing into theirs; raises `InvalidRows`."""
    measurable = measurable_rows(rows, features=features)
    kept = complete(measurable)
    return RowSample(reference_digest, frozen(kept.copy()), len(measurable) - len(kept))


def restored(reference_digest: str, features: int, arrays: Mapping[str, NDArray[Any]]) -> RowSample:
    """What `RowSample.arrays` gave; raises `InvalidDocument`."""
    if arrays.keys() != {"missing", "rows"}:
        raise InvalidDocument(f"a sample of rows holds missing and rows, not {sorted(arrays)}")
    rows, missing = arrays["rows"], arrays["missing"]
    if rows.dtype != np.float64 or rows.ndim != 2 or rows.shape[1] != features:
        raise InvalidDocument(f"the rows are {rows.dtype} of shape {rows.shape}, not float64 with {features} features")
    if missing.dtype != np.int64 or missing.shape != () or not 0 <= missing <= _MOST_MISSING:
        raise InvalidDocument("the count of missing rows is no count")
    if not np.isfinite(rows).all():
        raise InvalidDocument("a sample holds complete, finite rows only")
    return RowSample(reference_digest, frozen(rows.copy()), int(missing))


def in_canonical_order(rows: Rows) -> Rows:
    """By the first feature, equals by the second, and so on."""
    return rows[_canonical_order(rows)]


def at_most(rows: Rows, limit: int, stream: tuple[int, ...]) -> Positions:
    """Where the rows are in canonical order; of more than `limit`, a random choice that rows and stream determine."""
    order = _canonical_order(rows)
    if len(order) <= limit:
        return order
    generator = np.random.default_rng(seed_of(stream, rows))
    return order[np.sort(generator.choice(len(order), limit, replace=False, shuffle=False))]


def seed_of(stream: tuple[int, ...], *parts: Rows) -> tuple[int, ...]:
    """A seed for a stream of random numbers, of the stream's own and of the rows in each part, whatever their order.

    Of the stream's own alone, it would always be the same ranks of the first feature that are drawn: then one seed
    would raise the same false alarm again and again, and another hide drift for ever. A p-value is what it says on the
    average over all draws.
    """
    content = sha256()
    for rows in parts:
        canonical = in_canonical_order(rows) + 0.0  # without negative zeros: they are equal to the others
        content.update(canonical.data)
    return *stream, int.from_bytes(content.digest(), "little")


def _canonical_order(rows: Rows) -> Positions:
    order: Positions = np.argsort(rows[:, 0], kind="stable")
    first = rows[order, 0]
    if (first[1:] == first[:-1]).any():  # rare for continuous features, and many times as much work
        order = np.lexsort(rows.T[::-1])
    return order
