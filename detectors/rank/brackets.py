"""The largest distances of a window's distribution functions, with only the rows looked up that may attain them.

Where exactly a row lies among the values of the reference takes a look into tables that no cache holds. But from a
small table, of how many values lie below each of some thousand equal buckets, it is known between which two counts
every row lies, and so between which two numbers every distance lies. Most of these cannot be the largest, and only the
few rows that remain are looked up. The result is exact.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import frozen
from detectors.rank.search import Knots
from detectors.rank.spans import Lengths, running, some_features, starts_of

Integers = NDArray[np.signedinteger]

_MOST = 1024  # buckets a feature: a few KiB, and a dozen rows of a thousand are left undecided
_FAR = 2.0**30  # buckets; what is further out does not fit an integer
_NARROW = int(np.iinfo(np.int32).max)
_NARROWEST = int(np.iinfo(np.int16).max)


@dataclass(frozen=True, slots=True, eq=False)
class Brackets:
    """For all features in a row, how many reference values lie below each bucket, and below no more bucket: all."""

    below: Integers
    first: NDArray[np.int32]
    """Shape (features, 1): where each feature's numbers start."""
    last: NDArray[np.int32]
    """Shape (features, 1): the number of its last bucket, counted from its first."""
    lowest: NDArray[np.float64]
    """Shape (features, 1)."""
    scale: NDArray[np.float64]
    """Shape (features, 1)."""

    @classmethod
    def of(cls, knots: Knots, lengths: Lengths, ranks: Integers) -> Self:
        """From the distinct values of every feature, and how many values lie below each of these and below none.

        `ranks` has one number more for each feature than that has distinct values, its `lengths`.
        """
        fewer = knots.buckets.at_most(_MOST)
        offsets = starts_of(lengths + 1)
        tables = []
        for part, _ in some_features(lengths):
            some = fewer.of_features(part)
            columns = (np.repeat(each, lengths[part]) for each in (some.lowest, some.scale, some.count - 1))
            bucket = _buckets_of(np.concatenate(knots.values[part]), *columns)
            bucket += np.repeat(starts_of(some.count), lengths[part])
            below = running(np.bincount(bucket, minlength=int(some.count.sum())), some.count)
            tables.append(ranks[below + np.repeat(offsets[part], some.count + 1)])
        most = int(ranks.max())
        dtype = np.int16 if most <= _NARROWEST else np.int32 if most <= _NARROW else np.int64

        def column(numbers: Any, dtype: Any) -> Any:
            return frozen(np.array(numbers, dtype=dtype).reshape(-1, 1))

        return cls(
            below=frozen(np.concatenate(tables).astype(dtype)),
            first=column(starts_of(fewer.count + 1), np.int32),
            last=column(fewer.count - 1, np.int32),
            lowest=column(fewer.lowest, np.float64),
            scale=column(fewer.scale, np.float64),
        )

    def around(self, ordered: NDArray[np.float64], part: slice) -> tuple[Integers, Integers]:
        """For finite numbers of these features: at least so many values lie below each, and at most so many not above.

        Both of the same shape (features, rows).
        """
        bucket = _buckets(ordered, self.lowest[part], self.scale[part], self.last[part])
        bucket += self.first[part]
        least = self.below.take(bucket)
        bucket += 1
        return least, self.below.take(bucket)


def _buckets_of(values: NDArray[np.float64], lowest: Any, scale: Any, last: Any) -> NDArray[np.intp]:
    """The same of single values, each with its feature's numbers beside it."""
    with np.errstate(over="ignore"):
        place = values - lowest
        place *= scale
    bucket: NDArray[np.intp] = np.clip(place, 0, last).astype(np.intp)
    return bucket


def _buckets(numbers: NDArray[np.float64], lowest: Any, scale: Any, last: Any) -> NDArray[np.int32]:
    """Monotone: each operation rounds monotonically. Numbers ascend along the last axis."""
    with np.errstate(over="ignore"):  # an infinity lies outside, like others
        place = numbers - lowest
        place *= scale
    if (place[..., :1] < -_FAR).any() or (place[..., -1:] > _FAR).any():
        np.clip(place, 0, last, out=place)
    bucket: NDArray[np.int32] = place.astype(np.int32)  # towards zero: whatever is below it ends up there
    np.clip(bucket, 0, last, out=bucket)
    return bucket
