"""P-values that need no large samples: the law of a window's counts given how often every value occurs in both samples.

While nothing changes, every choice of the window's rows among all rows is equally probable. So the counts are
multivariate hypergeometric, whatever the values' own distribution, and a statistic's p-value follows from that law
exactly: by all outcomes where they are few, and otherwise by draws. Limiting laws are sooner had, and wrong where some
values are rare or nearly all are equal.

Draws stop at the 20th whose statistic is as large as the observed one (J. Besag and P. Clifford, "Sequential Monte
Carlo p-values", Biometrika 78, 1991): a p-value of a half takes forty of them. Either way no level is exceeded, for any
number of draws. Where not one of all draws is as large, the p-value is that of a Pearson law of type III with their
mean, deviation and skewness, if that is smaller, but never less than the window's own probability: below one in ten
thousand (one in two thousand where there are two thousand distinct values), an estimate. So drift that is beyond doubt
takes a few hundred draws.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincc, gammaln, ndtr

Integers = NDArray[np.int64]
Values = NDArray[np.float64]

Statistics = Callable[[Integers], Values]
"""From the window's counts, shape (outcomes, distinct values), to the statistic of each."""

SEED = 0
"""Of all draws; to be recorded with whatever rests on some."""
WORTH_IT = 0.25
"""A p-value above it of a limiting law that alarms too often, if anything, may be kept: nobody is alarmed by it."""
MOST_VALUES = 2**10
"""Distinct values that ranks are told apart by: with more, draws would be slow or few."""

_DRAWS = 9999
_AS_LARGE = 20
_MOST_OUTCOMES = 2**12  # of which all are gone through
_ENOUGH, _FAR = 500, 1e-9  # draws, after which an estimate so small is not going to be as much as the rest could show
_MOST_CELLS = 2**22  # drawn; fewer draws where there are thousands of distinct values
_CELLS_AT_ONCE = 2**16  # what fits into a cache
_ROWS_BY_VALUE, _POOL_BY_VALUE = 8, 1000  # up to which rows are drawn one by one, which is sooner done
_EQUAL = 1e-9  # relative: what statistics of equally extreme outcomes may differ by
_MOST_ROWS = 10**9  # what numpy draws from
_LEAST_SKEWNESS = 1e-3


def p_value(totals: Integers, window: Integers, statistics: Statistics, number: int = 0) -> float:
    """P(statistic >= the window's), given how often each distinct value occurs in both samples, and in the window.

    Both are of the shape (distinct values,). Its `number` tells apart draws for several features. NaN for more rows
    than can be drawn from.
    """
    rows, size = int(totals.sum()), int(window.sum())
    smaller = min(size, rows - size)
    if smaller == 0 or len(totals) == 1:
        return 1.0

    def extreme(drawn: Integers) -> Values:
        return statistics(drawn if smaller == size else totals - drawn)

    observed = float(statistics(window[np.newaxis])[0])
    limit = observed - _EQUAL * abs(observed)
    if len(totals) == 2 and min(smaller, int(totals.min())) < _MOST_OUTCOMES:
        outcomes = iter([_of_two(totals, smaller)])
    elif smaller == 1 and len(totals) <= _MOST_OUTCOMES:
        outcomes = _of_one_row(totals)
    elif rows >= _MOST_ROWS:
        return np.nan
    else:
        return max(_by_draws(_draws(totals, smaller, number), extreme, limit), _probability(totals, window))
    return min(1.0, sum(float(each[extreme(outcome) >= limit].sum()) for outcome, each in outcomes))


def _of_two(totals: Integers, window: int) -> tuple[Integers, Values]:
    """All outcomes of two values, and how probable they are."""
    first, second = totals.tolist()
    one = np.arange(max(0, window - second), min(window, first) + 1)
    outcomes = np.stack([one, window - one], axis=1)
    logarithms = _log_choose(totals, outcomes).sum(axis=1)
    probabilities = np.exp(logarithms - logarithms.max())
    return outcomes, probabilities / probabilities.sum()


def _of_one_row(totals: Integers) -> Iterator[tuple[Integers, Values]]:
    """The outcomes of a window of one row, some at a time, and how probable they are."""
    values = len(totals)
    at_once = max(1, _CELLS_AT_ONCE // values)
    for start in range(0, values, at_once):
        some = np.arange(start, min(start + at_once, values))
        yield (some[:, np.newaxis] == np.arange(values)).astype(np.int64), totals[some] / totals.sum()


def _probability(totals: Integers, window: Integers) -> float:
    """Of just this window."""
    every = _log_choose(totals.sum(), window.sum())
    return float(np.exp(_log_choose(totals, window).sum() - every))


def _log_choose(n: Integers, k: Integers) -> Values:
    chosen: Values = gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0)
    return chosen


def _draws(totals: Integers, window: int, number: int) -> Iterator[Integers]:
    """The window's counts, some draws at a time, more and more of them."""
    generator = np.random.default_rng((SEED, number))
    values = len(totals)
    most = min(_DRAWS, max(_MOST_CELLS // values, 2 * _AS_LARGE))
    by_row = window <= _ROWS_BY_VALUE * values and int(totals.sum()) <= _POOL_BY_VALUE * values
    drawn, some = 0, 2 * _AS_LARGE
    while drawn < most:
        some = min(some, most - drawn, max(1, _CELLS_AT_ONCE // values))
        drawn += some
        yield generator.multivariate_hypergeometric(
            totals, window, size=some, method="count" if by_row else "marginals"
        )
        some *= 2


def _by_draws(draws: Iterator[Integers], extreme: Statistics, limit: float) -> float:
    seen: list[Values] = []
    as_large = drawn = 0
    for counts in draws:
        found = extreme(counts)
        seen.append(found)
        places = np.flatnonzero(found >= limit)
        if as_large + len(places) >= _AS_LARGE:
            return _AS_LARGE / (drawn + int(places[_AS_LARGE - as_large - 1]) + 1)
        as_large += len(places)
        drawn += len(found)
        if drawn >= _ENOUGH and not as_large and (far := _tail(np.concatenate(seen), limit)) < _FAR:
            return far
    least = (as_large + 1) / (drawn + 1)
    return least if as_large else min(least, _tail(np.concatenate(seen), limit))


def _tail(statistics: Values, limit: float) -> float:
    """P(X >= limit) for the Pearson law of type III that is like these statistics."""
    mean, deviation = statistics.mean(), statistics.std()
    if deviation == 0:
        return 1.0
    distance = (limit - mean) / deviation
    skewness = float((((statistics - mean) / deviation) ** 3).mean())
    if skewness < _LEAST_SKEWNESS:
        return float(ndtr(-distance))
    shape = 4 / skewness**2
    return float(gammaincc(shape, max(0.0, shape + distance * np.sqrt(shape))))
