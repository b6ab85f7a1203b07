"""Like with like: a value's rank among the reference's values of its own season, carried to all of the reference.

Of a feature that is one thing at night and another at noon, a window has whatever hours it has. What a value means is
where it lies among its own hour's values. `Seasonal.carried` puts in its place the value that lies there among all:
x becomes Q_all(F_season(x)), a quantile-quantile map (Panofsky and Brier 1958). So rows of a calm window are
distributed as the reference, whatever seasons they are of, and all that is measured of rows works as it did.

Equal values have a range of ranks. They are spread over it evenly, by a Richtmyer sequence (multiples of the square
roots of primes) in their order in the window: without chance, so that the same rows give the same rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Self

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Rows

Values = NDArray[np.float64]
Places = NDArray[np.int64]
Seasons = NDArray[np.int64]
"""A row's season: a number from 0 on, below how many seasons there are."""

_SELDOM = 0.01
"""Of values that the reference lacks, the share at which they are no longer out of the ordinary."""
_LARGEST = float(np.finfo(np.float64).max)


@dataclass(frozen=True, slots=True, eq=False)
class Seasonal:
    """What a reference says of its seasons. Immutable, shared by threads."""

    columns: "tuple[_Column, ...]"
    """Of each feature."""

    @classmethod
    def of(cls, rows: Rows, seasons: Seasons, count: int, categorical: NDArray[np.bool_]) -> Self:
        """Of rows in the order of time, shape (rows, features), and the season of each.

        `count` is how many seasons there may be: the reference need not have all. `categorical` says of each feature
        whether its values are names that have no order.
        """
        features = range(rows.shape[1])
        return cls(tuple(_Column.of(rows[:, i], seasons, count, categorical=bool(categorical[i])) for i in features))

    def carried(self, rows: Rows, seasons: Seasons, moment: int = 0) -> Rows:
        """The rows of a window, each value as it lies among all that the reference has of its season.

        Shape (rows, features). What is missing stays so, and all of a row is missing if the reference lacks its season.
        Values that the reference lacks stay what they are where a feature is of categories or has few values. Beyond
        its season's range, a number is as far beyond the same ranks of all. `moment` is any number of the window's own,
        from which its ties are spread: windows of a single row must not all be spread alike.
        """
        mapped = np.empty(rows.shape)
        for place, column in enumerate(self.columns):
            mapped[:, place] = column.carried(rows[:, place], seasons, _spreading(place, moment))
        return mapped

    def held_out(self, rows: Rows, seasons: Seasons, block_rows: int) -> Rows:
        """The reference's own rows, each contiguous block of that size by the ranks of the others, as a window is.

        By ranks that they have a part in, rows would lie more evenly than those of any window do.
        """
        mapped = np.empty(rows.shape)
        for place, column in enumerate(self.columns):
            for held in blocks(len(rows), block_rows):
                others, spreading = column.without(held), _spreading(place, held.start)
                mapped[held, place] = others.carried(rows[held, place], seasons[held], spreading)
        return mapped


def blocks(rows: int, block_rows: int) -> Iterator[slice]:
    """Where contiguous blocks lie; what is left over at the end belongs to the last one."""
    starts = range(0, max(rows - block_rows, 0) + 1, block_rows)
    for start in starts:
        yield slice(start, rows if start == starts[-1] else start + block_rows)


@dataclass(frozen=True, slots=True)
class _Spreading:
    """How equal values of one feature are spread: the n-th lies at the fraction of `first + n * step`."""

    first: float
    step: float

    def of(self, groups: Places) -> Values:
        """Of each value, which are equal where these numbers are: in [0, 1), in the order in which they stand."""
        order = np.argsort(groups, kind="stable")
        begins = np.flatnonzero(np.diff(groups[order], prepend=-1))
        lengths = np.diff(begins, append=len(order))
        number = np.empty(len(groups))
        number[order] = np.arange(len(order)) - np.repeat(begins, lengths)
        return np.asarray((self.first + number * self.step) % 1.0)


def _spreading(place: int, moment: int) -> _Spreading:
    digest = blake2b(b"%d %d" % (place, moment), digest_size=7).digest()
    return _Spreading(int.from_bytes(digest, "big") / 2**56, float(np.sqrt(_PRIMES[place % len(_PRIMES)])) % 1.0)


def _primes(below: int) -> Places:
    is_prime = np.ones(below, dtype=np.bool_)
    is_prime[:2] = False
    for number in range(2, int(below**0.5) + 1):
        is_prime[number * number :: number] = False
    return np.flatnonzero(is_prime)


_PRIMES = _primes(17_390)
"""The first 2000: one for each feature of the widest reference."""


