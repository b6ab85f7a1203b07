"""Unseen categories: whether values that the reference does not have are more frequent than new ones always are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, gammaln

from detectors.arrays import measurable_rows
from detectors.frequency import comparison, counts
from detectors.frequency.cells import MAXIMUM_UNSEEN, categories, measured_columns
from detectors.frequency.comparison import FrequencyReference, Tables
from detectors.frequency.counts import Counts
from detectors.frequency.hypergeometric import p_values
from detectors.results import DriftResult, Measurement, Scope

Values = NDArray[np.float64]

_HALVINGS = 40
_SATURATED = 40.0  # beyond log(n + m), where every category that may be unseen is


@dataclass(frozen=True, slots=True)
class UnseenCategories:
    """Statistic: the share u/m of window values in no category of the reference. Effect: what it exceeds s/n by.

    Of n reference values, s are the only ones of their category: against the other n - 1 values, they are unseen. So
    while values are exchangeable, s/n is what to expect of u/m (I. J. Good, "The population frequencies of species and
    the estimation of population parameters", Biometrika 40, 1953).

    P-value: given how often each category occurs in both samples together, t times say, every choice of the window's m
    values among all N = n + m is equally probable, if values are exchangeable. A category is unseen where all its t
    values are in the window, which has the probability r = C(N - t, m - t) / C(N, m). Twice the smaller is taken of

    * Fisher's exact p-value, one-sided, for the categories that occur once, in the window or in the reference;
    * H. Chernoff's bound for the number U of unseen values in categories that occur more often. The events are
      negatively associated (K. Joag-Dev and F. Proschan, "Negative association of random variables", Annals of
      Statistics 11, 1983), so that it holds as if they were independent: P(U >= u) is at most the smallest product,
      over positive x, of 1 + r (exp(x t) - 1) for every category, times exp(-x u).

    Neither is ever too small, whatever the counts. Beyond 1024 unseen categories, each value is taken for one of its
    own in the bound, which makes it larger.
    """

    name: ClassVar[str] = "unseen_categories"
    scope: ClassVar[Scope] = Scope.FEATURE
    bounded: ClassVar[bool] = True

    def fit(self, rows: Any, /) -> FrequencyReference:
        """Count the categories; raises `InvalidRows` for too many of them, `TooFewRows` for no row."""
        measurable = measurable_rows(rows)
        return comparison.fit(self, measurable, categories(measured_columns(measurable), MAXIMUM_UNSEEN))

    def empty(self, reference: FrequencyReference, /) -> Counts:
        return counts.empty(reference.digest, reference.cells)

    def summarise(self, reference: FrequencyReference, rows: Any, /) -> Counts:
        return counts.summarise(reference.digest, reference.cells, rows)

    def restore(self, reference: FrequencyReference, arrays: Mapping[str, NDArray[Any]], /) -> Counts:
        return counts.restored(reference.digest, reference.cells, arrays)

    def measure(self, reference: FrequencyReference, summary: Counts, /) -> Measurement:
        return _measured(comparison.tables(reference, summary))

    def measure_held_out(self, reference: FrequencyReference, summary: Counts, _held: slice, /) -> Measurement:
        """See `detectors.calibration.LeavesOut`; the same as fitting without the rows."""
        return _measured(comparison.tables(reference, summary, held_out=True))

    def test(self, reference: FrequencyReference, summary: Counts, /) -> DriftResult:
        tables = comparison.tables(reference, summary)
        return comparison.result(self, reference.count, summary, _measured(tables), _p_value(tables), "exchangeability")


def _unseen(tables: Tables) -> Values:
    return tables.summed(np.where(tables.reference == 0, tables.window, 0))


def _measured(tables: Tables) -> Measurement:
    rate = _unseen(tables) / np.maximum(tables.window_total, 1)
    singletons = tables.summed((tables.reference == 1).astype(np.float64))
    expected = singletons / np.maximum(tables.reference_total, 1)
    return comparison.measurement(tables.decided, rate, np.maximum(rate - expected, 0))


def _p_value(tables: Tables) -> Values:
    """1 where nothing is unseen."""
    once = (tables.reference + tables.window == 1) & ~tables.lumped
    events = tables.summed(np.where(once, tables.reference, 0)), tables.summed(np.where(once, tables.window, 0))
    exact = p_values((events[0], tables.reference_total), (events[1], tables.window_total), "greater")
    smaller = np.minimum(np.where(events[1] > 0, exact, 1), _bound(tables, ~once))
    return np.asarray(np.minimum(2 * smaller, 1), dtype=np.float64)


def _bound(tables: Tables, asked: NDArray[np.bool_]) -> Values:
    """Chernoff's bound of P(U >= u) for these cells; 1 where none is unseen."""
    unseen = tables.summed(np.where(asked & (tables.reference == 0), tables.window, 0))
    concerned = (unseen > 0) & tables.decided
    times = np.where(tables.lumped, 1, tables.reference + tables.window)
    asked = asked & concerned[tables.owners] & (times <= tables.window_total[tables.owners])
    owners, times = tables.owners[asked], times[asked]
    alike = np.where(tables.lumped, tables.window, 1)[asked]
    total = tables.reference_total + tables.window_total
    wholly = _log_probability(times, tables.window_total[owners], total[owners])
    odds = wholly - np.log1p(-np.exp(wholly))

    def summed(terms: Values) -> Values:
        return np.asarray(np.bincount(owners, weights=alike * terms, minlength=len(unseen)), dtype=np.float64)

    low, high = np.zeros(len(unseen)), np.log(np.maximum(total, 1)) + _SATURATED
    for _ in range(_HALVINGS):  # the logarithm of the product is convex; where it is not quite least, it still bounds
        middle = (low + high) / 2
        reached = summed(times * expit(odds + times * middle[owners])) >= unseen
        low, high = np.where(reached, low, middle), np.where(reached, middle, high)
    # log(1 + r (exp(xt) - 1)), with neither factor beyond its range
    logarithm = summed(np.log1p(-np.exp(wholly)) + np.logaddexp(0, odds + times * low[owners])) - low * unseen
    return np.where(concerned, np.exp(np.minimum(logarithm, 0)), 1.0)


def _log_probability(times: Values, window: Values, total: Values) -> Values:
    """That all of so many values are in the window."""
    some = gammaln(window + 1) - gammaln(window - times + 1) + gammaln(total - times + 1) - gammaln(total + 1)
    single: Values = np.log(window / total)
    return np.asarray(np.where(times == 1, single, np.minimum(some, single)), dtype=np.float64)
