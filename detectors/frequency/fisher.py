"""Fisher's exact test: whether an event is as frequent as it was."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import measurable_rows
from detectors.errors import InvalidParameter, InvalidRows
from detectors.frequency import comparison, counts, hypergeometric
from detectors.frequency.cells import Cells, measured_columns
from detectors.frequency.comparison import FrequencyReference
from detectors.frequency.counts import Counts, Integers
from detectors.frequency.hypergeometric import ALTERNATIVES
from detectors.identity import refuse_other
from detectors.parameters import MAXIMUM, one_of
from detectors.results import DriftResult, Measurement, Scope

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FisherExact:
    """Statistic: the difference between the event's shares, window less reference, in the alternative's direction.

    Two-sided it is absolute, one-sided 0 where the window lies on the other side. Effect: Cohen's h of the shares,
    |2 asin(sqrt(q)) - 2 asin(sqrt(p))|, from 0 to pi, on the same side. P-value: that of `scipy.stats.fisher_exact` for
    [[events, other values] of the window, [events, other values] of the reference].
    """

    name: ClassVar[str] = "fisher_exact"
    scope: ClassVar[Scope] = Scope.FEATURE
    bounded: ClassVar[bool] = True

    alternative: str = "two-sided"
    """`greater`: the event is more frequent in the window; `less`: in the reference."""
    event: float | None = None
    """The value that is the event; every other one is not.

    None for features of two values in the reference: it is 1 where these are 0 and 1, or one of the two, and otherwise
    the larger one."""

    def __post_init__(self) -> None:
        one_of("alternative", self.alternative, ALTERNATIVES)
        if self.event is not None:
            object.__setattr__(self, "event", _finite_number(self.event))

    def fit(self, rows: Any, /) -> FrequencyReference:
        """Count the events; raises `TooFewRows` for no row, `InvalidRows` for a feature of more than two values."""
        measurable = measurable_rows(rows)
        columns = measured_columns(measurable)
        events = [
            _event(feature, column) if self.event is None else self.event for feature, column in enumerate(columns)
        ]
        return comparison.fit(self, measurable, Cells.of([np.array([each]) for each in events], [False] * len(events)))

    def empty(self, reference: FrequencyReference, /) -> Counts:
        return counts.empty(reference.digest, reference.cells)

    def summarise(self, reference: FrequencyReference, rows: Any, /) -> Counts:
        return counts.summarise(reference.digest, reference.cells, rows)

    def restore(self, reference: FrequencyReference, arrays: Mapping[str, NDArray[Any]], /) -> Counts:
        return counts.restored(reference.digest, reference.cells, arrays)

    def measure(self, reference: FrequencyReference, summary: Counts, /) -> Measurement:
        refuse_other(reference.digest, summary)
        return self._measured(reference.known, reference.count - reference.missing, summary)

    def measure_held_out(self, reference: FrequencyReference, summary: Counts, _held: slice, /) -> Measurement:
        """See `detectors.calibration.LeavesOut`; which value is the event is decided by all reference rows."""
        refuse_other(reference.digest, summary)
        others = reference.count - reference.missing - summary.measured
        return self._measured(reference.known - summary.known, others, summary)

    def test(self, reference: FrequencyReference, summary: Counts, /) -> DriftResult:
        measured = self.measure(reference, summary)
        p_value = hypergeometric.p_values(
            (reference.known.astype(np.float64), (reference.count - reference.missing).astype(np.float64)),
            (summary.known.astype(np.float64), summary.measured.astype(np.float64)),
            self.alternative,
        )
        return comparison.result(self, reference.count, summary, measured, p_value, "hypergeometric")

    def _measured(self, events: Integers, values: Integers, summary: Counts) -> Measurement:
        p, q = events / np.maximum(values, 1), summary.known / np.maximum(summary.measured, 1)
        decided = (values > 0) & (summary.measured > 0)
        angle = 2 * (np.arcsin(np.sqrt(q)) - np.arcsin(np.sqrt(p)))
        return comparison.measurement(decided, self._towards(q - p), self._towards(angle))

    def _towards(self, difference: Values) -> Values:
        if self.alternative == "two-sided":
            return np.abs(difference)
        return np.maximum(difference if self.alternative == "greater" else -difference, 0)


def _finite_number(event: object) -> float:
    if type(event) not in {int, float} or not -MAXIMUM <= event <= MAXIMUM:  # type: ignore[operator]
        raise InvalidParameter("event", "event is a finite number or nothing")
    return float(event) + 0.0  # type: ignore[arg-type]  # -0.0 and 0.0 are one value


def _event(feature: int, column: Values) -> float:
    distinct = np.unique(column)
    if len(distinct) > 2:
        found = f"column {feature} has {len(distinct)} distinct values, and an exact test is of two"
        raise InvalidRows(f"{found}; say which one is the `event`, or use chi_square")
    if np.isin(distinct, (0.0, 1.0)).all():
        return 1.0
    return float(distinct[-1])
