"""Where window rows fall among the values of a fixed reference: all that Kolmogorov and Smirnov need.

The K distinct reference values of a feature cut the line into 2K+1 cells: cell 2k+1 is the k-th value itself, cell 2k
the gap below it. Between two reference values the reference's distribution is flat, so within a gap the order does not
matter, and a window is described by the sorted cell numbers of its rows. Those are integers: merging is exact.

Finding the cells is most of the work, and the largest distance can be had without most of them (`brackets`). So it is
put off until somebody merges windows, stores one or compares it.

Once a window has more rows than half of a feature's cells, it is the number of rows in every cell that is kept (two
bytes each, where a cell's number takes four): from there on a summary does not grow with the traffic.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import HOST, frozen, on_host
from detectors.errors import InvalidDocument
from detectors.rank.ordered import Deferred, Ordered, numbers_of
from detectors.rank.reference import RankReference, ordered_window

MISSING = int(np.iinfo(np.int32).max)
_MOST_ROWS = 2**53
_NARROW = (np.uint16, np.uint32)
"""What counts are written as where they fit: most are small, and there are many."""


@dataclass(frozen=True, eq=False)
class Unsearched:
    """The sorted values of a window whose cells are not found yet; none is missing."""

    reference: RankReference
    parts: list[tuple[int, Any]]
    """Values of shape (features, rows) where the reference is, each with the first of its features."""
    rows: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.reference.features, self.rows

    @cached_property
    def numbers(self) -> NDArray[np.int32]:
        """The cells: shape (features, rows), ascending along the rows, read-only."""
        cells = np.empty(self.shape, dtype=np.int32)
        for first, ordered in self.parts:
            cells[first : first + ordered.shape[0]] = on_host(self.reference.knots.cells(ordered, first))
        return frozen(cells)

    @property
    def missing(self) -> NDArray[np.int64]:
        return np.zeros(self.reference.features, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """How many rows of a window lie in every cell."""

    counts: NDArray[np.int64]
    """For all features in a row, 2K+1 numbers each; read-only."""
    starts: NDArray[np.intp]
    """`RankReference.cell_starts`."""
    missing: NDArray[np.int64]
    """Shape (features,); read-only."""

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.missing), int(self.counts[: self.starts[1]].sum() + self.missing[0])

    @property
    def numbers(self) -> NDArray[np.int32]:
        """The cells of all rows: shape (features, rows), ascending along the rows, read-only."""
        cells = np.full(self.shape, MISSING, dtype=np.int32)
        for row, first, last in zip(cells, self.starts, self.starts[1:], strict=False):
            some = self.counts[first:last]
            row[: some.sum()] = np.repeat(np.arange(last - first, dtype=np.int32), some)
        return frozen(cells)

    @classmethod
    def of(cls, reference: RankReference, parts: Iterable[NDArray[np.int32] | Deferred]) -> Self:
        """Of all these parts' rows."""
        starts = reference.cell_starts
        counts = np.zeros(starts[-1], dtype=np.int64)
        missing = np.zeros(reference.features, dtype=np.int64)
        for part in parts:
            if isinstance(part, Tally):
                counts += part.counts
                missing += part.missing
                continue
            cells = part if isinstance(part, np.ndarray) else part.numbers
            absent = cells == MISSING
            missing += absent.sum(axis=1)
            places = (cells + starts[:-1, np.newaxis])[~absent]
            counts += np.bincount(places, minlength=len(counts))
        return cls(frozen(counts), starts, frozen(missing))


