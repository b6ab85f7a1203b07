"""R. A. Fisher's exact test of two proportions, for many tables at once: what `scipy.stats.fisher_exact` says, sooner.

Given its margins, the number of events in the window is hypergeometric. Its probability is had from the deviance and
Stirling's remainders, as C. Loader proposes for the binomial law ("Fast and accurate computation of binomial
probabilities", 2000): nothing cancels, so that equally probable tables are recognised as such however large they are.
A tail is the probability of its first table times a sum of products of ratios of neighbours.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, xlog1py, xlogy

Values = NDArray[np.float64]

ALTERNATIVES = ("two-sided", "less", "greater")

_EQUAL = 1e-11  # relative: what probabilities may differ by and still be of equally probable tables
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360)
_NATS = 41.0  # a tail is summed until what is left of it is e^-41 of its first term, by Bernstein's inequality
_AT_ONCE = 2**18


@dataclass(frozen=True, slots=True, eq=False)
class Margins:
    """Of one table for each feature; whole numbers as float64, shape (features,)."""

    rows: Values
    """Of reference and window together."""
    events: Values
    """Of reference and window together."""
    window: Values
    """Rows of the window."""

    def mirrored(self) -> Self:
        """With events and other rows exchanged."""
        return type(self)(self.rows, self.rows - self.events, self.window)

    def mode(self) -> Values:
        """The most probable number of events in the window, the larger one of two."""
        return np.floor((self.window + 1) * (self.events + 1) / (self.rows + 2))

    def where(self, condition: NDArray[np.bool_], other: Self) -> Self:
        """These, or the other ones where the condition does not hold."""
        mine, theirs = (self.rows, self.events, self.window), (other.rows, other.events, other.window)
        return type(self)(*(np.where(condition, *both) for both in zip(mine, theirs, strict=True)))


def p_values(reference: tuple[Values, Values], window: tuple[Values, Values], alternative: str) -> Values:
    """One for each feature; reference and window are (events, rows).

    `greater`: events are more frequent in the window; `less`: in the reference. Nothing is surprising without rows.
    """
    margins = Margins(reference[1] + window[1], reference[0] + window[0], window[1])
    events = window[0]
    if alternative == "greater":
        probabilities = _at_least(margins, events)
    elif alternative == "less":
        probabilities = _at_least(margins.mirrored(), margins.window - events)
    else:
        probabilities = _no_more_probable(margins, events)
    return np.clip(probabilities, 0, 1)


def _at_least(margins: Margins, events: Values) -> Values:
    """P(X >= events)."""
    beyond = events >= margins.mode()
    mirrored = margins.mirrored()
    # Below the mode the other tail is summed, because sums start at their largest term.
    tail = _tail(margins.where(beyond, mirrored), np.where(beyond, events, margins.window - events + 1))
    return np.where(beyond, tail, 1 - tail)


def _no_more_probable(margins: Margins, events: Values) -> Values:
    """P(a table that is no more probable than the one with so many events)."""
    beyond = events >= margins.mode()
    margins = margins.where(beyond, margins.mirrored())
    events = np.where(beyond, events, margins.window - events)
    limit = _log_probability(margins, events) + _EQUAL
    # Up to the mode probabilities rise: halve the range where they pass the limit.
    low = np.maximum(margins.window + margins.events - margins.rows, 0) - 1
    high = margins.mode()
    central = _log_probability(margins, high) <= limit
    while (high - low > 1).any():
        middle = np.clip(np.floor((low + high) / 2), low + 1, high)
        within = _log_probability(margins, middle) <= limit
        low, high = np.where(within, middle, low), np.where(within, high, middle)
        high = np.maximum(high, low + 1)
    far = _tail(margins.mirrored(), margins.window - low)
    return np.where(central, 1.0, _tail(margins, events) + far)


def _tail(margins: Margins, events: Values) -> Values:
    """P(X >= events) for events at the mode or above it; 0 for more than there can be."""
    possible = events <= np.minimum(margins.window, margins.events)
    first = np.where(possible, events, np.minimum(margins.window, margins.events))
    total: Values = np.empty_like(first)
    share = margins.events / np.maximum(margins.rows, 1)
    variance = float((margins.window * share * (1 - share)).max(initial=0))
    terms = int(np.ceil(_NATS / 3 + np.sqrt((_NATS / 3) ** 2 + 2 * _NATS * variance)))
    terms = min(terms, int(margins.window.max(initial=0)) + 1)
    steps = np.arange(terms)
    at_once = max(1, _AT_ONCE // max(1, terms))
    for start in range(0, len(first), at_once):
        part = slice(start, start + at_once)
        rows, drawn, marked = (each[part, np.newaxis] for each in (margins.rows, margins.window, margins.events))
        number = first[part, np.newaxis] + steps
        ratios = np.maximum(marked - number, 0) * np.maximum(drawn - number, 0)
        ratios /= (number + 1) * np.maximum(rows - marked - drawn + number + 1, 1)
        total[part] = 1 + np.cumprod(ratios, axis=1).sum(axis=1)
    return np.where(possible, np.exp(_log_probability(margins, first)) * total, 0.0)


def _log_probability(margins: Margins, events: Values) -> Values:
    """Of a table that is possible."""
    rows = np.maximum(margins.rows, 1)
    sums = (margins.events, margins.rows - margins.events, margins.window, margins.rows - margins.window)
    logarithm = sum(map(_remainder, sums), -_remainder(margins.rows))
    inside = (events, margins.events - events)
    for observed, marked, drawn in (
        (inside[0], sums[0], sums[2]),
        (inside[1], sums[0], sums[3]),
        (margins.window - events, sums[1], sums[2]),
        (sums[1] - margins.window + events, sums[1], sums[3]),
    ):
        expected = marked * (drawn / rows)
        excess = (observed - expected) / np.where(expected > 0, expected, 1)
        excess = np.maximum(excess, -1)
        logarithm -= _remainder(observed) + expected * (xlog1py(1 + excess, excess) - excess)
    return logarithm


def _remainder(numbers: Values) -> Values:
    """log(n!) less n log(n) - n."""
    large = np.maximum(numbers, 16)
    series = np.polyval(_STIRLING[::-1], 1 / large**2) / large + 0.5 * np.log(2 * np.pi * large)
    small = np.minimum(numbers, 16)
    return np.where(numbers < 16, gammaln(small + 1) - xlogy(small, small) + small, series)
