"""Rows in units of the reference's own spread, and the Gaussian kernel between them as integers."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Rows, frozen
from detectors.sequential.ranks import Integers

Values = NDArray[np.float64]

ONE = 2**32
"""What a kernel of 1 is: sums of integers are exact in any order, and a stream may be as long as it likes."""

FARTHEST = 1e6
"""Bandwidths from the centre; beyond it all is equally far."""

_MEDIAN_ROWS = 500
_AT_ONCE = 2**16


@dataclass(frozen=True, slots=True, eq=False)
class Placing:
    """Maps rows to coordinates in which the kernel is exp(-|x - y|^2 / 2)."""

    exponents: NDArray[np.intc]
    """Powers of two, so that dividing by them is exact; they keep 1e308 and 5e-324 from overflow and underflow."""
    centre: Values
    deviation: Values
    bandwidth: float
    """In deviations."""

    @classmethod
    def around(cls, rows: Rows, bandwidth: float | None) -> Self:
        """Zero mean and unit deviation; without a bandwidth, the median distance between these rows is taken.

        A feature that is constant in these rows is measured in units of its own magnitude.
        """
        exponents = np.minimum(np.frexp(np.abs(rows).max(axis=0))[1], 1023)
        scaled = np.ldexp(rows, -exponents)
        constant = scaled.min(axis=0) == scaled.max(axis=0)
        deviation = np.where(constant, 1.0, scaled.std(axis=0))
        deviation[deviation == 0] = 1.0  # squares that underflow
        centre = np.where(constant, scaled[0], scaled.mean(axis=0))
        placing = cls(frozen(exponents), frozen(centre), frozen(deviation), 1.0)
        chosen = bandwidth or _median_distance(placing.place(rows))
        return cls(placing.exponents, placing.centre, placing.deviation, chosen)

    def place(self, rows: Rows) -> Rows:
        """The rows' coordinates, by operations on single numbers alone: the same bits for one row as for many."""
        with np.errstate(over="ignore", under="ignore"):  # infinities are clipped like everything else that is far
            placed = (np.ldexp(rows, -self.exponents) - self.centre) / self.deviation / self.bandwidth
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
