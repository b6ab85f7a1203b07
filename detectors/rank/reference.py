"""The reference of a rank test: its values in order, how many lie below each, and where a window's rows fall."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import HOST, backend_of, frozen, measurable_rows, real_rows
from detectors.errors import TooFewRows
from detectors.identity import reference_digest
from detectors.rank.brackets import Brackets
from detectors.rank.search import Knots
from detectors.rank.spans import Lengths, owners_of, running, some_features, starts_of

Integers = NDArray[np.int64]

_LARGEST = float(np.finfo(np.float64).max)
_NARROW = int(np.iinfo(np.int32).max)
_AT_ONCE = 2**16  # numbers: more do not fit the cache, and fewer are not worth calling for


@dataclass(frozen=True, slots=True, eq=False)
class RankReference:
    """The reference's values in order, and how many of its values lie below each."""

    digest: str
    count: int
    present: Integers
    """Values that are not missing: shape (features, 1), or (1, 1) where none is missing in any feature."""
    knots: Knots
    """The distinct values of every feature."""
    brackets: Brackets
    """Where a value lies among all values, roughly and soon."""
    ranks: NDArray[np.signedinteger]
    """For all features in a row, K+1 entries each: how many values lie below the k-th distinct one."""
    untied: bool
    """No feature has a value twice, so that k values lie below the k-th."""
    offsets: NDArray[np.intp]
    """Shape (features, 1): where each feature's ranks start."""
    cell_starts: NDArray[np.intp]
    """Shape (features + 1,): where each feature's 2K+1 cells start, and where the last one's end."""
    most_cells: int
    """Of the feature with most distinct values."""
    squares: Integers
    """Laid out like `ranks`: the squares of the numbers of equals among the values below, summed; none if untied."""
    power_sums: NDArray[np.float64]
    """Shape (features, 3): with g equals and c values up to these, the sums of g^2, of g^3 and of c g^2."""

    @property
    def features(self) -> int:
        """Columns of the reference."""
        return len(self.offsets)

    def parts(self, numbers: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
        """Numbers of shape (features, rows) by some features at a time, each with the first of them."""
        step = max(1, _AT_ONCE // max(1, numbers.shape[1]))
        return ((first, numbers[first : first + step]) for first in range(0, self.features, step))

    def below(self, distinct: NDArray[Any], features: slice | Integers = slice(None)) -> NDArray[Any]:
        """How many values lie below the k-th distinct one, for k of shape (these features, rows)."""
        return distinct if self.untied else np.take(self.ranks, distinct + self.offsets[features])

    def squares_below(self, distinct: NDArray[Any]) -> NDArray[Any]:
        """Each number of equals below the k-th distinct value, squared and summed, for k of shape (features, rows)."""
        return distinct if self.untied else np.take(self.squares, distinct + self.offsets)


def fit(detector: Any, rows: Any) -> RankReference:
    """Sort every feature and count its distinct values; raises `InvalidRows`, `TooFewRows`."""
    measurable = measurable_rows(rows)
    missing = np.isnan(measurable)
    present = (len(measurable) - missing.sum(axis=0)).reshape(-1, 1)
    if not present.any():
        raise TooFewRows(f"{len(measurable)} reference rows without a value, and at least 1 is needed")
    ordered = np.sort(np.ascontiguousarray(measurable.T), axis=1)  # what is missing comes last
    first = np.arange(len(measurable)) < present  # the first of its equals
    first[:, 1:] &= ordered[:, 1:] != ordered[:, :-1]
    lengths = first.sum(axis=1)
    untied = bool((lengths == present[:, 0]).all())
    offsets = starts_of(lengths + 1)
    ranks = np.empty(int(lengths.sum()) + len(lengths), dtype=np.int64)
    squares, power_sums = [], []
    for part, _ in some_features(lengths):
        span = slice(int(offsets[part.start]), int(offsets[part.stop - 1] + lengths[part.stop - 1] + 1))
        ranks[span] = _ranks(first[part], present[part, 0])
        equals, up_to = _steps(ranks[span], lengths[part])
        squares.append(running(equals**2, lengths[part]) if not untied else equals[:0])
        power_sums.append(_power_sums(equals, up_to, owners_of(lengths[part]), part.stop - part.start))
    knots = Knots.laid_out(ordered[first] + 0.0, lengths, backend_of(rows))
    cells = 2 * lengths + 1
    return RankReference(
        digest=reference_digest(detector, measurable),
        count=len(measurable),
        present=frozen(present if missing.any() else present[:1]),
        knots=knots,
        brackets=Brackets.of(knots, lengths, ranks),
        ranks=frozen(ranks.astype(np.int32 if len(measurable) <= _NARROW else np.int64)),
        untied=untied,
        offsets=frozen(offsets.reshape(-1, 1)),
        cell_starts=frozen(np.append(0, np.cumsum(cells))),
        most_cells=int(cells.max()),
        squares=frozen(np.concatenate(squares)),
        power_sums=frozen(np.concatenate(power_sums)),
    )


def _ranks(first: NDArray[np.bool_], present: Integers) -> Integers:
    """For some features in a row, how many values lie below each distinct one, and how many there are."""
    feature, below = np.nonzero(first)
    ranks = np.empty(len(below) + len(present), dtype=np.int64)
    ranks[np.arange(len(below)) + feature] = below
    ranks[np.cumsum(first.sum(axis=1) + 1) - 1] = present
    return ranks


def _steps(ranks: Integers, lengths: Lengths) -> tuple[Integers, Integers]:
    """For each distinct value, how many equal it, and how many lie below it or equal it."""
    place = np.arange(int(lengths.sum())) + owners_of(lengths)
    up_to = ranks[place + 1]
    return up_to - ranks[place], up_to


def _power_sums(equals: Integers, up_to: Integers, owners: NDArray[np.intp], features: int) -> NDArray[np.float64]:
    g = equals.astype(np.float64)  # cubes do not fit an integer for long
    return np.stack([np.bincount(owners, each, features) for each in (g * g, g * g * g, g * g * up_to)], axis=1)


def ordered_window(reference: RankReference, rows: Any) -> tuple[list[tuple[int, Any]], NDArray[np.bool_] | None]:
    """The window's values, sorted where the reference is, in parts of (first feature, array (features, rows)).

    What is missing is the largest number there is, and therefore last; how many there are of each feature is given as a
    mask of shape (features, rows) over the host's arrays, or None where nothing is missing. Raises `InvalidRows`.
    """
    real = real_rows(rows, features=reference.features)
    if reference.knots.backend is HOST:
        parts = _sorted(reference, real)
        # Being sorted, with NaN last, they show at their ends whether all of them are finite.
        if all(np.isfinite(part[:, :1]).all() and np.isfinite(part[:, -1:]).all() for _, part in parts):
            return parts, None
    measurable = measurable_rows(real)
    missing = np.isnan(measurable)
    mask = None
    if missing.any():
        measurable = np.where(missing, _LARGEST, measurable)
        mask = np.arange(len(measurable)) >= (~missing).sum(axis=0).reshape(-1, 1)
    return _sorted(reference, measurable), mask


def _sorted(reference: RankReference, rows: NDArray[np.float64]) -> list[tuple[int, Any]]:
    backend = reference.knots.backend
    return [
        (first, backend.namespace.sort(backend.put(np.ascontiguousarray(some)), axis=1, stable=False))
        for first, some in reference.parts(rows.T)
    ]
