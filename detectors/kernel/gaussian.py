"""The Gaussian kernel exp(-|x - y|^2 / (2 sigma^2)) between rows, in a frame that keeps numbers moderate.

Frames are on the host. Kernels are computed where their rows are, in any library of the array API standard.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Rows, backend_of, frozen, on_host
from detectors.sample import rows as samples

Matrix = Any
"""Two-dimensional float64, of the library and on the device of the rows that it came from."""

BANDWIDTH_ROWS = 2000
"""The median heuristic looks at the pairs of so many rows at most: two million pairs, 32 MiB at a time."""

_LARGEST = float(np.finfo(np.float64).max) / 2
_FAR = 1e6  # bandwidths from the centre; beyond it all is equally far, and squares still have digits left for distances
_AT_ONCE = 2**18  # kernel values: temporary arrays beyond the cache cost more than the arithmetic
_CORNER = 64  # rows whose diagonal is erased at once

_OF_BANDWIDTH = 3  # a stream of random numbers of its own, beside those of the detectors


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """Maps rows to coordinates in units of the bandwidth: (row / 2^exponent - centre) * factor."""

    exponents: NDArray[np.intc]
    """Powers of two, so that dividing by them is exact; they keep 1e308 and 5e-324 away from overflow and underflow."""
    centre: NDArray[np.float64]
    factor: NDArray[np.float64]

    @classmethod
    def around(cls, rows: Rows, *, standardise: bool, length: float = 0.0) -> Self:
        """Zero mean and unit deviation for each feature of these rows, or (without) the same distances as they have.

        A feature that is constant in these rows has no deviation, and is measured in units of its own magnitude.
        Without standardising, the frame is no smaller than `length`: rows as large as a given bandwidth are not far.
        """
        largest = np.abs(rows).max(axis=0)
        if not standardise:
            largest = np.maximum(largest, length)
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
            scaled = np.ldexp(rows, -self.exponents)
            np.clip(scaled, -_LARGEST, _LARGEST, out=scaled)  # an infinity times a factor of zero would be no number
            placed = (scaled - self.centre) * self.factor
        return np.clip(placed, -_FAR, _FAR, out=placed)

    def unit(self) -> float:
        """What 1 is in the rows' own unit, where all features share one."""
        return float(np.ldexp(1.0, int(self.exponents[0])))


def kernel(left: Matrix, right: Matrix) -> Matrix:
    """exp(-|x - y|^2 / 2) for every pair of placed rows, as exp(x.y - |x|^2 / 2 - |y|^2 / 2).

    All three terms are one product, of rows that are made longer by two: then nothing but the exponential is left.
    """
    namespace, device = _place_of(left)
    zero = namespace.zeros((), dtype=namespace.float64, device=device)
    longer_left, longer_right = _longer(left), _longer(right, mirrored=True).T
    with np.errstate(under="ignore"):
        bands = [
            namespace.exp(namespace.minimum(longer_left[band, :] @ longer_right, zero))
            for band in _bands(left.shape[0], right.shape[0])
        ]
    return bands[0] if len(bands) == 1 else namespace.concat(bands)


def kernel_within(rows: Matrix) -> Matrix:
    """The same for the pairs of different rows; zero for each row with itself."""
    return without_diagonal(kernel(rows, rows))


def without_diagonal(matrix: Matrix) -> Matrix:
    """The same square matrix, its diagonal erased in place."""
    namespace, device = _place_of(matrix)
    others = 1 - namespace.eye(_CORNER, dtype=namespace.float64, device=device)
    for start in range(0, matrix.shape[0], _CORNER):
        corner = slice(start, min(start + _CORNER, matrix.shape[0]))
        size = corner.stop - corner.start
        matrix[corner, corner] = matrix[corner, corner] * others[:size, :size]
    return matrix


def median_bandwidth(rows: Matrix, *, seed: int = 0) -> float:
    """The sigma for which the kernel of the median pair is exp(-1): 2 sigma^2 is the lower median of |x - y|^2.

    Where half of the pairs are equal, the lower median of the others; where all are, 1. Of more than `BANDWIDTH_ROWS`
    rows, a random choice that rows and seed determine.
    """
    if rows.shape[0] > BANDWIDTH_ROWS:
        host = on_host(rows)
        chosen = host[samples.at_most(host, BANDWIDTH_ROWS, (seed, _OF_BANDWIDTH))]
        rows = backend_of(rows).put(chosen)
    half = half_squares(rows)
    squares = on_host(half[:, None] + half[None, :] - rows @ rows.T)  # already half of |x - y|^2, hence sigma^2
    pairs = np.maximum(squares[np.tri(len(squares), k=-1, dtype=np.bool_)], 0)
    square = _lower_median(pairs)
    if square == 0:
        square = _lower_median(pairs[pairs > 0])
    return float(np.sqrt(square)) if square else 1.0


def half_squares(rows: Matrix) -> Any:
    """|x|^2 / 2 of each row."""
    return backend_of(rows).namespace.sum(rows * rows, axis=1) / 2


def _longer(rows: Matrix, *, mirrored: bool = False) -> Matrix:
    """The rows followed by -|x|^2 / 2 and 1, or mirrored by 1 and -|x|^2 / 2."""
    namespace, device = _place_of(rows)
    ones = namespace.ones((rows.shape[0], 1), dtype=namespace.float64, device=device)
    squares = -half_squares(rows)[:, None]
    return namespace.concat([rows, ones, squares] if mirrored else [rows, squares, ones], axis=1)


def _bands(rows: int, columns: int) -> Iterator[slice]:
    step = max(1, _AT_ONCE // max(1, columns))
    return (slice(start, min(start + step, rows)) for start in range(0, max(rows, 1), step))


def _lower_median(values: NDArray[np.float64]) -> float:
    """Zero for no values."""
    if not len(values):
        return 0.0
    lower = (len(values) - 1) // 2
    return float(np.partition(values, lower)[lower])


def _place_of(array: Matrix) -> tuple[Any, Any]:
    backend = backend_of(array)
    return backend.namespace, backend.device
