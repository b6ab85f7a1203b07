"""Sums of random Fourier features over rows, as exact integers: a summary from which a Gaussian MMD follows.

A. Rahimi and B. Recht, "Random Features for Large-Scale Kernel Machines" (NIPS 2007): for frequencies w of a normal
law, the kernel between x and y is the mean of cos(w'x - w'y). So with the cosines and sines of w'x as features, a
kernel between rows is an inner product, and a mean of kernels an inner product of means: nothing of the rows is needed
but the sums of their features. The frequencies' directions are orthogonal in groups (F. Yu, A. Suresh, K. Choromanski,
D. Holtmann-Rice and S. Kumar, "Orthogonal Random Features", NIPS 2016) and their lengths are evenly spread over the
quantiles of their law, so that their mean is nearer to the kernel than that of independent ones.

Merging has to be exact, so a row must add the same integers whatever rows it comes with, while a library's matrix
product may add up differently for another number of rows. Here it cannot: coordinates are multiples of 2^-16, and
frequencies of 2^-18 turns; they are so bounded that every partial sum of the product is an integer below 2^53 in units
of 2^-34 turns, and no order of summation, fused or not, rounds anything. The nearest of 4096 points of the circle then
gives cosine and sine, from a table of integers. All libraries and devices make the same sums, bit for bit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

from detectors.arrays import HOST, Backend, Rows, complete, frozen, measurable_rows, on_host
from detectors.errors import InvalidDocument, InvalidRows
from detectors.identity import refuse_other
from detectors.kernel.gaussian import Frame, Matrix
from detectors.scaling import bent

Integers = NDArray[np.int64]

MAXIMUM_ROWS = 2**42
"""What one summary may count: sums stay below 2^62."""
ONE = 2**20
"""A feature of 1 in a sum; features are multiples of its inverse."""

_COORDINATE, _FREQUENCY = 2.0**16, 2.0**18
_MOST_TURNS = 2.0**17  # of a row's phase; as many again are added, so that no phase is negative
_LARGEST_REACH = 2.0**15  # less than half a period of frequencies that are multiples of 2^-18 turns
_DOUBLINGS = 64  # from the end of the plain scale to the reach
_POINTS = 2**12  # of the circle; packed, they take 32 KiB, which the first cache holds
_FIELD = 2**32  # cosine and sine share one integer, to be looked up and added at once
_MOST_AT_ONCE = 2**10  # rows whose packed sums fit their fields
_AT_ONCE = 2**18  # phases, on the host: temporary arrays beyond the cache cost more than the arithmetic
_GRAM_FREQUENCIES = 256
_MOST_ORTHOGONAL = 1024  # in more dimensions, random directions are all but orthogonal by themselves


@dataclass(frozen=True, slots=True, eq=False)
class FeatureSums:
    """What rows have added."""

    reference_digest: str
    sums: Integers
    """Shape (2, frequencies): of the cosines and of the sines, over the rows without a missing value, times `ONE`."""
    rows: int
    """Those rows."""
    missing: int
    """Rows with a missing value."""

    @property
    def count(self) -> int:
        """Rows summarised."""
        return self.rows + self.missing

    def means(self) -> NDArray[np.float64]:
        """Shape (2, frequencies), of at least one row."""
        return self.sums / (float(self.rows) * ONE)

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        return {"counts": np.array([self.rows, self.missing], dtype=np.int64), "sums": self.sums}

    def without(self, other: Self) -> Self:
        """What the other rows have added, where `other` is of some of these."""
        rows, missing = self.rows - other.rows, self.missing - other.missing
        return type(self)(self.reference_digest, frozen(self.sums - other.sums), rows, missing)

    def __add__(self, other: Self, /) -> Self:
        refuse_other(self.reference_digest, other)
        if self.count + other.count > MAXIMUM_ROWS:
            raise InvalidRows(f"{self.count} and {other.count} rows, and a sum holds at most {MAXIMUM_ROWS}")
        sums = frozen(self.sums + other.sums)
        return type(self)(self.reference_digest, sums, self.rows + other.rows, self.missing + other.missing)

    def __eq__(self, other: object, /) -> bool:
        if not isinstance(other, FeatureSums):
            return NotImplemented
        return (
            self.reference_digest == other.reference_digest
            and (self.rows, self.missing) == (other.rows, other.missing)
            and np.array_equal(self.sums, other.sums)
        )

    def __hash__(self) -> int:
        return hash((self.reference_digest, self.rows, self.missing))


@dataclass(frozen=True, slots=True, eq=False)
class FeatureMap:
    """From rows to features, where the reference rows are."""

    backend: Backend
    frame: Frame
    """In units of the bandwidth; on the host."""
    reach: float
    """Bandwidths from the centre, feature by feature; beyond it all is equally far.

    From a fraction of it on, places are on a logarithmic scale: far rows are not all one, as they would be at a wall.
    """
    frequencies: Matrix
    """Shape (features + 1, frequencies): points of the circle per 2^-16 bandwidths, and those where phases start."""
    circle: Matrix
    """Shape (points,), int64: cosine times 2^32, plus sine, both times `ONE`."""

    @classmethod
    def draw(cls, backend: Backend, frame: Frame, count: int, seed: tuple[int, ...]) -> Self:
        """With so many frequencies, which the seed and the number of features determine."""
        drawn = _frequencies(len(frame.centre), count, np.random.default_rng(seed))
        steps = np.rint(drawn * (_FREQUENCY / (2 * np.pi)))
        turns = np.abs(steps).sum(axis=0).max() / _FREQUENCY
        reach = min(_LARGEST_REACH, 2.0 ** np.floor(np.log2(_MOST_TURNS / max(turns, 1.0))))
        scaled = steps * (_POINTS / (_COORDINATE * _FREQUENCY))
        start = np.full((1, count), _MOST_TURNS * _POINTS + 0.5)  # a half, so that cutting off rounds
        longer = frozen(np.concatenate([scaled, start]))
        return cls(backend, frame, float(reach), backend.put(longer), backend.put(frozen(_packed_circle())))

    @property
    def features(self) -> int:
        """Columns of the rows."""
        return int(self.frequencies.shape[0]) - 1

    @property
    def count(self) -> int:
        """Frequencies."""
        return int(self.frequencies.shape[1])

    def empty(self, reference_digest: str) -> FeatureSums:
        """The sums over no rows."""
        return FeatureSums(reference_digest, frozen(np.zeros((2, self.count), dtype=np.int64)), 0, 0)

    def summarise(self, reference_digest: str, rows: Any) -> FeatureSums:
        """The sums over these rows; raises `InvalidRows`."""
        measurable = measurable_rows(rows, features=self.features)
        whole = complete(measurable)
        return FeatureSums(reference_digest, frozen(self._sums(whole)), len(whole), len(measurable) - len(whole))

    def restore(self, reference_digest: str, arrays: Mapping[str, NDArray[Any]]) -> FeatureSums:
        """What `FeatureSums.arrays` gave; raises `InvalidDocument`."""
        if arrays.keys() != {"counts", "sums"}:
            raise InvalidDocument(f"sums of features hold counts and sums, not {sorted(arrays)}")
        counts, sums = arrays["counts"], arrays["sums"]
        if counts.dtype != np.int64 or counts.shape != (2,) or not ((counts >= 0) & (counts <= MAXIMUM_ROWS)).all():
            raise InvalidDocument("the counts are not two counts of rows")
        rows, missing = counts.tolist()
        if rows + missing > MAXIMUM_ROWS:
            raise InvalidDocument(f"{rows + missing} rows, and a sum holds at most {MAXIMUM_ROWS}")
        if sums.dtype != np.int64 or sums.shape != (2, self.count):
            raise InvalidDocument(f"the sums are {sums.dtype} of shape {sums.shape}, not int64 of (2, {self.count})")
        # No mean of points of a circle lies outside it, but for the rounding of the points.
        if (np.hypot(*sums.astype(np.float64)) > rows * (ONE + 1.0)).any():
            raise InvalidDocument(f"the sums are larger than those of {rows} rows can be")
        return FeatureSums(reference_digest, frozen(sums.astype(np.int64)), rows, missing)

    def gram(self, rows: Rows) -> Matrix:
        """The kernel between complete rows that the features make: shape (rows, rows), float64, where the map is."""
        namespace, points = self.backend.namespace, self._points(rows)
        tables = [self.backend.put(part / ONE) for part in _circle()]
        total: Any = 0.0
        for start in range(0, self.count, _GRAM_FREQUENCIES):
            some = points[:, start : min(start + _GRAM_FREQUENCIES, self.count)]
            for table in tables:
                waves = _looked_up(namespace, table, some)
                total = total + waves @ waves.T
        return total / self.count

    def inner(self, rows: Rows, other: NDArray[np.float64]) -> NDArray[np.float64]:
        """Each complete row's features times others of shape (2, frequencies); shape (rows,), on the host.

        Means of rows give the row's mean kernel with these.
        """
        namespace, at_once = self.backend.namespace, max(1, _AT_ONCE // self.count)
        tables = [self.backend.put(part / ONE) for part in _circle()]
        others = [self.backend.put(part) for part in other / self.count]
        found = [np.empty(0)]
        for start in range(0, len(rows), at_once):
            points = self._points(rows[start : start + at_once])
            waves = [_looked_up(namespace, table, points) @ part for table, part in zip(tables, others, strict=True)]
            found.append(on_host(waves[0] + waves[1]))
        return np.concatenate(found)

    def _sums(self, rows: Rows) -> Integers:
        namespace, device = self.backend.namespace, self.backend.device
        on_this_machine = namespace is HOST.namespace or str(device) == "cpu"
        at_once = min(_MOST_AT_ONCE, max(16, _AT_ONCE // self.count)) if on_this_machine else _MOST_AT_ONCE
        totals = namespace.zeros((2, self.count), dtype=namespace.int64, device=device)
        for start in range(0, len(rows), at_once):
            points = self._points(rows[start : start + at_once])
            packed = namespace.sum(_looked_up(namespace, self.circle, points), axis=0)
            sines = ((packed + _FIELD // 2) & (_FIELD - 1)) - _FIELD // 2
            totals = totals + namespace.stack([(packed - sines) >> 32, sines])
        return on_host(totals)

    def _points(self, rows: Rows) -> Matrix:
        """Each row's point of the circle for each frequency: shape (rows, frequencies), int64."""
        placed = self.frame.place(rows)
        longer = np.ones((len(rows), self.features + 1))
        bent(placed, self.reach / _DOUBLINGS)
        longer[:, :-1] = np.rint(np.clip(placed, -self.reach, self.reach) * _COORDINATE)
        namespace = self.backend.namespace
        return namespace.astype(self.backend.put(longer) @ self.frequencies, namespace.int64) & (_POINTS - 1)


