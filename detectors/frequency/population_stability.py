"""The population stability index: how much information tells window from reference, by intervals or by categories."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import measurable_rows
from detectors.frequency import comparison, counts, sparse
from detectors.frequency.cells import MAXIMUM_BINS, cells_of
from detectors.frequency.comparison import FrequencyReference, Tables
from detectors.frequency.counts import Counts
from detectors.parameters import whole_number
from detectors.results import DriftResult, Measurement, Scope


@dataclass(frozen=True, slots=True)
class PopulationStabilityIndex:
    """Statistic and effect: PSI = sum of (q - p) log(q / p), natural, over a feature's cells.

    Empty cells would make it infinite. So each sample gets one value per cell more, spread over the cells as both
    samples together are: equal shares stay equal, and PSI stays 0 for them. Values that are in no category of the
    reference are one cell more.

    P-value: while nothing changes PSI / (1/n + 1/m) tends to the chi-square law with as many degrees of freedom as
    there are cells less one (B. Yurdakul, "Statistical properties of the population stability index", 2018). Two
    corrections make that hold for a few values per cell: with k values added to n, a share's variance is n / (n + k)^2
    instead of 1/n, say v; and PSI is divided by its mean up to second order, as M. S. Bartlett did (Proceedings of the
    Royal Society A 160, 1937). With w for the window and r for a cell's share of both samples, this is
    (cells - 1) (v + w) + (v^2 + w^2) (sum of 1/r - cells) / 2, from the moments of the multinomial law.

    That is still a law for large samples, and far off where a category is rare, on either side. Where a cell is
    expected to hold less than 10 values of the smaller sample (of two cells, 100), p-values are those of the law given
    the cells' totals (`detectors.conditional`), for which categories that the reference does not have are told apart;
    `DriftResult.method` then says `conditional`.
    """

    name: ClassVar[str] = "population_stability_index"
    scope: ClassVar[Scope] = Scope.FEATURE
    bounded: ClassVar[bool] = True

    bins: int | None = 10
    """Equally frequent intervals of the reference, each with 5 of its rows or more; None for its categories.

    A feature that repeats no more distinct values than this is taken by its categories."""

    def __post_init__(self) -> None:
        if self.bins is not None:
            whole_number("bins", self.bins, at_least=2, at_most=MAXIMUM_BINS)

    def fit(self, rows: Any, /) -> FrequencyReference:
        """Cut the intervals and count; raises `InvalidRows` for too many categories, `TooFewRows` for no row."""
        measurable = measurable_rows(rows)
        return comparison.fit(self, measurable, cells_of(measurable, self.bins))

    def empty(self, reference: FrequencyReference, /) -> Counts:
        return counts.empty(reference.digest, reference.cells)

    def summarise(self, reference: FrequencyReference, rows: Any, /) -> Counts:
        return counts.summarise(reference.digest, reference.cells, rows)

    def restore(self, reference: FrequencyReference, arrays: Mapping[str, NDArray[Any]], /) -> Counts:
        return counts.restored(reference.digest, reference.cells, arrays)

    def measure(self, reference: FrequencyReference, summary: Counts, /) -> Measurement:
        return _measured(comparison.tables(reference, summary).together())

    def measure_held_out(self, reference: FrequencyReference, summary: Counts, _held: slice, /) -> Measurement:
        """See `detectors.calibration.LeavesOut`; intervals stay those of all reference rows."""
        return _measured(comparison.tables(reference, summary, held_out=True).together())

    def test(self, reference: FrequencyReference, summary: Counts, /) -> DriftResult:
        apart = comparison.tables(reference, summary)
        tables = apart.together()
        measured = _measured(tables)
        law = tables.law(measured.statistic / _unit(tables))
        return sparse.result(self, reference, summary, apart, measured, (_statistic, law))


def _measured(tables: Tables) -> Measurement:
    p, q = tables.smoothed()
    index = np.maximum(tables.summed((q - p) * np.log(q / p)), 0)
    return comparison.measurement(tables.decided, index, index)


def _statistic(apart: Tables) -> NDArray[np.float64]:
    return _measured(apart.together()).statistic


def _unit(tables: Tables) -> NDArray[np.float64]:
    """The expected index per degree of freedom."""
    v, w = tables.smoothed_variances()
    excess = (v**2 + w**2) * (tables.inverse_shares() - tables.freedom - 1) / 2
    return np.where(tables.decided, v + w + excess / np.maximum(tables.freedom, 1), 1.0)
