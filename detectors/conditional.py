"""P-values that need no large samples: the law of a window's counts given how often every value occurs in both samples.

While nothing changes, every choice of the window's rows among all rows is equally probable. So the counts are
multivariate hypergeometric, whatever the values' own distribution, and a statistic's p-value follows from that law
exactly: by all outcomes where they are few, and otherwise by draws. Limiting laws are sooner had, and wrong where some
values are rare or nearly all are equal.

Draws stop at the 20th whose statistic is as large as the observed one (J. Besag and P. Clifford, "Sequential Monte
Carlo p-values", Biometrika 78, 1991): a p-value of a half takes forty of them. Either way no level is exceeded, for any
number of draws. Where not one of all draws is as large, the p-value is that of a Pearson law of type III with their
mean, deviation and skewness, if that is smaller: below one in ten thousand, an estimate. So drift that is beyond doubt
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
"""A limiting law's p-value above it is kept: nobody is alarmed by it, and it may be wrong."""

_DRAWS = 9999
_AS_LARGE = 20
_MOST_OUTCOMES = 2**12  # of which all are gone through
_ENOUGH, _FAR = 500, 1e-9  # draws, after which an estimate so small is not going to be as much as the rest could show
_MOST_CELLS = 2**22  # drawn; fewer draws where there are thousands of distinct values
_CELLS_AT_ONCE = 2**20
_EQUAL = 1e-9  # relative: what statistics of equally extreme outcomes may differ by
_MOST_ROWS = 10**9  # what numpy draws from
_LEAST_SKEWNESS = 1e-3


def p_value(totals: Integers, window: int, observed: float, statistics: Statistics, number: int = 0) -> float:
    """P(statistic >= observed), given how often each distinct value occurs in both samples and the window's size.

    Its `number` tells apart draws for several features. NaN for more rows than can be drawn from.
    """
    rows = int(totals.sum())
    limit = observed - _EQUAL * abs(observed)
    smaller = min(window, rows - window)

    def extreme(drawn: Integers) -> Values:
        return statistics(drawn if smaller == window else totals - drawn)

    if smaller == 0 or len(totals) == 1:
        return 1.0
    if len(totals) == 2 and min(smaller, int(totals.min())) < _MOST_OUTCOMES:
        outcomes, probabilities = _of_two(totals, smaller)
    elif smaller == 1 and len(totals) <= _MOST_OUTCOMES:
        outcomes, probabilities = np.eye(len(totals), dtype=np.int64), totals / rows
    elif rows >= _MOST_ROWS:
        return np.nan
    else:
        return _by_draws(_draws(totals, smaller, number), extreme, limit)
    return min(1.0, float(probabilities[extreme(outcomes) >= limit].sum()))


def _of_two(totals: Integers, window: int) -> tuple[Integers, Values]:
    """All outcomes of two values, and how probable they are."""
    first, second = totals.tolist()
    one = np.arange(max(0, window - second), min(window, first) + 1)
    logarithms = sum(_log_choose(*each) for each in ((first, one), (second, window - one)))
    probabilities = np.exp(logarithms - _log_choose(first + second, np.array(window)))
    return np.stack([one, window - one], axis=1), probabilities / probabilities.sum()


def _log_choose(n: int, k: Integers) -> Values:
    chosen: Values = gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0)
    return chosen


def _draws(totals: Integers, window: int, number: int) -> Iterator[Integers]:
    """The window's counts, some draws at a time, more and more of them."""
    generator = np.random.default_rng((SEED, number))
    most = min(_DRAWS, max(_MOST_CELLS // len(totals), 2 * _AS_LARGE))
    drawn, some = 0, 2 * _AS_LARGE
    few = window * window <= len(totals)
    while drawn < most:
        some = min(some, most - drawn, max(1, _CELLS_AT_ONCE // len(totals)))
        drawn += some
        if few:
            yield _of_few(generator, totals, window, some)
        else:
            yield generator.multivariate_hypergeometric(totals, window, size=some, method="marginals")
        some *= 2


def _of_few(generator: np.random.Generator, totals: Integers, window: int, draws: int) -> Integers:
    """The same for a window of few rows among many distinct values: row by row instead of value by value."""
    ends, rows = np.cumsum(totals), int(totals.sum())
    taken = np.empty((draws, 0), dtype=np.int64)
    for row in range(window):
        place = generator.integers(rows - row, size=draws)
        for earlier in np.sort(taken, axis=1).T:  # numbered without those that were taken
            place += place >= earlier
        taken = np.column_stack([taken, place])
    value = np.searchsorted(ends, taken, side="right") + len(totals) * np.arange(draws)[:, np.newaxis]
    return np.bincount(value.ravel(), minlength=draws * len(totals)).reshape(draws, -1)


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
