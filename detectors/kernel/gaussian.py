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
from detectors.scaling import LINEAR, Scale, bent, bounded_magnitude, divided

Matrix = Any
"""Two-dimensional float64, of the library and on the device of the rows that it came from."""

BANDWIDTH_ROWS = 2000
"""The median heuristic looks at the pairs of so many rows at most: two million pairs, 32 MiB at a time."""

_FARTHEST = 1e307  # bandwidths from the centre: a difference of two is still a number
_NEAR = 2.0**14  # bandwidths from the centre; of farther ones, squares have no digits left for distances
_AT_ONCE = 2**18  # kernel values: temporary arrays beyond the cache cost more than the arithmetic
_CORNER = 64  # rows whose diagonal is erased at once

_OF_BANDWIDTH = 3  # a stream of random numbers of its own, beside those of the detectors


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """Maps rows to coordinates in units of the bandwidth: (row / 2^exponent - centre) * factor, bent far out."""

    exponents: NDArray[np.intc]
    """Powers of two, so that dividing by them is exact; they keep 1e308 and 5e-324 away from overflow and underflow."""
    centre: NDArray[np.float64]
    factor: NDArray[np.float64]
    linear: float = np.inf
    """Places beyond twice as much are on a logarithmic scale: see `detectors.scaling.bent`."""

    @classmethod
    def around(cls, rows: Rows, *, standardise: bool, length: float = 0.0) -> Self:
        """In deviations of each feature, as `detectors.scaling.Scale` has them, or (without) with the rows' distances.

        A feature that is constant in these rows has no deviation, and is measured in units of its own magnitude.
        Without standardising, the frame is no smaller than `length`: rows as large as a given bandwidth are not far.
        """
        if standardise:
            scale = Scale.of(rows)
            return cls(scale.exponents, scale.centre, frozen(1 / scale.deviation), LINEAR)
        largest = max(float(bounded_magnitude(rows).max()), length)
        exponents = np.full(rows.shape[1], min(int(np.frexp(largest)[1]), 1023), dtype=np.intc)
        # Distances do not depend on the centre; near the rows, little is lost to cancellation.
        centre = np.median(divided(rows, exponents), axis=0)
        return cls(frozen(exponents), frozen(centre), frozen(np.ones_like(centre)))

    def within(self, bandwidth: float) -> Self:
        """The same frame in units of this bandwidth."""
        unit = max(bandwidth, 1e-300)
        factor = np.minimum(self.factor / unit, 1e300)
        return type(self)(self.exponents, self.centre, frozen(factor), self.linear / unit)

    def place(self, rows: Rows) -> Rows:
        """The rows' coordinates."""
        with np.errstate(over="ignore", under="ignore"):  # infinities are bounded like everything else that is far
            placed = bent((divided(rows, self.exponents) - self.centre) * self.factor, self.linear)
        return np.clip(placed, -_FARTHEST, _FARTHEST, out=placed)

    def unit(self) -> float:
        """What 1 is in the rows' own unit, where all features share one."""
        return float(np.ldexp(1.0, int(self.exponents[0])))


def kernel(left: Matrix, right: Matrix) -> Matrix:
    """exp(-|x - y|^2 / 2) for every pair of placed rows."""
    far = _far(left), _far(right)
    if not (far[0] or far[1]):
        return _near_kernel(left, right)
    matrix = _near_kernel(_without(left, far[0]), _without(right, far[1]))
    namespace = backend_of(left).namespace
    with np.errstate(under="ignore"):
        for row in far[0]:
            matrix[row, :] = namespace.exp(-_half_squares_from(left[row, :], right))
        for row in far[1]:
            matrix[:, row] = namespace.exp(-_half_squares_from(right[row, :], left))
    return matrix


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
    squares = on_host(_half_squares_within(rows))  # half of |x - y|^2, hence sigma^2
    pairs = np.maximum(squares[np.tri(len(squares), k=-1, dtype=np.bool_)], 0)
    square = _lower_median(pairs)
    if square == 0:
        square = _lower_median(pairs[pairs > 0])
    return float(np.sqrt(square)) if square else 1.0


def half_squares(rows: Matrix) -> Any:
    """|x|^2 / 2 of each row."""
    return backend_of(rows).namespace.sum(rows * rows, axis=1) / 2


def _near_kernel(left: Matrix, right: Matrix) -> Matrix:
    """Of rows that are not far from the centre, as exp(x.y - |x|^2 / 2 - |y|^2 / 2).

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


def _half_squares_within(rows: Matrix) -> Matrix:
    """Half of |x - y|^2 for every pair of placed rows."""
    far = _far(rows)
    near = _without(rows, far)
    half = half_squares(near)
    matrix = half[:, None] + half[None, :] - near @ near.T
    for row in far:
        matrix[row, :] = _half_squares_from(rows[row, :], rows)
        matrix[:, row] = matrix[row, :]
    return matrix


def _half_squares_from(row: Any, others: Matrix) -> Any:
    """Half of |x - y|^2 between one row and all others, from differences: exact for rows however far away."""
    apart = others - row[None, :]
    with np.errstate(over="ignore", under="ignore"):
        return half_squares(apart)


def _far(rows: Matrix) -> list[int]:
    """Rows that are too far from the centre for distances to be had from their squares."""
    if not rows.shape[0]:
        return []
    namespace = backend_of(rows).namespace
    largest = on_host(namespace.max(namespace.abs(rows), axis=1))
    found: list[int] = np.flatnonzero(largest > _NEAR).tolist()
    return found


def _without(rows: Matrix, far: list[int]) -> Matrix:
    """The rows, at the centre where they are far."""
    if not far:
        return rows
    namespace, device = _place_of(rows)
    near = namespace.asarray(rows, device=device, copy=True)
    for row in far:
        near[row, :] = 0.0
    return near


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
