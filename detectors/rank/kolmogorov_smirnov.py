"""The two-sample Kolmogorov-Smirnov test: the largest distance between two distribution functions, per feature."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import checked_rows, frozen, some_at_a_time
from detectors.errors import TooFewRows
from detectors.identity import reference_digest, refuse_other
from detectors.parameters import one_of
from detectors.rank import counts, kolmogorov
from detectors.rank.counts import Counts, RankReference
from detectors.results import DriftResult, Measurement, Scope

ALTERNATIVES = ("two-sided", "less", "greater")


@dataclass(frozen=True, slots=True)
class KolmogorovSmirnov:
    """Statistic and effect are D; p-values are those of `scipy.stats.ks_2samp(reference, window, method="asymp")`.

    The two-sided p-value is the finite-sample law of one sample of nm/(n+m) rows, rounded; the one-sided ones are
    J. L. Hodges, "The significance probability of the Smirnov two-sample test", Arkiv för Matematik 3 (1958), eq. 5.3.
    """

    name: ClassVar[str] = "kolmogorov_smirnov"
    scope: ClassVar[Scope] = Scope.FEATURE

    alternative: str = "two-sided"
    """`greater`: the reference's distribution function lies above the window's somewhere; `less`: below it."""

    def __post_init__(self) -> None:
        one_of("alternative", self.alternative, ALTERNATIVES)

    def fit(self, rows: Any, /) -> RankReference:
        """Sort the reference; raises `InvalidRows`, `TooFewRows`."""
        checked = checked_rows(rows)
        if not len(checked):
            raise TooFewRows("no reference rows, and at least 1 is needed")
        return counts.fit(reference_digest(self, checked), checked)

    def empty(self, reference: RankReference, /) -> Counts:
        return counts.empty(reference)

    def summarise(self, reference: RankReference, rows: Any, /) -> Counts:
        return counts.summarise(reference, checked_rows(rows, features=reference.features))

    def measure(self, reference: RankReference, summary: Counts, /) -> Measurement:
        """D; raises `TooFewRows` for no rows, and for one row against one, whose law SciPy leaves undefined."""
        refuse_other(reference.digest, summary)
        if summary.count == 0 or summary.count == reference.count == 1:
            raise TooFewRows(f"{summary.count} rows against {reference.count} of the reference; one more is needed")
        distance = self._distance(reference, summary)
        return Measurement(statistic=distance, effect=distance)

    def measure_held_out(self, reference: RankReference, summary: Counts, held: slice, /) -> Measurement:
        """The same as `measure` against a reference fitted without the summarised rows, those at `held`.

        The distribution function of the others is (n F - m W) / (n - m), so its distance to W is n / (n - m) times that
        between F and W.
        """
        others = reference.count - (held.stop - held.start)
        if others < 1:
            raise TooFewRows(f"{reference.count} reference rows, of which {summary.count} are held out, leave too few")
        distance = self.measure(reference, summary).statistic * (reference.count / others)
        return Measurement(statistic=distance, effect=distance)

    def test(self, reference: RankReference, summary: Counts, /) -> DriftResult:
        measured = self.measure(reference, summary)
        return DriftResult(
            detector=self.name,
            scope=self.scope,
            statistic=measured.statistic,
            p_value=self._p_value(reference.count, summary.count, measured.statistic),
            effect=measured.effect,
            reference_count=reference.count,
            window_count=summary.count,
            method="kstwo" if self.alternative == "two-sided" else "hodges",
            seed=None,
        )

    def _distance(self, reference: RankReference, summary: Counts) -> NDArray[np.float64]:
        # The reference is flat between its values, so the extremes lie at a window row or just before one. Of equals
        # the last is the extreme one upwards and the first downwards, so that ties need no care.
        steps = np.arange(summary.count + 1) / summary.count
        largest = np.zeros(reference.features)
        for features in some_at_a_time(reference.features, summary.count):
            if self.alternative != "greater":
                fraction = reference.fraction_not_above(summary.cells, features)
                above = np.subtract(steps[1:], fraction, out=fraction).max(axis=1)
                np.maximum(largest[features], above, out=largest[features])
            if self.alternative != "less":
                fraction = reference.fraction_below(summary.cells, features)
                below = np.subtract(fraction, steps[:-1], out=fraction).max(axis=1)
                np.maximum(largest[features], below, out=largest[features])
        return frozen(largest)

    def _p_value(self, reference: int, window: int, distance: NDArray[np.float64]) -> NDArray[np.float64]:
        larger, smaller = float(max(reference, window)), float(min(reference, window))
        effective = larger * smaller / (larger + smaller)
        if self.alternative == "two-sided":
            return kolmogorov.survival(round(effective), distance)
        z = np.sqrt(effective) * distance
        skew = (larger + 2 * smaller) / np.sqrt(larger * smaller * (larger + smaller)) / 3.0
        probability: NDArray[np.float64] = np.clip(np.exp(-2 * z**2 - 2 * z * skew), 0, 1)
        return probability
