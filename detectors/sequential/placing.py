"""Rows in units of the reference's own spread, and the Gaussian kernel between them as integers."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Rows
from detectors.scaling import LINEAR, Scale, bent, divided
from detectors.sequential.ranks import Integers

Values = NDArray[np.float64]

ONE = 2**32
"""What a kernel of 1 is: sums of integers are exact in any order, and a stream may be as long as it likes."""

FARTHEST = 1e150
"""Bandwidths from the centre, whose squares are numbers; beyond it all is equally far."""

_MEDIAN_ROWS = 500
_AT_ONCE = 2**16


@dataclass(frozen=True, slots=True, eq=False)
class Placing:
    """Maps rows to coordinates in which the kernel is exp(-|x - y|^2 / 2)."""

    scale: Scale
    bandwidth: float
    """In deviations."""

    @classmethod
    def around(cls, rows: Rows, bandwidth: float | None) -> Self:
        """In deviations of these rows; without a bandwidth, the median distance between them is taken."""
        scale = Scale.of(rows)
        return cls(scale, bandwidth or _median_distance(cls(scale, 1.0).place(rows)))

    def place(self, rows: Rows) -> Rows:
        """The rows' coordinates, by operations on single numbers alone: the same bits for one row as for many."""
        scale = self.scale
        with np.errstate(over="ignore", under="ignore"):  # infinities are bounded like everything else that is far
            placed = (divided(rows, scale.exponents) - scale.centre) / scale.deviation / self.bandwidth
            bent(placed, LINEAR / self.bandwidth)
        return np.clip(placed, -FARTHEST, FARTHEST, out=placed)


def kernel(left: Rows, right: Rows) -> Integers:
    """Between every pair of placed rows, shape (left, right), in units of 1 / ONE."""
    return kernel_of([np.subtract.outer(one, other) for one, other in zip(left.T, right.T, strict=True)])


def kernel_of(differences: list[Values]) -> Integers:
    """From the differences of each feature, in the features' order.

    Sums over features one after another, and numbers side by side in memory, give the same bits whatever the shape.
    """
    squares = np.square(differences[0])
    for difference in differences[1:]:
        squares += np.square(difference)
    with np.errstate(under="ignore"):
        similar = np.exp(np.multiply(squares, -0.5, out=squares), out=squares)
    return np.rint(np.multiply(similar, ONE, out=similar), out=similar).astype(np.int64)


def kernel_sums(rows: Rows, others: Rows) -> Integers:
    """For each row the sum of its kernel with all the others, shape (rows,)."""
    sums = np.empty(len(rows), dtype=np.int64)
    step = max(1, _AT_ONCE // max(1, len(others)))
    for first in range(0, len(rows), step):
        sums[first : first + step] = kernel(rows[first : first + step], others).sum(axis=1)
    return sums


def _median_distance(placed: Rows) -> float:
    """Between different ones of evenly chosen rows; 1 where most are the same."""
    some = placed[:: -(-len(placed) // _MEDIAN_ROWS)]
    squares = np.zeros((len(some), len(some)))
    for column in some.T:
        squares += np.subtract.outer(column, column) ** 2
    pairs = squares[np.triu_indices(len(some), 1)]
    middle = float(np.sqrt(np.median(pairs))) if len(pairs) else 0.0
    return middle if middle > 0 else 1.0
