"""Ranks among the reference as standard normal numbers, for each feature by itself, out of small tables.

A value's normal score is the quantile of the normal law at its mid-rank (van der Waerden 1952), interpolated between
about a thousand of the reference's values. All values are looked up at once, by a binary search without a branch: a
processor cannot foresee where an ordinary one ends, and waits longer for that than the search takes.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from detectors.arrays import Rows, frozen

Values = NDArray[np.float64]

_KNOTS = 1022
"""With an entry on either side of them, a power of two."""
_KNOTS_OF_MANY = 254
_MANY = 128
"""Features, whose tables have to be smaller."""
_HALF = 0.5
_BEYOND = 0.25
"""A value beyond the reference's extremes has this rank, where the extreme itself has 1."""


@dataclass(frozen=True, slots=True, eq=False)
class NormalScores:
    """The tables of all features one after another, each of a power of two of entries."""

    size: int
    """Entries of each."""
    knots: Values
    """Ascending within a feature; an entry is for the values from its knot to the next one."""
    anchors: Values
    """Half of the value at which ..."""
    scores: Values
    """... an entry's score is this one, and ..."""
    slopes: Values
    """... how fast it grows from there, for each half of a value."""
    largest: float
    """Score of a value beyond all of the reference's."""

    @classmethod
    def of(cls, rows: Rows) -> Self:
        """From complete rows."""
        most = _KNOTS if rows.shape[1] <= _MANY else _KNOTS_OF_MANY
        largest = -float(ndtri(_BEYOND / (len(rows) + 1)))
        chosen = [_knots(column, most) for column in rows.T]
        size = 1 << (max(len(values) for values, _ in chosen) + 1).bit_length()
        tables = [_table(values, scores, size, largest) for values, scores in chosen]
        knots, anchors, scores, slopes = (frozen(np.concatenate(parts)) for parts in zip(*tables, strict=True))
        return cls(size, knots, anchors, scores, slopes, largest)

    def __call__(self, rows: Rows) -> Values:
        """Same shape; NaN where a value is missing."""
        places = np.broadcast_to(np.arange(0, len(self.knots), self.size), rows.shape).copy()
        step = self.size // 2
        while step:
            places += step * (self.knots[places + step] <= rows)
            step //= 2
        found = rows * _HALF  # so that no difference is too large
        found -= self.anchors[places]
        found *= self.slopes[places]
        found += self.scores[places]
        return np.clip(found, -self.largest, self.largest, out=found)


def _knots(column: Values, most: int) -> tuple[Values, Values]:
    """Some of the values, with their scores: all of them, or an eighth at either end and the rest evenly spaced."""
    values, counts = np.unique(column, return_counts=True)
    middle = np.cumsum(counts) - (counts - 1) / 2
    if len(values) > most:
        last = len(values) - 1
        ends = np.arange(most // 8)
        evenly = np.linspace(0, last, most - 2 * len(ends)).round().astype(np.intp)
        chosen = np.unique(np.concatenate([ends, evenly, last - ends]))
        values, middle = values[chosen], middle[chosen]
    return values, np.asarray(ndtri(middle / (len(column) + 1)))


def _table(values: Values, scores: Values, size: int, largest: float) -> tuple[Values, Values, Values, Values]:
    """Knots, anchors, scores and slopes: below the first value, from each to the next, and above the last."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        beyond = np.nextafter(values[-1], np.inf)
        between = np.diff(scores) / np.diff(values * _HALF)
    between[~np.isfinite(between)] = 0  # of values that are next to nothing apart
    spare = np.full(size - len(values) - 2, np.inf)
    knots = np.concatenate([[-np.inf], values, [beyond], spare])
    anchors = _HALF * np.concatenate([values[:1], values, values[-1:], np.zeros(len(spare))])
    at_anchor = np.concatenate([[-largest], scores, [largest], np.zeros(len(spare))])
    slopes = np.concatenate([[0], between, [0, 0], np.zeros(len(spare))])
    return knots, anchors, at_anchor, slopes
