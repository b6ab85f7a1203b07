"""How many window values are in each cell, and how many in none: all that a frequency test needs, merged exactly.

Numbers that are in no cell of their feature are told apart up to a limit: the k smallest of them are kept with their
counts, and of the others only the rows are counted. That merges without loss although it is bounded. A number among the
k smallest of all rows together is among the k smallest of every part that holds it, so no part ever let it go and its
count is complete; and a number that some part let go has k smaller ones and is not kept in the end either. What is kept
is thus a function of the rows alone, in whatever order and grouping they were merged.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Rows, frozen, measurable_rows
from detectors.errors import InvalidDocument
from detectors.frequency.cells import Cells
from detectors.identity import refuse_other

Integers = NDArray[np.int64]

_MOST_ROWS = 2**48  # of a document: exact as float64, and thousands of such documents still add up within int64

_DTYPES = {
    "count": np.int64,
    "known": np.int64,
    "missing": np.int64,
    "others": np.int64,
    "unseen_counts": np.int64,
    "unseen_features": np.int32,
    "unseen_values": np.float64,
}


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """Rows by feature and cell; integers, so that merging is exact."""

    reference_digest: str
    told_apart: int
    """See `Cells`."""
    count: int
    """Rows summarised."""
    missing: Integers
    """Shape (features,): values that are missing."""
    known: Integers
    """For each cell of the reference, the values in it."""
    others: Integers
    """Shape (features,): values in no cell and not told apart."""
    unseen_features: NDArray[np.int32]
    """For each number told apart, its feature, ascending."""
    unseen_values: NDArray[np.float64]
    """These numbers, ascending within each feature."""
    unseen_counts: Integers
    """How often each occurs."""

    @property
    def measured(self) -> Integers:
        """Shape (features,): values that are not missing."""
        return self.count - self.missing

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        held = {name: getattr(self, name) for name in _DTYPES}
        return held | {"count": np.array(self.count, dtype=np.int64)}

    def __add__(self, other: Self, /) -> Self:
        refuse_other(self.reference_digest, other)
        return type(self)(
            self.reference_digest,
            self.told_apart,
            self.count + other.count,
            frozen(self.missing + other.missing),
            frozen(self.known + other.known),
            *_gathered(
                np.concatenate([self.unseen_features, other.unseen_features]),
                np.concatenate([self.unseen_values, other.unseen_values]),
                np.concatenate([self.unseen_counts, other.unseen_counts]),
                self.others + other.others,
                self.told_apart,
            ),
        )

    def __eq__(self, other: object, /) -> bool:
        if not isinstance(other, Counts):
            return NotImplemented
        return all(np.array_equal(getattr(self, each.name), getattr(other, each.name)) for each in fields(self))

    def __hash__(self) -> int:
        return hash((self.reference_digest, self.count, self.known.tobytes(), self.unseen_values.tobytes()))


def empty(digest: str, cells: Cells) -> Counts:
    """The counts of no rows."""
    return of(digest, cells, np.empty((0, cells.features)))


def summarise(digest: str, cells: Cells, rows: Any) -> Counts:
    """Count these rows; raises `InvalidRows`."""
    return of(digest, cells, measurable_rows(rows, features=cells.features))


def of(digest: str, cells: Cells, rows: Rows) -> Counts:
    """Count rows that were checked."""
    columns = np.ascontiguousarray(rows.T)
    missing = np.isnan(columns)
    known = np.zeros(len(cells.values), dtype=np.int64)
    stray = np.zeros(columns.shape, dtype=np.bool_)
    for feature, numbers in enumerate(columns):
        values = cells.of_feature(feature)
        place = values.searchsorted(numbers)
        if cells.covering[feature]:
            found = ~missing[feature]
        else:  # the infinity equals no number, and stands for a place behind the last category
            found = np.append(values, np.inf)[place] == numbers
            stray[feature] = ~(found | missing[feature])
        here = slice(cells.starts[feature], cells.starts[feature + 1])
        known[here] = np.bincount(place[found], minlength=len(values))
    features, positions = np.nonzero(stray)
    return Counts(
        digest,
        cells.told_apart,
        len(rows),
        frozen(missing.sum(axis=1, dtype=np.int64)),
        frozen(known),
        *_gathered(
            features.astype(np.int32),
            columns[features, positions] + 0.0,  # no -0.0: equal summaries have equal bits
            np.ones(len(features), dtype=np.int64),
            np.zeros(cells.features, dtype=np.int64),
            cells.told_apart,
        ),
    )


def in_one_cell(digest: str, missing: Integers, inside: Integers, outside: Integers) -> Counts:
    """The counts of features with one cell each, outside which nothing is told apart."""
    count = int(missing[0] + inside[0] + outside[0])
    nothing = _gathered(np.empty(0, dtype=np.int32), np.empty(0), np.empty(0, dtype=np.int64), outside, 0)
    return Counts(digest, 0, count, frozen(missing), frozen(inside), *nothing)


def restored(digest: str, cells: Cells, arrays: Mapping[str, NDArray[Any]]) -> Counts:
    """What `Counts.arrays` gave; raises `InvalidDocument`."""
    _refuse_other_shapes(cells, arrays)
    held = {name: frozen(array.copy()) for name, array in arrays.items() if name != "count"}
    counts = Counts(reference_digest=digest, told_apart=cells.told_apart, count=int(arrays["count"]), **held)
    integers = (arrays["count"], counts.missing, counts.known, counts.others, counts.unseen_counts)
    if any(((each < 0) | (each > _MOST_ROWS)).any() for each in integers) or (counts.unseen_counts == 0).any():
        raise InvalidDocument("a count is no count")
    _refuse_odd_unseen(cells, counts)
    totals = counts.missing + counts.others
    np.add.at(totals, cells.owners, counts.known)
    np.add.at(totals, counts.unseen_features, counts.unseen_counts)
    if (totals != counts.count).any():
        raise InvalidDocument(f"the values of a feature do not add up to {counts.count} rows")
    return counts


def _gathered(
    features: NDArray[np.int32], values: NDArray[np.float64], counts: Integers, others: Integers, told_apart: int
) -> tuple[Integers, NDArray[np.int32], NDArray[np.float64], Integers]:
    """The numbers in order, equal ones as one, beyond the limit as others: others, features, values, counts."""
    order = np.lexsort((values, features))
    features, values = features[order], values[order]
    first = np.ones(len(order), dtype=np.bool_)
    first[1:] = (features[1:] != features[:-1]) | (values[1:] != values[:-1])
    starts = np.flatnonzero(first)
    features, values = features[starts], values[starts]
    if len(starts):  # reduceat takes no empty list
        counts = np.add.reduceat(counts[order], starts)
    kept = np.arange(len(starts)) - features.searchsorted(features) < told_apart
    others = others.copy()
    np.add.at(others, features[~kept], counts[~kept])
    return frozen(others), frozen(features[kept]), frozen(values[kept]), frozen(counts[kept])


def _refuse_other_shapes(cells: Cells, arrays: Mapping[str, NDArray[Any]]) -> None:
    if arrays.keys() != _DTYPES.keys():
        raise InvalidDocument(f"counts hold {', '.join(_DTYPES)}, not {sorted(arrays)}")
    unseen = arrays["unseen_values"].shape[:1]
    shapes: dict[str, tuple[int, ...]] = {"count": (), "known": cells.values.shape}
    shapes |= dict.fromkeys(("missing", "others"), (cells.features,))
    shapes |= dict.fromkeys(("unseen_counts", "unseen_features", "unseen_values"), unseen or (0,))
    for name, array in arrays.items():
        if array.dtype != _DTYPES[name] or array.shape != shapes[name]:
            expected = f"{np.dtype(_DTYPES[name])} of shape {shapes[name]}"
            raise InvalidDocument(f"{name} is {array.dtype} of shape {array.shape}, not {expected}")


def _refuse_odd_unseen(cells: Cells, counts: Counts) -> None:
    features, values = counts.unseen_features, counts.unseen_values
    if len(features) and not (features.min() >= 0 and features.max() < cells.features):
        raise InvalidDocument("a number told apart is of no feature")
    if not np.isfinite(values).all() or (np.signbit(values) & (values == 0)).any():
        raise InvalidDocument("a number told apart is not finite, or -0.0")
    ascending = (features[1:] > features[:-1]) | ((features[1:] == features[:-1]) & (values[1:] > values[:-1]))
    if not ascending.all():
        raise InvalidDocument("the numbers told apart are out of order")
    lengths = np.bincount(features, minlength=cells.features)
    if (lengths > cells.told_apart).any() or ((counts.others > 0) & (lengths < cells.told_apart)).any():
        raise InvalidDocument(f"of every feature the first {cells.told_apart} numbers are told apart, and no more")
    if (cells.covering & ((lengths > 0) | (counts.others > 0))).any():
        raise InvalidDocument("a number is in none of the intervals, and they cover all")
    for feature in np.flatnonzero(lengths):
        if np.isin(values[features == feature], cells.of_feature(int(feature))).any():
            raise InvalidDocument(f"a category of column {feature} is told apart, and the reference has it")
