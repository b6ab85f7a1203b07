"""What one deviation of each feature is: said by the bulk of its values, whatever a few others are.

One value of 1e308, one sentinel of -999, makes a plain deviation so large that all other values look alike, and no
change of theirs is seen. Here values are bounded before their deviation is taken, by what most of them do; and what
lies far out has a place on a logarithmic scale, so that numbers stay moderate, and still no two of them become one.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Rows, frozen

Values = NDArray[np.float64]

LINEAR = 8.0
"""Deviations, twice as many of which are on a plain scale; from there on, each doubling adds as many as these."""
MOST_DOUBLINGS = 1025
"""Of a float. So no place is farther than so many times `LINEAR`."""

_NORMAL = 1.4826  # the deviation of a normal law, in units of its median absolute deviation
_BOUND = 5.0  # of these: a normal law has a value beyond in two million
_FEW = 100  # where no more than one row in so many differs from the others, it does not say what unit they have
_LARGEST = float(np.finfo(np.float64).max) / 2


@dataclass(frozen=True, slots=True, eq=False)
class Scale:
    """Centre and deviation of each feature of some rows, in units of a power of two: (row / 2^exponent - centre)."""

    exponents: NDArray[np.intc]
    """Dividing by powers of two is exact; these keep 1e308 and 5e-324 away from overflow and underflow."""
    centre: Values
    deviation: Values
    """Positive."""

    @classmethod
    def of(cls, rows: Rows) -> Self:
        """Of at least one complete row.

        The plain mean and deviation, of values that are no farther from the median than five deviations as most of
        them have it (P. Huber, "Robust Statistics" (1981), section 1.2, on bounding before averaging). What most of
        them have is the median distance from the median, over those values that are not the median itself: for a
        continuous feature, the usual median absolute deviation; for one that is mostly zero, what the others are like,
        however few there are. Where hardly any value differs, and those by far, the unit is that of a constant feature,
        its own magnitude.
        """
        middle, bounded, differing = _bounded(rows)
        exponents = np.minimum(np.frexp(np.abs(bounded).max(axis=0))[1], 1023)
        scaled = np.ldexp(bounded, -exponents)
        lowest, highest = scaled.min(axis=0), scaled.max(axis=0)
        constant = lowest == highest
        centre = np.where(constant, lowest, scaled.mean(axis=0))
        deviation = np.where(constant, 1.0, scaled.std(axis=0))
        deviation[deviation == 0] = 1.0  # squares that underflow
        own = np.minimum(np.frexp(middle)[1], 1023)
        with np.errstate(over="ignore"):
            alien = (differing * _FEW <= len(rows)) & (deviation > np.ldexp(1.0, own - exponents))
        exponents = np.where(alien, own, exponents).astype(np.intc)
        centre = np.where(alien, np.ldexp(middle, -own), centre)
        deviation = np.where(alien, 1.0, deviation)
        return cls(frozen(exponents), frozen(centre), frozen(deviation))


def bounded_magnitude(rows: Rows) -> Values:
    """Shape (features,): the largest value of each feature, but for those few that lie far out."""
    magnitude: Values = np.abs(_bounded(rows)[1]).max(axis=0)
    return magnitude


def divided(rows: Rows, exponents: NDArray[np.intc]) -> Rows:
    """The rows in units of powers of two; what is too large for a float is the largest of its sign."""
    with np.errstate(over="ignore", under="ignore"):
        scaled = np.ldexp(rows, -exponents)
    return np.clip(scaled, -_LARGEST, _LARGEST, out=scaled)  # an infinity times a factor of zero would be no number


def bent(places: Rows, linear: float) -> Rows:
    """Places as they are up to twice `linear`; each doubling from there on adds `linear`. Changes its argument.

    The logarithm is that of straight lines between powers of two: made of exact operations, it has the same bits on
    every machine, and for one row as for many. Infinities have the place of the largest number.
    """
    far = np.abs(places) > 2 * linear
    if not far.any():
        return places
    with np.errstate(over="ignore", under="ignore"):
        mantissas, exponents = np.frexp(np.minimum(np.abs(places[far]) / linear, 2 * _LARGEST))
    places[far] = np.copysign(linear * (exponents + 2 * mantissas - 1), places[far])
    return places


def _bounded(rows: Rows) -> tuple[Values, Rows, NDArray[np.intp]]:
    """Each feature's median; the rows without what lies far out; and how many values of each are not the median."""
    count, middle = len(rows), np.sort(rows, axis=0)[len(rows) // 2]
    with np.errstate(over="ignore"):
        apart = np.sort(np.abs(rows - middle), axis=0)
        differing = (apart > 0).sum(axis=0)
        typical = apart[count - differing + (differing - 1) // 2, np.arange(rows.shape[1])]
        reach = _BOUND * _NORMAL * typical
        return middle, np.clip(rows, middle - reach, middle + reach), differing
