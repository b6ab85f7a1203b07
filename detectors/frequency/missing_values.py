"""Missing values: whether a feature lacks as many of them as it did."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import measurable_rows
from detectors.frequency import comparison, counts, hypergeometric
from detectors.frequency.cells import Cells, measured_columns
from detectors.frequency.comparison import FrequencyReference
from detectors.frequency.counts import Counts
from detectors.identity import refuse_other
from detectors.results import DriftResult, Measurement, Scope


@dataclass(frozen=True, slots=True)
class MissingValues:
    """Statistic and effect: the absolute difference between the shares of values that are missing.

    P-value: Fisher's exact test, two-sided, which is right for rates of zero as well. Missing values are what is
    measured here: a window that has nothing else is decided too.
    """

    name: ClassVar[str] = "missing_values"
    scope: ClassVar[Scope] = Scope.FEATURE
    bounded: ClassVar[bool] = True

    def fit(self, rows: Any, /) -> FrequencyReference:
        """Count what is missing; raises `InvalidRows`, `TooFewRows`."""
        measurable = measurable_rows(rows)
        features = len(measured_columns(measurable))
        everything = Cells.of([np.array([np.inf])] * features, [True] * features)
        return comparison.fit(self, measurable, everything)

    def empty(self, reference: FrequencyReference, /) -> Counts:
        return counts.empty(reference.digest, reference.cells)

    def summarise(self, reference: FrequencyReference, rows: Any, /) -> Counts:
        return counts.summarise(reference.digest, reference.cells, rows)

    def restore(self, reference: FrequencyReference, arrays: Mapping[str, NDArray[Any]], /) -> Counts:
        return counts.restored(reference.digest, reference.cells, arrays)

    def measure(self, reference: FrequencyReference, summary: Counts, /) -> Measurement:
        refuse_other(reference.digest, summary)
        return _measured(reference.missing, reference.count, summary)

    def measure_held_out(self, reference: FrequencyReference, summary: Counts, _held: slice, /) -> Measurement:
        """See `detectors.calibration.LeavesOut`; the same as fitting without the rows."""
        refuse_other(reference.digest, summary)
        return _measured(reference.missing - summary.missing, reference.count - summary.count, summary)

    def test(self, reference: FrequencyReference, summary: Counts, /) -> DriftResult:
        measured = self.measure(reference, summary)
        rows = (
            np.full(len(summary.missing), float(reference.count)),
            np.full(len(summary.missing), float(summary.count)),
        )
        p_value = hypergeometric.p_values(
            (reference.missing.astype(np.float64), rows[0]), (summary.missing.astype(np.float64), rows[1]), "two-sided"
        )
        return comparison.result(self, reference.count, summary, measured, p_value, "hypergeometric")


def _measured(missing: NDArray[np.int64], rows: int, summary: Counts) -> Measurement:
    difference = np.abs(summary.missing / max(summary.count, 1) - missing / max(rows, 1))
    decided = np.full(difference.shape, rows > 0 and summary.count > 0)
    return comparison.measurement(decided, difference, difference)
