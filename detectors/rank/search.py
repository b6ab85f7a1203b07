"""Finding sorted numbers among the distinct values of a reference, by a guide table where it pays.

A binary search takes a mispredicted branch at every second step. So each feature's range is divided into equal buckets,
about as many as there are values; a table says how many values lie below each bucket, and the few values inside it are
searched without branches, for all features in one go. Only the order of a number's bucket matters, and the arithmetic
that finds the bucket is monotone (each operation rounds monotonically), so the result is exact. Features whose values
crowd into few buckets are searched the ordinary way.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import frozen, some_at_a_time

Numbers = NDArray[np.float64]
Positions = NDArray[np.intp]

_ROUNDS_FOR_ALL = 2  # of halving: enough for three values in a bucket, which are rarely more
_CROWD = 63  # values in one bucket that are still found sooner this way, as long as few buckets are so full
_OUTLIERS = 8  # values at either end that may lie outside the equal buckets, which they would only widen


@dataclass(frozen=True, slots=True, eq=False)
class Buckets:
    """How a feature's numbers fall into equal buckets."""

    lowest: float
    scale: float
    count: int

    @classmethod
    def across(cls, values: Numbers) -> Self:
        """As many as there are values, or up to twice as many."""
        outside = min(_OUTLIERS, len(values) // 100)
        lowest, highest = values[outside], values[-1 - outside]
        count = 1 << len(values).bit_length()
        with np.errstate(over="ignore", divide="ignore"):
            return cls(float(lowest), float(count / (highest - lowest)), count)

    def occupied(self, values: Numbers) -> Positions | None:
        """For each bucket, how many values lie in it; None where some bucket is crowded."""
        if not (np.isfinite(self.scale) and self.scale > 0):
            return None
        occupied = np.bincount(_bucket(values, self.lowest, self.scale, self.count - 1), minlength=self.count)
        return None if occupied.max() > _CROWD else occupied


@dataclass(frozen=True, slots=True, eq=False)
class Guide:
    """The tables of all features that have one; every other array has the shape (those features, 1)."""

    features: Positions
    """Which they are, shape (those features,)."""
    below: NDArray[np.int32]
    """For each bucket of each feature in turn: how many values of that feature lie below it."""
    lowest: Numbers
    scale: Numbers
    last: Numbers
    """The last bucket."""
    starts: Positions
    """Where the feature's buckets start in `below`."""
    rounds: int
    """Rounds of halving that the fullest bucket takes."""

    @classmethod
    def over(cls, values: Sequence[Numbers]) -> Self:
        """The guide to these features' ascending values."""
        chosen: list[tuple[int, Buckets]] = []
        tables = [np.empty(0, dtype=np.int32)]
        fullest = 0
        for feature, each in enumerate(values):
            buckets = Buckets.across(each)
            occupied = buckets.occupied(each)
            if occupied is not None:
                chosen.append((feature, buckets))
                tables.append((np.cumsum(occupied) - occupied).astype(np.int32))
                fullest = max(fullest, int(occupied.max()))
        counts = np.array([buckets.count for _, buckets in chosen], dtype=np.intp)
        return cls(
            features=np.array([feature for feature, _ in chosen], dtype=np.intp),
            below=frozen(np.concatenate(tables)),
            lowest=np.array([[buckets.lowest] for _, buckets in chosen]),
            scale=np.array([[buckets.scale] for _, buckets in chosen]),
            last=np.array([[buckets.count - 1.0] for _, buckets in chosen]),
            starts=(np.cumsum(counts) - counts).reshape(-1, 1),
            rounds=fullest.bit_length(),
        )

    def values_below(self, part: slice, numbers: Numbers) -> Positions:
        """Counts that are never too large, and too small by no more than are in the bucket."""
        bucket = _bucket(numbers, self.lowest[part], self.scale[part], self.last[part])
        bucket += self.starts[part]
        return np.take(self.below, bucket).astype(np.intp)


@dataclass(frozen=True, slots=True, eq=False)
class Knots:
    """The distinct values of every feature, ascending."""

    values: tuple[Numbers, ...]
    flat: Numbers
    """All of them, each feature's followed by infinities, so that looking a little too far finds nothing smaller."""
    starts: Positions
    """Shape (features, 1): where each feature's values start in `flat`."""
    guide: Guide
    crowded: tuple[int, ...]
    """The features without a guide."""

    @classmethod
    def of(cls, values: Sequence[Numbers]) -> Self:
        """Each an ascending array without repetitions."""
        sentinels = np.full(_CROWD + 1, np.inf)
        flat = frozen(np.concatenate([part for each in values for part in (each, sentinels)]))
        lengths = np.array([len(each) + len(sentinels) for each in values])
        starts = np.cumsum(lengths) - lengths
        views = tuple(flat[start : start + len(each)] for start, each in zip(starts, values, strict=True))
        guide = Guide.over(views)
        crowded = tuple(sorted(set(range(len(views))) - set(guide.features.tolist())))
        return cls(views, flat, frozen(starts.reshape(-1, 1)), guide, crowded)

    def cells(self, ordered: Numbers) -> NDArray[np.int32]:
        """Shape (features, rows) in and out, ascending along the rows in and out."""
        cells = np.empty(ordered.shape, dtype=np.int32)
        for part in some_at_a_time(len(self.guide.features), ordered.shape[1]):
            features = self.guide.features[part] if self.crowded else part  # a slice copies nothing
            numbers = ordered[features]
            cells[features] = self._guided(part, numbers, self.starts[features])
        for feature in self.crowded:
            below = self.values[feature].searchsorted(ordered[feature])
            found = np.take(self.flat, below + self.starts[feature])
            cells[feature] = 2 * below + (found == ordered[feature])
        return cells

    def _guided(self, part: slice, numbers: Numbers, starts: Positions) -> Positions:
        position = self.guide.values_below(part, numbers)
        position += starts
        self._advance(position, numbers, _ROUNDS_FOR_ALL)
        found = np.take(self.flat, position)
        behind = np.flatnonzero(found < numbers)
        if len(behind):
            stragglers = np.take(position, behind)
            self._advance(stragglers, np.take(numbers, behind), self.guide.rounds)
            np.put(position, behind, stragglers)
            np.put(found, behind, np.take(self.flat, stragglers))
        position -= starts
        position += position
        position += found == numbers
        return position

    def _advance(self, position: Positions, numbers: Numbers, rounds: int) -> None:
        """Move on over the values that are smaller: all of them, if there are fewer than 2 to the power of rounds."""
        for bit in reversed(range(rounds)):
            smaller = np.take(self.flat, position + ((1 << bit) - 1)) < numbers
            position += smaller.astype(np.intp) << bit


def _bucket(numbers: Numbers, lowest: Numbers | float, scale: Numbers | float, last: Numbers | float) -> Positions:
    with np.errstate(over="ignore"):  # infinities are clipped like everything else that lies outside
        place = (numbers - lowest) * scale
    np.maximum(place, 0, out=place)
    return np.minimum(place, last, out=place).astype(np.intp)
