"""The kernel of all pairs of rows, tile by tile: nothing of the size of all rows squared has to be put together.

It is symmetric, so only tiles on and above the diagonal are computed, each once, and used for everything while it is
there: for the sums of its rows, for products with labellings, and for the kernels of smaller bandwidths, which are its
powers. All of this happens where the rows are; what comes back to the host is as short as the rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import HOST, Backend, Rows, frozen, on_host
from detectors.kernel.gaussian import Matrix, kernel, kernel_within

Values = NDArray[np.float64]
Labels = NDArray[np.uint8]
Tiles = tuple[tuple[Matrix, ...], ...]
"""For each band of rows, its kernel with every band up to itself."""

TILE_ROWS = 512
"""Rows and columns of a tile: enough for fast products, and few enough for the cache of a processor's core."""
TILE_ROWS_ELSEWHERE = 4096
"""The same on other devices, which are fast only with much to do at once: 128 MiB a tile."""


@dataclass(frozen=True, slots=True)
class Ladder:
    """Gaussian kernels, each with half the bandwidth of the one before, and so that one to the power of four."""

    kernels: int = 1
    squares: bool = False
    """Whether the sums of each kernel's square are wanted too."""

    @property
    def levels(self) -> int:
        """The first kernel and its repeated squares: kernel k is at level 2k, its own square at level 2k + 1."""
        return 2 * self.kernels - (not self.squares)

    def powers(self, tile: Matrix) -> Iterator[tuple[int, Matrix]]:
        """Every level of a tile of the first kernel."""
        for level in range(self.levels):
            if level:
                with np.errstate(under="ignore"):
                    tile = tile * tile
            yield level, tile


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Placed rows of two groups, in bands that no group shares."""

    backend: Backend
    rows: Matrix
    """There."""
    bands: tuple[slice, ...]
    split: int
    """Bands of the first group."""
    tiles: Tiles = ()
    """Those of the first group that are known already: of all its bands, or of none."""

    @classmethod
    def of(cls, backend: Backend, first: Rows, second: Rows | None = None, tiles: Tiles = ()) -> Self:
        """Of rows on the host."""
        bands = _bands(backend, 0, len(first))
        split = len(bands)
        if second is None:
            return cls(backend, backend.put(first), bands, split, tiles)
        bands += _bands(backend, len(first), len(second))
        return cls(backend, backend.put(np.concatenate([first, second])), bands, split, tiles)

    def tile(self, left: int, right: int) -> Matrix:
        """The kernel between two bands, the first not after the second; zero for a row with itself."""
        if right < len(self.tiles):
            return self.tiles[right][left]
        if left == right:
            return kernel_within(self.rows[self.bands[right], :])
        return kernel(self.rows[self.bands[left], :], self.rows[self.bands[right], :])

    def known(self) -> Self:
        """The same, with all tiles of the first group."""
        tiles = tuple(
            tuple(_read_only(self.tile(left, right)) for left in range(right + 1)) for right in range(self.split)
        )
        return type(self)(self.backend, self.rows, self.bands, self.split, tiles)


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """What going through all tiles gave; on the host."""

    sums: Values
    """Shape (levels, 2, rows): of each row's kernel with the other rows of either group."""
    forms: Values
    """Shape (kernels, labellings): s'Ks for each labelling s."""


def scan(pool: Pool, ladder: Ladder, *, sums_from: int = 0, labels: Labels | None = None) -> Scan:
    """Go through the tiles once.

    Sums leave out the pairs of rows that are both in a band before `sums_from`. Labels are 0 or 1, and of shape
    (labellings, rows).
    """
    sums = _Sums(pool, ladder)
    forms = None if labels is None else _Forms(pool, ladder, labels)
    for right in range(sums_from if labels is None else 0, len(pool.bands)):
        for left in range(right + 1):
            for level, tile in ladder.powers(pool.tile(left, right)):
                if right >= sums_from:
                    sums.add(level, left, right, tile)
                if forms is not None and level % 2 == 0:
                    forms.add(level // 2, left, right, tile)
    return Scan(sums.on_host(), np.empty((ladder.kernels, 0)) if forms is None else on_host(forms.values))


def mean_kernel(backend: Backend, points: Rows, rows: Rows) -> Values:
    """Each point's mean kernel with the rows, all placed and on the host; shape (points,)."""
    there, others = backend.put(points), backend.put(rows)
    columns = _bands(backend, 0, len(rows))
    found = []
    for band in _bands(backend, 0, len(points)):
        sums: Any = 0.0
        for some in columns:
            sums = sums + backend.namespace.sum(kernel(there[band, :], others[some, :]), axis=1)
        found.append(on_host(sums) / len(rows))
    return np.concatenate([np.empty(0), *found])


class _Sums:
    """Row sums as they grow, band by band."""

    def __init__(self, pool: Pool, ladder: Ladder) -> None:
        self._pool = pool
        zeros = pool.backend.namespace.zeros
        options = {"dtype": pool.backend.namespace.float64, "device": pool.backend.device}
        self._of = [[[zeros(_size(b), **options) for b in pool.bands] for _ in range(2)] for _ in range(ladder.levels)]

    def add(self, level: int, left: int, right: int, tile: Matrix) -> None:
        sums, split, namespace = self._of[level], self._pool.split, self._pool.backend.namespace
        sums[right >= split][left] += namespace.sum(tile, axis=1)
        if left < right:
            sums[left >= split][right] += namespace.sum(tile, axis=0)

    def on_host(self) -> Values:
        concat, stack = self._pool.backend.namespace.concat, self._pool.backend.namespace.stack
        return on_host(stack([stack([concat(group) for group in level]) for level in self._of]))


class _Forms:
    """Quadratic forms as they grow, for tiles that come column by column, down to the diagonal."""

    def __init__(self, pool: Pool, ladder: Ladder, labels: Labels) -> None:
        namespace = pool.backend.namespace
        self._pool, self._labels = pool, pool.backend.put(labels)
        shape = (ladder.kernels, len(labels))
        self.values = namespace.zeros(shape, dtype=namespace.float64, device=pool.backend.device)
        self._above: list[Any] = [0.0] * ladder.kernels
        self._left: Any = None

    def add(self, kernel: int, left: int, right: int, tile: Matrix) -> None:
        namespace = self._pool.backend.namespace
        if kernel == 0:
            self._left = namespace.astype(self._labels[:, self._pool.bands[left]], namespace.float64)
        product = self._left @ tile
        if left < right:
            self._above[kernel] = self._above[kernel] + product
            return
        product += 2 * self._above[kernel]  # tiles above the diagonal stand for those below it as well
        self.values[kernel, :] += namespace.sum(product * self._left, axis=1)
        self._above[kernel] = 0.0


def _bands(backend: Backend, start: int, count: int) -> tuple[slice, ...]:
    """Rows from `start` on in bands of nearly the same size."""
    largest = TILE_ROWS if backend.namespace is HOST.namespace or str(backend.device) == "cpu" else TILE_ROWS_ELSEWHERE
    edges = np.linspace(start, start + count, -(-count // largest) + 1).round().astype(int).tolist()
    return tuple(slice(first, last) for first, last in pairwise(edges))


def _size(band: slice) -> int:
    return int(band.stop - band.start)


def _read_only(tile: Matrix) -> Matrix:
    return frozen(tile) if isinstance(tile, np.ndarray) else tile
