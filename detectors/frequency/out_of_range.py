"""Out of range: whether values beyond the reference's extremes are more frequent than new ones always are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from detectors.arrays import Rows, frozen, measurable_rows
from detectors.errors import TooFewRows
from detectors.frequency import comparison, counts
from detectors.frequency.cells import Cells
from detectors.frequency.counts import Counts
from detectors.identity import reference_digest, refuse_other
from detectors.results import DriftResult, Measurement, Scope

Values = NDArray[np.float64]

_CHUNK = 1024  # rows whose extremes are remembered together


@dataclass(frozen=True, slots=True, eq=False)
class RangeReference:
    """The reference's extremes, and what it takes to have them without some of its rows."""

    digest: str
    rows: Rows
    lowest: Values
    """Shape (chunks, features): of each 1024 rows; infinite where all are missing."""
    highest: Values
    measured: NDArray[np.int64]
    """Shape (features,): values that are not missing."""

    @property
    def count(self) -> int:
        """Reference rows."""
        return len(self.rows)

    @property
    def features(self) -> int:
        """Columns of the reference."""
        return int(self.rows.shape[1])

    def extremes(self) -> tuple[Values, Values]:
        """The smallest and the largest value of each feature."""
        return self.lowest.min(axis=0), self.highest.max(axis=0)

    def extremes_without(self, held: slice) -> tuple[Values, Values]:
        """The same of the rows that are not at `held`."""
        first, last = held.start // _CHUNK, -(-held.stop // _CHUNK)
        around = self.rows[first * _CHUNK : held.start], self.rows[held.stop : last * _CHUNK]
        lowest = np.concatenate([self.lowest[:first], *around, self.lowest[last:]])
        highest = np.concatenate([self.highest[:first], *around, self.highest[last:]])
        return np.fmin.reduce(lowest, axis=0, initial=np.inf), np.fmax.reduce(highest, axis=0, initial=-np.inf)


@dataclass(frozen=True, slots=True)
class OutOfRange:
    """Statistic and effect: the share of window values below the smallest or above the largest of the reference.

    P-value: of n reference values and m new ones in any order, each order equally probable, the number beyond the
    extremes is as that below the second smallest reference value, a beta-binomial of m with parameters 2 and n - 1. It
    is at least x if and only if the x + 1 smallest of all have at most one of the reference among them. That is exact
    for values that are independent and never equal, and conservative for ties, which are not beyond.
    """

    name: ClassVar[str] = "out_of_range"
    scope: ClassVar[Scope] = Scope.FEATURE
    bounded: ClassVar[bool] = True

    def fit(self, rows: Any, /) -> RangeReference:
        """Find the extremes; raises `InvalidRows`, `TooFewRows`."""
        measurable = measurable_rows(rows)
        if not len(measurable):
            raise TooFewRows("no reference rows, and at least 1 is needed")
        starts = np.arange(0, len(measurable), _CHUNK)
        lowest, highest = np.fmin.reduceat(measurable, starts, axis=0), np.fmax.reduceat(measurable, starts, axis=0)
        return RangeReference(
            digest=reference_digest(self, measurable),
            rows=frozen(measurable.copy()),
            lowest=frozen(np.where(np.isnan(lowest), np.inf, lowest)),
            highest=frozen(np.where(np.isnan(highest), -np.inf, highest)),
            measured=frozen((~np.isnan(measurable)).sum(axis=0, dtype=np.int64)),
        )

    def empty(self, reference: RangeReference, /) -> Counts:
        return self.summarise(reference, np.empty((0, reference.features)))

    def summarise(self, reference: RangeReference, rows: Any, /) -> Counts:
        measurable = measurable_rows(rows, features=reference.features)
        return _counted(reference.digest, measurable, *reference.extremes())

    def restore(self, reference: RangeReference, arrays: Mapping[str, NDArray[Any]], /) -> Counts:
        one_each = Cells.of([np.zeros(1)] * reference.features, [False] * reference.features)
        return counts.restored(reference.digest, one_each, arrays)

    def measure(self, reference: RangeReference, summary: Counts, /) -> Measurement:
        refuse_other(reference.digest, summary)
        return _measured(reference.measured, summary)

    def measure_held_out(self, reference: RangeReference, summary: Counts, held: slice, /) -> Measurement:
        """See `detectors.calibration.LeavesOut`; the same as fitting without the rows."""
        refuse_other(reference.digest, summary)
        counted = _counted(reference.digest, reference.rows[held], *reference.extremes_without(held))
        return _measured(reference.measured - counted.measured, counted)

    def test(self, reference: RangeReference, summary: Counts, /) -> DriftResult:
        measured = self.measure(reference, summary)
        p_value = _at_least(summary.others, reference.measured, summary.measured)
        return comparison.result(self, reference.count, summary, measured, p_value, "exchangeability")


def _counted(digest: str, rows: Rows, lowest: Values, highest: Values) -> Counts:
    inside = ((rows >= lowest) & (rows <= highest)).sum(axis=0, dtype=np.int64)
    missing = np.isnan(rows).sum(axis=0, dtype=np.int64)
    return counts.in_one_cell(digest, missing, inside, len(rows) - missing - inside)


def _measured(reference_values: NDArray[np.int64], summary: Counts) -> Measurement:
    rate = summary.others / np.maximum(summary.measured, 1)
    return comparison.measurement((reference_values > 0) & (summary.measured > 0), rate, rate)


def _at_least(
    beyond: NDArray[np.int64], reference_values: NDArray[np.int64], window_values: NDArray[np.int64]
) -> Values:
    """P(X >= x): the x + 1 smallest of all are of the window, or one of them is not."""
    x, n, m = (each.astype(np.float64) for each in (beyond, reference_values, window_values))
    n = np.maximum(n, 1)
    # m! / (m - x)! (n + m - x - 1)! / (n + m)!, which is the number of orders of x window values over that of x + 1
    orders = gammaln(m + 1) - gammaln(m - x + 1) + gammaln(n + m - x) - gammaln(n + m + 1)
    probability = np.exp(orders + np.log(m - x + n * (x + 1)))
    return np.where(x == 0, 1.0, np.minimum(probability, 1))