@dataclass(frozen=True, slots=True, eq=False)
class _Column:
    """One feature. A value is told by a whole number that is in its order; seasons stand one after another."""

    distinct: Values
    """All of the reference's values, ascending."""
    pooled: Values
    """The same with repetitions: what values become."""
    keys: Places
    """Season and value in one number, ascending: all values of season 0, then those of season 1, ..."""
    places: Places
    """Where in `keys` each row of the reference is; -1 where its value is missing."""
    starts: Places
    """Where each season begins in what is left of `keys`; and, last, their end."""
    steps: bool
    """Whether values are whole numbers or categories: nothing lies between two of them."""
    keeps_unseen: bool
    """Whether a value that the reference lacks stays what it is."""
    is_ordered: bool
    """False of categories."""
    dropped: Places
    """Where in `keys` those are that do not count, ascending."""

    @classmethod
    def of(cls, column: Values, seasons: Seasons, count: int, *, categorical: bool) -> Self:
        rows = np.flatnonzero(~np.isnan(column))
        there = column[rows]
        distinct, times = np.unique(there, return_counts=True)
        steps = categorical or bool((np.floor(there) == there).all())
        # As often as values are there once, new ones come (Good 1953): where that is rare, they say something.
        seldom = int((times == 1).sum()) <= _SELDOM * len(there)
        width = 2 * len(distinct) + 1
        keys = seasons[rows] * width + _codes(distinct, there)
        order = np.argsort(keys, kind="stable")
        places = np.full(len(column), -1)
        places[rows[order]] = np.arange(len(rows))
        keys = keys[order]
        starts = np.searchsorted(keys, np.arange(count + 1) * width)
        return cls(
            distinct=distinct,
            pooled=np.repeat(distinct, times),
            keys=keys,
            places=places,
            starts=starts,
            steps=steps,
            keeps_unseen=categorical or (steps and seldom),
            is_ordered=not categorical,
            dropped=np.empty(0, dtype=np.int64),
        )

    def without(self, held: slice) -> "_Column":
        """The ranks of the other rows; what they are carried to stays all of the reference.

        Takes as long as there are rows in the block, whatever the reference has: it may be cut into very many.
        """
        there = self.places[held]
        dropped = np.sort(there[there >= 0])
        return replace(self, dropped=dropped, starts=self.starts - np.searchsorted(dropped, self.starts))

    def carried(self, column: Values, seasons: Seasons, spreading: _Spreading) -> Values:
        mapped = np.full(len(column), np.nan)
        there = np.flatnonzero(~np.isnan(column))
        members = np.diff(self.starts)
        there = there[members[seasons[there]] > 0]
        if not len(there):
            return mapped
        values, of = column[there], seasons[there]
        codes = _codes(self.distinct, values)
        keys = of * self._width + codes
        ranks = _Ranks(
            first=self.starts[of],
            below=self._left(np.searchsorted(self.keys, keys, "left")),
            upto=self._left(np.searchsorted(self.keys, keys, "right")),
            last=self.starts[of + 1],
        )
        within = spreading.of(keys)
        if not self.steps:
            within = self._between(values, ranks, within)
        found = self._at(ranks.share(within))
        if self.is_ordered:
            self._reach_beyond(found, values, ranks)
        if self.keeps_unseen:
            unseen = codes % 2 == 0
            found[unseen] = values[unseen]
        mapped[there] = found
        return mapped

    @property
    def _width(self) -> int:
        """Of a season, in keys."""
        return 2 * len(self.distinct) + 1

    def _left(self, places: Places) -> Places:
        """The same places in `keys`, counted without what is dropped."""
        return np.asarray(places - np.searchsorted(self.dropped, places))

    def _value(self, left: Places) -> Values:
        """Of the keys at these places, which are counted without what is dropped."""
        before = self.dropped - np.arange(len(self.dropped))  # of each dropped one, how many are left
        places = left + np.searchsorted(before, left, "right")
        return np.asarray(self.distinct[self.keys[places] % self._width // 2])

    def _between(self, values: Values, ranks: "_Ranks", spread: Values) -> Values:
        """Where in its range of ranks a number lies that may be any: as far as it lies between its neighbours."""
        within = np.where(ranks.upto - ranks.below > 1, spread, 0.5)
        inside = (ranks.below == ranks.upto) & ~ranks.under & ~ranks.over
        upper = ranks.below[inside]
        lower_value, gap = self._value(upper - 1) / 2, self._value(upper) / 2 - self._value(upper - 1) / 2
        gap = np.where(gap > 0, gap, 1.0)  # of the smallest numbers there are, halves are equal
        within[inside] = np.clip((values[inside] / 2 - lower_value) / gap, 0.0, 1.0)
        return within

    def _reach_beyond(self, found: Values, values: Values, ranks: "_Ranks") -> None:
        """Beyond its season's range, go on from where that ends, with the distance beyond it."""
        one = 1 / (ranks.last - ranks.first + 1)
        ends = ((ranks.under, ranks.first, one), (ranks.over, ranks.last - 1, 1 - one))
        with np.errstate(over="ignore"):
            for beyond, end, share in ends:
                distance = values[beyond] - self._value(end[beyond])
                found[beyond] = np.clip(self._at(share[beyond]) + distance, -_LARGEST, _LARGEST)

    def _at(self, share: Values) -> Values:
        """The value of all of the reference with that share of it below."""
        rows = len(self.pooled)
        if self.steps:
            return self.pooled[np.minimum((share * rows).astype(np.int64), rows - 1)]
        place = np.clip(share * (rows + 1) - 1, 0, rows - 1)
        lower = place.astype(np.int64)
        part, upper = place - lower, np.minimum(lower + 1, rows - 1)
        return np.asarray(self.pooled[lower] * (1 - part) + self.pooled[upper] * part)


@dataclass(frozen=True, slots=True, eq=False)
class _Ranks:
    """Places in a column's keys: where each value's season begins, how far it goes up to the value, and its end."""

    first: Places
    below: Places
    """After the values that are smaller."""
    upto: Places
    """After those that are equal, too."""
    last: Places

    @property
    def under(self) -> NDArray[np.bool_]:
        return np.asarray(self.upto == self.first)

    @property
    def over(self) -> NDArray[np.bool_]:
        return np.asarray(self.below == self.last)

    def share(self, within: Values) -> Values:
        """Of the season, below a value that lies so far up in the range of ranks that it may have."""
        span = self.upto - self.below + 1
        return np.asarray((self.below - self.first + within * span) / (self.last - self.first + 1))


def _codes(distinct: Values, values: Values) -> Places:
    """Odd for those of `distinct`, even for what lies between them."""
    places = np.searchsorted(distinct, values)
    known = distinct[np.minimum(places, len(distinct) - 1)] == values
    return np.asarray(2 * places + known, dtype=np.int64)