@dataclass(frozen=True, slots=True, eq=False)
class Counts(Ordered):
    """The sorted cells of the rows summarised, int32; or, of many rows, how many of them lie in every cell."""

    key: ClassVar[str] = "cells"
    absent: ClassVar[float] = MISSING

    reference: RankReference

    @property
    def cells(self) -> NDArray[np.int32]:
        """Shape (features, rows), ascending along the rows, read-only."""
        return self.numbers

    @property
    def unsearched(self) -> Unsearched | None:
        """All of the rows, if nobody has looked for their cells."""
        (part, *others) = self.parts
        return part if isinstance(part, Unsearched) and not others and "numbers" not in part.__dict__ else None

    @property
    def tally(self) -> Tally | None:
        """All of the rows, if they are many."""
        if self.count <= _most_listed(self.reference):
            return None
        (part, *others) = self.parts
        return part if isinstance(part, Tally) and not others else Tally.of(self.reference, self.parts)

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        tally = self.tally
        return {"cells": self.numbers} if tally is None else {"counts": _narrow(tally.counts), "missing": tally.missing}

    def __add__(self, other: Self, /) -> Self:
        both = Ordered.__add__(self, other)
        tally = both.tally
        return both if tally is None else replace(both, parts=(tally,))


def empty(reference: RankReference) -> Counts:
    """The counts of no rows."""
    return Counts(reference.digest, (frozen(np.empty((reference.features, 0), dtype=np.int32)),), reference)


def summarise(reference: RankReference, rows: Any) -> Counts:
    """Sort the rows of each feature, to find their cells later; raises `InvalidRows`."""
    parts, missing = ordered_window(reference, rows)
    found = Unsearched(reference, parts, rows.shape[0])
    if missing is None and reference.knots.backend is HOST:
        return Counts(reference.digest, (found,), reference)
    cells = found.numbers
    if missing is not None:
        cells = np.where(missing, MISSING, cells)
    return Counts(reference.digest, (frozen(cells),), reference)


def restored(reference: RankReference, arrays: Mapping[str, NDArray[Any]]) -> Counts:
    """What `Counts.arrays` gave; raises `InvalidDocument`."""
    if "counts" in arrays:
        return Counts(reference.digest, (_tally_of(reference, arrays),), reference)
    last = np.array([[2 * len(values)] for values in reference.knots.values])

    def allowed(cells: NDArray[Any]) -> bool:
        return bool(((cells >= 0) & ((cells <= last) | (cells == MISSING))).all())

    cells = numbers_of(arrays, "cells", np.int32, reference.features, allowed)
    return Counts(reference.digest, (cells,), reference)


def _most_listed(reference: RankReference) -> int:
    """Rows of which every one's cell is kept; of more, their counts are."""
    return reference.most_cells // 2


def _narrow(counts: NDArray[np.int64]) -> NDArray[Any]:
    largest = counts.max()
    fitting = [dtype for dtype in _NARROW if largest <= np.iinfo(dtype).max]
    return frozen(counts.astype(fitting[0])) if fitting else counts


def _tally_of(reference: RankReference, arrays: Mapping[str, NDArray[Any]]) -> Tally:
    if arrays.keys() != {"counts", "missing"}:
        raise InvalidDocument(f"the summary holds counts and missing, not {sorted(arrays)}")
    counts, missing = arrays["counts"], arrays["missing"]
    shapes = {"counts": (int(reference.cell_starts[-1]),), "missing": (reference.features,)}
    for name, shape in shapes.items():
        array = arrays[name]
        dtypes = [np.dtype(dtype) for dtype in (np.int64, *(_NARROW if name == "counts" else ()))]
        if array.dtype not in dtypes or array.shape != shape:
            raise InvalidDocument(f"{name} are {array.dtype} of shape {array.shape}, not integers of {shape}")
        if ((array < 0) | (array > _MOST_ROWS // reference.most_cells)).any():
            raise InvalidDocument(f"{name} out of range")
    counts = counts.astype(np.int64)
    rows = np.add.reduceat(counts, reference.cell_starts[:-1]) + missing
    if (rows != rows[0]).any() or rows[0] <= _most_listed(reference):
        raise InvalidDocument(f"counts of {rows.min()} to {rows.max()} rows")
    return Tally(frozen(counts), reference.cell_starts, frozen(missing.copy()))
