"""Finding sorted numbers among the distinct values of a reference, by a guide table where it pays.

A binary search takes a mispredicted branch at every second step. So each feature's range is divided into equal buckets,
about as many as there are values; a table says how many values lie below each bucket, and the few values inside it are
searched without branches, for many features in one go.

What that costs is mostly the memory it touches. So values are compared by *keys* first: where the value lies, in units
of buckets, rounded to half the digits. The arithmetic that finds a key is monotone (each operation rounds
monotonically): a smaller key is a smaller value, and only where keys are equal are the values looked at. The result is
exact. Features whose values crowd into few buckets are searched the ordinary way.

The tables are made on the host, once; they are searched by the array API standard wherever the backend is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Backend, frozen
from detectors.rank.spans import Lengths, owners_of, some_features, starts_of

Numbers = NDArray[np.float64]
Integers = NDArray[np.int64]

_ROUNDS_FOR_ALL = 2  # of halving: enough for three values in a bucket, which are rarely more
_CROWD = 63  # values in one bucket that are still found sooner this way, as long as few buckets are so full
_OUTLIERS = 8  # values at either end that may lie outside the equal buckets, which they would only widen
_MOST_BUCKETS = 2**22  # keys have 24 binary digits: so many buckets are still told apart
_FAR = 2.0**30  # buckets; keys further out do not fit an integer
_NARROW = int(np.iinfo(np.int32).max)
_NARROWEST = int(np.iinfo(np.int16).max)
_OF_BUCKETS = ("lowest", "scale", "count")


@dataclass(frozen=True, slots=True, eq=False)
class Buckets:
    """How each feature's numbers fall into equal buckets; arrays have the shape (features,)."""

    lowest: NDArray[np.float64]
    scale: NDArray[np.float64]
    """0 for a feature whose numbers all fall into one bucket, because others are of no use."""
    count: Integers
    """Powers of two."""

    @classmethod
    def across(cls, values: Numbers, lengths: Lengths) -> Self:
        """As many as a feature has values, or up to twice as many; one where a range cannot be divided."""
        outside = np.minimum(_OUTLIERS, lengths // 100)
        starts = starts_of(lengths)
        lowest, highest = np.zeros((2, len(lengths)))
        some = lengths > 0
        lowest[some] = values[(starts + outside)[some]]
        highest[some] = values[(starts + lengths - 1 - outside)[some]]
        count = np.minimum(1 << np.frexp(lengths)[1].astype(np.int64), _MOST_BUCKETS)
        with np.errstate(over="ignore", divide="ignore"):
            scale = count / (highest - lowest)
        return cls(lowest, scale, count).only(np.isfinite(scale) & (scale > 0))

    def only(self, useful: NDArray[np.bool_]) -> Self:
        """One bucket for all other features."""
        return type(self)(
            np.where(useful, self.lowest, 0.0), np.where(useful, self.scale, 0.0), np.where(useful, self.count, 1)
        )

    def at_most(self, count: int) -> Self:
        """The same ranges in fewer buckets, where there are more than this power of two."""
        fewer = np.minimum(self.count, count)
        return type(self)(self.lowest, self.scale * (fewer / self.count), fewer)

    def of_features(self, features: slice) -> Self:
        """Those of some features."""
        return type(self)(self.lowest[features], self.scale[features], self.count[features])

    def keys(self, values: Numbers, lengths: Lengths) -> NDArray[np.float32]:
        """Where the values of all features in a row, so many of each, lie in units of buckets."""
        with np.errstate(over="ignore"):  # an infinity lies outside, like others
            place = values - np.repeat(self.lowest, lengths)
            place *= np.repeat(self.scale, lengths)
            return place.astype(np.float32)

    def occupied(self, keys: NDArray[np.float32], lengths: Lengths) -> NDArray[np.intp]:
        """For each bucket of all features in a row, how many values lie in it."""
        bucket = np.clip(keys, 0, np.repeat(self.count - 1, lengths)).astype(np.intp)
        bucket += np.repeat(starts_of(self.count), lengths)
        return np.bincount(bucket, minlength=int(self.count.sum()))


@dataclass(frozen=True, slots=True, eq=False)
class _Guide:
    """The guide to the values of some features."""

    buckets: Buckets
    keys: NDArray[np.float32]
    below: NDArray[np.intp]
    """For each bucket, how many of the feature's values lie below it; for a useless one, all of them."""
    fullest: int
    """Values in a bucket that is of use."""

    @classmethod
    def to(cls, values: Numbers, lengths: Lengths) -> Self:
        proposed = Buckets.across(values, lengths)
        keys = proposed.keys(values, lengths)
        occupied = proposed.occupied(keys, lengths)
        first = starts_of(proposed.count)
        fullest = np.maximum.reduceat(occupied, first)
        useful = (proposed.scale > 0) & (fullest <= _CROWD)
        below = np.cumsum(occupied) - occupied
        below -= np.repeat(below[first], proposed.count)
        buckets = proposed.only(useful)
        table = np.empty(int(buckets.count.sum()), dtype=np.intp)
        kept = np.repeat(useful, buckets.count)
        table[kept] = below[np.repeat(useful, proposed.count)]
        table[~kept] = lengths[~useful]
        keys[np.repeat(~useful, lengths)] = 0
        return cls(buckets, keys, table, int(fullest[useful].max(initial=0)))


@dataclass(frozen=True, slots=True, eq=False)
class Knots:
    """The distinct values of every feature, ascending, and the guide to them; arrays are where the backend is.

    Positions and buckets count through all features. They are int32 unless there are too many.
    """

    backend: Backend
    values: tuple[Numbers, ...]
    """On the host."""
    flat: Any
    """All values, each feature's followed by infinities, so that looking a little too far finds nothing smaller."""
    keys: Any
    """float32: their keys."""
    starts: Any
    """Shape (features, 1): the position where each feature's values start."""
    below: Any
    """For each bucket: how many of the feature's values lie below it; for a useless one, all of them."""
    first: Any
    """Shape (features, 1): the feature's first bucket."""
    last: Any
    """Shape (features, 1): the number of its last bucket, counted from its first."""
    least: Any
    """Shape (1, 1): zero."""
    lowest: Any
    """float64, shape (features, 1)."""
    scale: Any
    """float64, shape (features, 1)."""
    rounds: int
    """Rounds of halving that the fullest bucket takes."""
    crowded: tuple[int, ...]
    """The features whose buckets are of no use."""
    buckets: Buckets
    """How the numbers of every feature are divided."""

    @classmethod
    def of(cls, values: Sequence[Numbers], backend: Backend) -> Self:
        """Each an ascending array without repetitions."""
        return cls.laid_out(np.concatenate(values), np.array([len(each) for each in values]), backend)

    @classmethod
    def laid_out(cls, distinct: Numbers, lengths: Lengths, backend: Backend) -> Self:
        """The same of all features' values one after another, so many of each."""
        guides = [_Guide.to(distinct[span], lengths[part]) for part, span in some_features(lengths)]
        buckets = Buckets(*(np.concatenate([getattr(each.buckets, name) for each in guides]) for name in _OF_BUCKETS))
        rounds = max(each.fullest for each in guides).bit_length()
        # So far the widest step of the search looks beyond a feature's last value.
        sentinels = max(1, 1 << rounds >> 1)
        starts = starts_of(lengths + sentinels)
        flat = np.full(len(distinct) + sentinels * len(lengths), np.inf)
        keys = np.full(flat.shape, np.inf, dtype=np.float32)
        for guide, (part, span) in zip(guides, some_features(lengths), strict=True):
            places = np.arange(span.start, span.stop) + sentinels * (part.start + owners_of(lengths[part]))
            flat[places], keys[places] = distinct[span], guide.keys
        frozen(flat)
        index = np.int32 if max(len(flat), int(buckets.count.sum())) <= _NARROW else np.int64

        def column(numbers: Any, dtype: Any = index) -> Any:
            return backend.put(frozen(np.array(numbers, dtype=dtype).reshape(-1, 1)))

        below = np.concatenate([each.below for each in guides])
        return cls(
            backend=backend,
            values=tuple(
                flat[start:end] for start, end in zip(starts.tolist(), (starts + lengths).tolist(), strict=True)
            ),
            flat=backend.put(flat),
            keys=backend.put(frozen(keys)),
            starts=column(starts),
            below=backend.put(frozen(below.astype(np.int16 if lengths.max() <= _NARROWEST else index))),
            first=column(starts_of(buckets.count)),
            last=column(buckets.count - 1),
            least=column(0),
            lowest=column(buckets.lowest, np.float64),
            scale=column(buckets.scale, np.float64),
            rounds=rounds,
            crowded=tuple(np.flatnonzero(buckets.scale == 0).tolist()),
            buckets=buckets,
        )

    def cells(self, ordered: Any, first: int) -> Any:
        """For the features from `first` on, their finite numbers, ascending along the rows: cells of the same shape."""
        xp, index = self.backend.namespace, self.starts.dtype
        if not ordered.shape[1]:
            return xp.astype(ordered, index)
        part = slice(first, first + ordered.shape[0])
        with np.errstate(over="ignore"):
            keys = xp.astype((ordered - self.lowest[part, :]) * self.scale[part, :], xp.float32)
        bucket = self._buckets(keys, part)
        position = xp.astype(xp.reshape(xp.take(self.below, xp.reshape(bucket, (-1,))), keys.shape), index)
        position += self.starts[part, :]
        position = xp.reshape(position, (-1,))
        equal = self._find(position, xp.reshape(keys, (-1,)), xp.reshape(ordered, (-1,)))
        cells = xp.reshape(position, keys.shape)
        cells -= self.starts[part, :]
        cells += cells
        if equal is not None:
            cells += xp.astype(xp.reshape(equal, keys.shape), index)
        for feature in self.crowded:
            if part.start <= feature < part.stop:
                row = feature - first
                cells[row, :] = self._cells_of_crowded(feature, ordered[row, :])
        return cells

    def cells_at(self, numbers: Numbers, features: NDArray[np.intp]) -> NDArray[np.signedinteger]:
        """On the host: the cells of some finite numbers, each of the feature beside it; features ascend.

        For a few: what keys spare is less than what it costs to call for them.
        """
        lowest, scale, first, last, starts = (
            column[features, 0] for column in (self.lowest, self.scale, self.first, self.last, self.starts)
        )
        with np.errstate(over="ignore"):
            keys = ((numbers - lowest) * scale).astype(np.float32)
        bucket = np.minimum(np.maximum(keys, 0), last).astype(first.dtype)
        bucket += first
        position = starts + self.below[bucket]
        self._advance(position, self.flat, numbers, self.rounds)
        cells: NDArray[np.signedinteger] = 2 * (position - starts) + (self.flat[position] == numbers)
        begins, ends = (np.searchsorted(features, self.crowded, side=side) for side in ("left", "right"))
        for feature, begin, end in zip(self.crowded, begins, ends, strict=True):
            if begin < end:
                cells[begin:end] = self._cells_of_crowded(feature, numbers[begin:end])
        return cells

    def _buckets(self, keys: Any, part: slice) -> Any:
        xp = self.backend.namespace
        if xp.any(keys[:, 0] < -_FAR) or xp.any(keys[:, -1] > _FAR):  # they ascend
            last = xp.astype(self.last[part, :], xp.float32)
            keys = xp.minimum(xp.maximum(keys, xp.astype(self.least, xp.float32)), last)
        bucket = xp.astype(keys, self.starts.dtype)  # towards zero: whatever is below it ends up there
        bucket = xp.minimum(xp.maximum(bucket, self.least), self.last[part, :])
        bucket += self.first[part, :]
        return bucket

    def _find(self, position: Any, keys: Any, numbers: Any) -> Any:
        """Move the positions on to the first value that is not smaller, and say which are equal; None if none is."""
        xp = self.backend.namespace
        self._advance(position, self.keys, keys, min(self.rounds, _ROUNDS_FOR_ALL))
        undecided = xp.take(self.keys, position) <= keys
        (where,) = xp.nonzero(undecided)
        if not where.shape[0]:
            return None
        if 4 * where.shape[0] > position.shape[0]:  # ties, mostly: choosing among them would cost more than all
            self._advance(position, self.flat, numbers, self.rounds)
            return xp.take(self.flat, position) == numbers
        some, some_numbers = xp.take(position, where), xp.take(numbers, where)
        self._advance(some, self.flat, some_numbers, self.rounds)
        position[undecided] = some
        equal = xp.zeros_like(undecided)
        equal[undecided] = xp.take(self.flat, some) == some_numbers
        return equal

    def _advance(self, position: Any, among: Any, numbers: Any, rounds: int) -> None:
        """Move on over what is smaller: all of it, if that is fewer than 2 to the power of rounds."""
        xp = self.backend.namespace
        for bit in reversed(range(rounds)):
            ahead = position + ((1 << bit) - 1) if bit else position
            smaller = xp.astype(xp.take(among, ahead) < numbers, position.dtype)
            position += smaller << bit if bit else smaller

    def _cells_of_crowded(self, feature: int, numbers: Any) -> Any:
        xp = self.backend.namespace
        start = int(self.starts[feature, 0])
        values = self.flat[start : start + len(self.values[feature]) + 1]  # one infinity with them
        below = xp.searchsorted(values, numbers)
        return xp.astype(2 * below, self.starts.dtype) + xp.astype(xp.take(values, below) == numbers, self.starts.dtype)
