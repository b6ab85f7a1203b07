"""The two-sample Kolmogorov-Smirnov test: the largest distance between two distribution functions, per feature."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from detectors.identity import refuse_other
from detectors.parameters import one_of
from detectors.rank import counts, kolmogorov, lattice
from detectors.rank import reference as references
from detectors.rank.counts import Counts
from detectors.rank.extremes import Extremes
from detectors.rank.reference import RankReference
from detectors.results import DriftResult, Measurement, Scope

ALTERNATIVES = ("two-sided", "less", "greater")
METHODS = ("asymp", "exact")


@dataclass(frozen=True, slots=True)
class KolmogorovSmirnov:
    """Statistic and effect are D; p-values are those of `scipy.stats.ks_2samp(reference, window, method=method)`.

    `DriftResult.method` says which law they come from: `kstwo` (two-sided, SciPy's `asymp`), `hodges` (one-sided,
    SciPy's `asymp`) or `exact`.
    """

    name: ClassVar[str] = "kolmogorov_smirnov"
    scope: ClassVar[Scope] = Scope.FEATURE
    bounded: ClassVar[bool] = True

    alternative: str = "two-sided"
    """`greater`: the reference's distribution function lies above the window's somewhere; `less`: below it."""
    method: str = "asymp"
    """`exact`: count orders, as long as n times m is at most 4 000 000; beyond, fall back on `asymp`.

    Where features have different numbers of values, because some are missing, these products are summed."""

    def __post_init__(self) -> None:
        one_of("alternative", self.alternative, ALTERNATIVES)
        one_of("method", self.method, METHODS)

    def fit(self, rows: Any, /) -> RankReference:
        """Sort the reference; raises `InvalidRows`, `TooFewRows`."""
        return references.fit(self, rows)

    def empty(self, reference: RankReference, /) -> Counts:
        return counts.empty(reference)

    def summarise(self, reference: RankReference, rows: Any, /) -> Counts:
        return counts.summarise(reference, rows)

    def restore(self, reference: RankReference, arrays: Mapping[str, NDArray[Any]], /) -> Counts:
        return counts.restored(reference, arrays)

    def measure(self, reference: RankReference, summary: Counts, /) -> Measurement:
        """D; NaN where a value is missing in all rows, and for one value against one, whose law is undefined."""
        distance = self._extremes(reference, summary).distance
        return Measurement(statistic=distance, effect=distance)

    def measure_held_out(self, reference: RankReference, summary: Counts, held: slice, /) -> Measurement:  # noqa: ARG002
        """See `detectors.calibration.LeavesOut`.

        The distribution function of the others is (n F - m W) / (n - m), so its distance to W is n / (n - m) times that
        between F and W.
        """
        extremes = self._extremes(reference, summary)
        n, m = extremes.reference_values, extremes.window_values
        enough = (n > m) & ((n > 2) | (m > 1))
        distance = np.where(enough, extremes.distance * (n / np.maximum(n - m, 1)), np.nan)
        return Measurement(statistic=distance, effect=distance)

    def test(self, reference: RankReference, summary: Counts, /) -> DriftResult:
        extremes = self._extremes(reference, summary)
        probability, method = self._p_value(extremes)
        return DriftResult(
            detector=self.name,
            scope=self.scope,
            statistic=extremes.distance,
            p_value=probability,
            effect=extremes.distance,
            missing=summary.missing,
            reference_count=reference.count,
            window_count=summary.count,
            method=method,
            seed=None,
        )

    def _extremes(self, reference: RankReference, summary: Counts) -> Extremes:
        refuse_other(reference.digest, summary)
        return Extremes.of(reference, summary, self.alternative)

    def _p_value(self, extremes: Extremes) -> tuple[NDArray[np.float64], str]:
        alike = list(extremes.alike())
        exact = self.method == "exact" and sum(n * m for n, m, _ in alike) <= lattice.MAXIMUM_PAIRS
        probability = np.full(extremes.distance.shape, np.nan)
        for n, m, features in alike:
            if exact:
                probability[features] = lattice.survival(n, m, extremes.reached[features], self.alternative)
            else:
                probability[features] = kolmogorov.p_value_of(n, m, extremes.reached[features], self.alternative)
        return probability, "exact" if exact else "kstwo" if self.alternative == "two-sided" else "hodges"
