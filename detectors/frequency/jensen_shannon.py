"""The Jensen-Shannon distance between window and reference, by intervals or by categories."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlog1py

from detectors.arrays import measurable_rows
from detectors.frequency import comparison, counts, sparse
from detectors.frequency.cells import MAXIMUM_BINS, cells_of
from detectors.frequency.comparison import FrequencyReference, Tables
from detectors.frequency.counts import Counts
from detectors.parameters import whole_number
from detectors.results import DriftResult, Measurement, Scope

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class JensenShannon:
    """Statistic and effect: the distance in base 2, as `scipy.spatial.distance.jensenshannon(p, q, base=2)`; 0 to 1.

    It is the root of the mean of the divergences of p and q from (p + q) / 2 (J. Lin, "Divergence measures based on the
    Shannon entropy", IEEE Transactions on Information Theory 37, 1991). Nothing is smoothed in it.

    P-value: with p = r + a and q = r + b, small a and b of sum zero, the divergence in nats is the sum of
    (a - b)^2 / (8 r) up to third order, and the shares of n and m values from one r make the sum of (a - b)^2 / r
    times nm / (n + m) chi-square with as many degrees of freedom as there are cells less one. So 8 nm / (n + m)
    times the divergence tends to that law (M. L. Menendez, J. A. Pardo, L. Pardo and M. C. Pardo, "The Jensen-Shannon
    divergence", Journal of the Franklin Institute 334B, 1997). To hold for a few values per cell it is applied to
    shares with one value per cell more, spread as both samples together are, and to the divergence over its mean up to
    second order, as M. S. Bartlett did (Proceedings of the Royal Society A 160, 1937). With v = n / (n + cells)^2 for
    the variance of the reference's shares, w for that of the window's, and R for the sum of 1/r, 8 times this mean is
    (cells - 1) (v + w) + (7 v^2 + 7 w^2 - 2 v w) (R - 2 cells + 1) / 8 - (v^2 + w^2) (R - 3 cells + 2) / 2.

    That is still a law for large samples, and far off where a category is rare, on either side. Where a cell is
    expected to hold less than 10 values of the smaller sample (of two cells, 100), p-values are those of the law given
    the cells' totals (`detectors.conditional`), for which categories that the reference does not have are told apart;
    `DriftResult.method` then says `conditional`.
    """

    name: ClassVar[str] = "jensen_shannon"
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
        law = tables.law(8 * _smoothed_divergence(apart) / _unit(tables))
        return sparse.result(self, reference, summary, apart, measured, (_smoothed_divergence, law))


def _measured(tables: Tables) -> Measurement:
    distance = np.sqrt(np.clip(_divergence(tables, *tables.shares()) / np.log(2), 0, 1))
    return comparison.measurement(tables.decided, distance, distance)


def _smoothed_divergence(apart: Tables) -> Values:
    tables = apart.together()
    return _divergence(tables, *tables.smoothed())


def _divergence(tables: Tables, p: Values, q: Values) -> Values:
    """In nats."""
    both = p + q
    apart = np.clip((p - q) / np.where(both > 0, both, 1), -1, 1)
    # Of r = (p + q) / 2 and p = r (1 + d), q = r (1 - d): the logarithms lose nothing where d is small.
    divergence = tables.summed(both * (xlog1py(1 + apart, apart) + xlog1py(1 - apart, -apart))) / 4
    return np.maximum(divergence, 0)


def _unit(tables: Tables) -> Values:
    """8 times the expected divergence, per degree of freedom."""
    v, w = tables.smoothed_variances()
    inverse, cells, squares = tables.inverse_shares(), tables.freedom + 1, v**2 + w**2
    excess = (7 * squares - 2 * v * w) * (inverse - 2 * cells + 1) / 8 - squares * (inverse - 3 * cells + 2) / 2
    return np.where(tables.decided, v + w + excess / np.maximum(tables.freedom, 1), 1.0)