def _looked_up(namespace: Any, table: Matrix, points: Matrix) -> Matrix:
    return namespace.reshape(namespace.take(table, namespace.reshape(points, (-1,)), axis=0), points.shape)


def _frequencies(features: int, count: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Shape (features, count): each one normal; their directions orthogonal in groups, their lengths spread evenly."""
    groups = []
    for start in range(0, count, features):
        drawn = generator.normal(size=(features, min(features, count - start)))
        if features <= _MOST_ORTHOGONAL:
            drawn, triangle = np.linalg.qr(drawn)
            drawn *= np.where(np.diagonal(triangle) < 0, -1.0, 1.0)  # else the directions depend on QR's habits
        groups.append(drawn)
    directions = np.concatenate(groups, axis=1)
    quantiles = (generator.permutation(count) + 0.5) / count
    lengths = np.sqrt(2 * gammaincinv(features / 2, quantiles))
    frequencies: NDArray[np.float64] = directions * (lengths / np.sqrt((directions**2).sum(axis=0)))
    return frequencies


def _circle() -> NDArray[np.float64]:
    """Shape (2, points): cosines and sines times `ONE`, whole numbers."""
    angles = np.arange(_POINTS) * (2 * np.pi / _POINTS)
    points: NDArray[np.float64] = np.rint(np.stack([np.cos(angles), np.sin(angles)]) * ONE)
    return points


def _packed_circle() -> Integers:
    cosines, sines = _circle().astype(np.int64)
    packed: Integers = cosines * _FIELD + sines
    return packed
