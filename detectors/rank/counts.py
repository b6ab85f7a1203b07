"""Where window rows fall among the values of a fixed reference: all that Kolmogorov and Smirnov need.

The K distinct reference values of a feature cut the line into 2K+1 cells: cell 2k+1 is the k-th value itself, cell 2k
the gap below it. Between two reference values the reference's distribution is flat, so within a gap the order does not
matter, and a window is described by the sorted cell numbers of its rows. Those are integers: merging is exact.

Finding the cells is most of the work, and the largest distance can be had without most of them (`brackets`). So it is
put off until somebody merges windows, stores one or compares it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import HOST, frozen, on_host
from detectors.rank.ordered import Ordered, numbers_of
from detectors.rank.reference import RankReference, ordered_window

MISSING = int(np.iinfo(np.int32).max)


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


@dataclass(frozen=True, slots=True, eq=False)
class Counts(Ordered):
    """The sorted cells of the rows summarised, int32."""

    key: ClassVar[str] = "cells"
    absent: ClassVar[float] = MISSING

    @property
    def cells(self) -> NDArray[np.int32]:
        """Shape (features, rows), ascending along the rows, read-only."""
        return self.numbers

    @property
    def unsearched(self) -> Unsearched | None:
        """All of the rows, if nobody has looked for their cells."""
        (part, *others) = self.parts
        return part if isinstance(part, Unsearched) and not others and "numbers" not in part.__dict__ else None


def empty(reference: RankReference) -> Counts:
    """The counts of no rows."""
    return Counts(reference.digest, (frozen(np.empty((reference.features, 0), dtype=np.int32)),))


def summarise(reference: RankReference, rows: Any) -> Counts:
    """Sort the rows of each feature, to find their cells later; raises `InvalidRows`."""
    parts, missing = ordered_window(reference, rows)
    found = Unsearched(reference, parts, rows.shape[0])
    if missing is None and reference.knots.backend is HOST:
        return Counts(reference.digest, (found,))
    cells = found.numbers
    if missing is not None:
        cells = np.where(missing, MISSING, cells)
    return Counts(reference.digest, (frozen(cells),))


def restored(reference: RankReference, arrays: Mapping[str, NDArray[Any]]) -> Counts:
    """What `Counts.arrays` gave; raises `InvalidDocument`."""
    last = np.array([[2 * len(values)] for values in reference.knots.values])

    def allowed(cells: NDArray[Any]) -> bool:
        return bool(((cells >= 0) & ((cells <= last) | (cells == MISSING))).all())

    return Counts(reference.digest, (numbers_of(arrays, "cells", np.int32, reference.features, allowed),))
