"""The Gaussian kernel exp(-|x - y|^2 / (2 sigma^2)) between rows, in a frame that keeps numbers moderate."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Rows, frozen

Matrix = NDArray[np.float64]

_FAR = 1e6  # bandwidths from the centre; beyond it all is equally far, and squares still have digits left for distances


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """Maps rows to coordinates in units of the bandwidth: (row / 2^exponent - centre) * factor."""

    exponents: NDArray[np.intc]
    """Powers of two, so that dividing by them is exact; they keep 1e308 and 5e-324 away from overflow and underflow."""
    centre: NDArray[np.float64]
    factor: NDArray[np.float64]

    @classmethod
    def around(cls, rows: Rows, *, standardise: bool) -> Self:
        """Zero mean and unit deviation for each feature of these rows, or (without) the same distances as they have.

        A feature that is constant in these rows has no deviation, and is measured in units of its own magnitude.
        """
        largest = np.abs(rows).max(axis=0)
        exponents = np.minimum(np.frexp(largest if standardise else np.full_like(largest, largest.max()))[1], 1023)
        scaled = np.ldexp(rows, -exponents)
        lowest, highest = scaled.min(axis=0), scaled.max(axis=0)
        if not standardise:  # distances do not depend on the centre; near the rows, little is lost to cancellation
            return cls(frozen(exponents), frozen(np.median(scaled, axis=0)), frozen(np.ones_like(largest)))
        constant = lowest == highest
        centre = np.where(constant, lowest, scaled.mean(axis=0))
        deviation = np.where(constant, 1.0, scaled.std(axis=0))
        deviation[deviation == 0] = 1.0  # squares that underflow
        return cls(frozen(exponents), frozen(centre), frozen(1 / deviation))

    def within(self, bandwidth: float) -> Self:
        """The same frame in units of this bandwidth."""
        factor = np.minimum(self.factor / max(bandwidth, 1e-300), 1e300)
        return type(self)(self.exponents, self.centre, frozen(factor))

    def place(self, rows: Rows) -> Rows:
        """The rows' coordinates."""
        with np.errstate(over="ignore", under="ignore"):  # infinities are clipped like everything else that is far
            placed = (np.ldexp(rows, -self.exponents) - self.centre) * self.factor
        return np.clip(placed, -_FAR, _FAR, out=placed)

    def unit(self) -> float:
        """What 1 is in the rows' own unit, where all features share one."""
        return float(np.ldexp(1.0, int(self.exponents[0])))


def kernel(left: Rows, right: Rows) -> Matrix:
    """exp(-|x - y|^2 / 2) for every pair of placed rows, as exp(x.y - |x|^2 / 2 - |y|^2 / 2)."""
    exponent = left @ right.T
    exponent -= _half_squares(left)[:, np.newaxis]
    exponent -= _half_squares(right)
    np.minimum(exponent, 0, out=exponent)
    with np.errstate(under="ignore"):
        return np.exp(exponent, out=exponent)


def kernel_within(rows: Rows) -> Matrix:
    """The same for the pairs of different rows; zero for each row with itself."""
    matrix = kernel(rows, rows)
    np.fill_diagonal(matrix, 0)
    return matrix


def median_bandwidth(rows: Rows) -> float:
    """The sigma for which the kernel of the median pair is exp(-1): 2 sigma^2 is the lower median of |x - y|^2.

    Where half of the pairs are equal, the lower median of the others; where all are, 1.
    """
    half = _half_squares(rows)
    squares = half[:, np.newaxis] + half - rows @ rows.T
    pairs = np.maximum(squares[np.triu_indices(len(rows), 1)], 0)  # already half of |x - y|^2, hence sigma^2
    lower = (len(pairs) - 1) // 2
    square = np.partition(pairs, lower)[lower] if len(pairs) else 0.0
    if square == 0:
        pairs = pairs[pairs > 0]
        square = np.partition(pairs, (len(pairs) - 1) // 2)[(len(pairs) - 1) // 2] if len(pairs) else 1.0
    return float(np.sqrt(square))


def _half_squares(rows: Rows) -> NDArray[np.float64]:
    squares: NDArray[np.float64] = np.einsum("ij,ij->i", rows, rows)
    return squares / 2
