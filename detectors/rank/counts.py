"""Where window rows fall among the values of a fixed reference: all that Kolmogorov and Smirnov need.

The K distinct reference values of a feature cut the line into 2K+1 cells: cell 2k+1 is the k-th value itself, cell 2k
the gap below it. Between two reference values the reference's distribution is flat, so within a gap the order does not
matter, and a window is described by the sorted cell numbers of its rows. Those are integers: merging is exact.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import frozen, on_host
from detectors.rank.ordered import Ordered, numbers_of
from detectors.rank.reference import RankReference, ordered_window

MISSING = int(np.iinfo(np.int32).max)


@dataclass(frozen=True, slots=True, eq=False)
class Counts(Ordered):
    """The sorted cells of the rows summarised, int32."""

    key: ClassVar[str] = "cells"
    absent: ClassVar[float] = MISSING

    @property
    def cells(self) -> NDArray[np.int32]:
        """Shape (features, rows), ascending along the rows, read-only."""
        return self.numbers


def empty(reference: RankReference) -> Counts:
    """The counts of no rows."""
    return Counts(reference.digest, (frozen(np.empty((reference.features, 0), dtype=np.int32)),))


def summarise(reference: RankReference, rows: Any) -> Counts:
    """Sort the rows of each feature and find their cells; raises `InvalidRows`."""
    parts, missing = ordered_window(reference, rows)
    cells = np.empty((reference.features, rows.shape[0]), dtype=np.int32)
    for first, ordered in parts:
        cells[first : first + ordered.shape[0]] = on_host(reference.knots.cells(ordered, first))
    if missing is not None:
        cells[missing] = MISSING
    return Counts(reference.digest, (frozen(cells),))


def restored(reference: RankReference, arrays: Mapping[str, NDArray[Any]]) -> Counts:
    """What `Counts.arrays` gave; raises `InvalidDocument`."""
    last = np.array([[2 * len(values)] for values in reference.knots.values])

    def allowed(cells: NDArray[Any]) -> bool:
        return bool(((cells >= 0) & ((cells <= last) | (cells == MISSING))).all())

    return Counts(reference.digest, (numbers_of(arrays, "cells", np.int32, reference.features, allowed),))
