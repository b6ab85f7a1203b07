"""The chi-square test of homogeneity: whether the categories of a feature are as frequent as they were."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from detectors import conditional
from detectors.arrays import measurable_rows
from detectors.frequency import comparison, counts, sparse
from detectors.frequency.cells import MAXIMUM_UNSEEN, categories, measured_columns
from detectors.frequency.comparison import FrequencyReference, Tables
from detectors.frequency.counts import Counts
from detectors.parameters import one_of
from detectors.results import DriftResult, Measurement, Scope

METHODS = ("automatic", "asymptotic")

_FEWEST_EXPECTED = (5, 5)  # by Cochran's rule; of two cells, Yates' correction sees to the rest


@dataclass(frozen=True, slots=True)
class ChiSquare:
    """Statistic, and where no category is rare p-value, are those of `scipy.stats.chi2_contingency` with its defaults.

    The table has a row for each sample, and a column for every category of either; of two columns, Yates' correction is
    made. Beyond 1024 categories that the reference does not have, the rest is one category.

    The chi-square law is asymptotic. Where a category is expected less than 5 times in the smaller sample and p-values
    are 0.25 or less, they are those of the law given the categories' totals (`detectors.conditional`), and
    `DriftResult.method` says `conditional`: of 100 categories as frequent as words are, 1000 rows against 20 alarm in
    22 % of windows at a level of 5 % by SciPy's p-values, and in 5 % by these.

    Effect: Cramer's V as if both samples had equally many values, sqrt(sum of (p - q)^2 / (p + q) / 2), from 0 to 1
    for no category in common. For samples of one size it is the ordinary V, which otherwise falls as one of them grows.
    """

    name: ClassVar[str] = "chi_square"
    scope: ClassVar[Scope] = Scope.FEATURE
    bounded: ClassVar[bool] = True

    method: str = "automatic"
    """`asymptotic`: SciPy's p-values, whatever the expected counts."""

    def __post_init__(self) -> None:
        one_of("method", self.method, METHODS)

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
        measured = _measured(tables)
        law = tables.law(measured.statistic)
        if self.method == "asymptotic":
            return comparison.result(self, reference.count, summary, measured, law, "chi-square")
        tested = (lambda each: _measured(each).statistic, law)
        return sparse.result(
            self, reference, summary, tables, measured, tested, _FEWEST_EXPECTED, kept_above=conditional.WORTH_IT
        )


def _measured(tables: Tables) -> Measurement:
    p, q = tables.shares()
    n, m = tables.reference_total[tables.owners], tables.window_total[tables.owners]
    both = np.maximum(tables.reference + tables.window, 1)
    effective = n * m / np.maximum(n + m, 1)
    yates = np.where(tables.freedom == 1, 0.5, 0.0)[tables.owners]
    # Observed less expected is the same in both rows of a column: +-(p - q) nm / (n + m).
    away = np.maximum(np.abs(p - q) * effective - yates, 0)
    statistic = tables.summed(away**2 / both * (n + m) / np.maximum(effective, 1e-300))
    effect = np.sqrt(tables.summed((p - q) ** 2 / np.maximum(p + q, 1e-300)) / 2)
    return comparison.measurement(tables.decided, statistic, np.minimum(effect, 1))
