"""Maximum mean discrepancy: whether all features together are distributed as they were, by a permutation test."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Rows, backend_of, complete, frozen, measurable_rows
from detectors.errors import TooFewRows
from detectors.identity import reference_digest, refuse_other
from detectors.kernel.gaussian import Frame, median_bandwidth
from detectors.kernel.permutation import KnownRows, Totals, p_value, statistic
from detectors.kernel.tiles import Ladder, Values
from detectors.kernel.witness import at_complete_rows, witness
from detectors.parameters import MAXIMUM_SEED, positive_number, whole_number, yes_or_no
from detectors.results import DriftResult, Measurement, Scope
from detectors.sample import rows as samples
from detectors.sample.rows import RowSample

MAXIMUM_ROWS = 100_000
"""Of the reference, and of the window."""
MAXIMUM_PERMUTATIONS = 100_000

_OF_REFERENCE, _OF_WINDOW, _OF_PERMUTATIONS = range(3)  # one seed, three streams of random numbers
_NOTHING_MEASURED = Measurement(statistic=frozen(np.array([np.nan])), effect=frozen(np.array([np.nan])))


@dataclass(frozen=True, slots=True, eq=False)
class KernelReference:
    """The reference rows in units of the bandwidth, and the kernel between them."""

    digest: str
    count: int
    frame: Frame
    bandwidth: float
    """Sigma, the largest of them: in standardised units, or without standardising in the rows' own."""
    origins: samples.Positions
    """Which of the reference rows the test rests on."""
    known: KnownRows
    """These, placed in the frame."""

    @property
    def features(self) -> int:
        """Columns of the reference."""
        return int(self.known.rows.shape[1])


@dataclass(frozen=True, slots=True)
class PermutationTest:
    """What tests with one and with several bandwidths share.

    Rows with a missing value are left out. Kernels are computed in the array library, and on the device, that the
    reference rows came in; labellings are drawn on the host, so that all libraries test the same ones. Memory is
    bounded whatever the rows: see `detectors.kernel.tiles` and `detectors.kernel.permutation`.
    """

    name: ClassVar[str]
    scope: ClassVar[Scope] = Scope.JOINT
    bounded: ClassVar[bool] = False

    permutations: int = 100
    """More of them allow smaller p-values: the smallest is 1 / (permutations + 1)."""
    seed: int = 0
    """Determines, together with the rows, permutations and sub-samples."""
    standardise: bool = True
    """Divide every feature by the deviation of its bulk in the reference, so that none counts more for its unit.

    Give it 50 rows or more: those few that it is fitted on would look too alike, and windows alarm too often."""
    maximum_reference_rows: int = 1000
    """Of more, a random choice is used; cost grows with the square."""
    maximum_window_rows: int = 1000
    """The same for the window."""

    def __post_init__(self) -> None:
        whole_number("permutations", self.permutations, at_least=1, at_most=MAXIMUM_PERMUTATIONS)
        whole_number("seed", self.seed, at_least=0, at_most=MAXIMUM_SEED)
        yes_or_no("standardise", self.standardise)
        for parameter in ("maximum_reference_rows", "maximum_window_rows"):
            whole_number(parameter, getattr(self, parameter), at_least=2, at_most=MAXIMUM_ROWS)

    def work_of_fitting(self, rows: int, features: int, /) -> int:
        """See `detectors.protocols.WorksHarder`: the kernel between the chosen rows."""
        return min(rows, self.maximum_reference_rows) ** 2 * (self._ladder().levels + features // 32)

    def fit(self, rows: Any, /) -> KernelReference:
        """Choose rows, scale and bandwidth, and compute the kernel; raises `InvalidRows`, `TooFewRows`."""
        measurable = measurable_rows(rows)
        whole = complete(measurable)
        if len(whole) < 2:
            raise TooFewRows(f"{len(whole)} complete reference rows, and at least 2 are needed")
        frame = Frame.around(whole, standardise=self.standardise, length=self._length())
        unit = 1.0 if self.standardise else frame.unit()
        positions = samples.at_most(whole, self.maximum_reference_rows, (self.seed, _OF_REFERENCE))
        chosen = whole[positions]
        bandwidth = self._bandwidth(frame.place(chosen), unit)
        frame = frame.within(bandwidth)
        return KernelReference(
            digest=reference_digest(self, measurable),
            count=len(measurable),
            frame=frame,
            bandwidth=bandwidth * unit,
            origins=frozen(np.flatnonzero(~np.isnan(measurable).any(axis=1))[positions]),
            known=KnownRows.of(frame.place(chosen), backend_of(rows), self._ladder()),
        )

    def empty(self, reference: KernelReference, /) -> RowSample:
        return samples.of(reference.digest, np.empty((0, reference.features)), reference.features)

    def summarise(self, reference: KernelReference, rows: Any, /) -> RowSample:
        return samples.of(reference.digest, rows, reference.features)

    def restore(self, reference: KernelReference, arrays: Mapping[str, NDArray[Any]], /) -> RowSample:
        return samples.restored(reference.digest, reference.features, arrays)

    def measure(self, reference: KernelReference, summary: RowSample, /) -> Measurement:
        window = reference.frame.place(self._window(reference, summary))
        return _NOTHING_MEASURED if len(window) < 2 else self._measurement(reference.known.totals(window))

    def measure_held_out(self, reference: KernelReference, summary: RowSample, held: slice, /) -> Measurement:
        """See `detectors.calibration.LeavesOut`.

        Scale and bandwidth stay those of all reference rows, as they do when a window is measured.
        """
        window = reference.frame.place(self._window(reference, summary))
        left_out = np.flatnonzero((reference.origins >= held.start) & (reference.origins < held.stop))
        if len(window) < 2 or len(reference.origins) - len(left_out) < 2:
            return _NOTHING_MEASURED
        return self._measurement(reference.known.totals_without(left_out, window))

    def test(self, reference: KernelReference, summary: RowSample, /) -> DriftResult:
        window = self._window(reference, summary)
        measured, probability = _NOTHING_MEASURED, np.nan
        if len(window) >= 2:
            seed = samples.seed_of((self.seed, _OF_PERMUTATIONS), window)
            totals, permuted = reference.known.permuted(reference.frame.place(window), self.permutations, seed)
            measured, probability = self._measurement(totals), p_value(totals, permuted, self._weights(totals))
        return DriftResult(
            detector=self.name,
            scope=self.scope,
            statistic=measured.statistic,
            p_value=np.array([probability]),
            effect=measured.effect,
            missing=np.array([summary.missing]),
            reference_count=len(reference.origins),
            window_count=len(window) + summary.missing,
            method="permutation",
            seed=self.seed,
        )

    def witness(self, reference: KernelReference, rows: Any, /) -> Values:
        """See `detectors.explanation.HasWitness`. Of several bandwidths, with the one that the statistic is of."""

        def at(whole: Rows) -> Values:
            placed = reference.frame.place(whole)
            chosen = samples.at_most(whole, self.maximum_window_rows, (self.seed, _OF_WINDOW))
            narrower = 2.0 ** self._kernel(reference, placed[chosen])
            return witness(reference.known.backend, placed * narrower, chosen, reference.known.rows * narrower)

        return at_complete_rows(rows, reference.features, at)

    def _kernel(self, reference: KernelReference, window: Rows) -> int:
        """Which of the kernels the statistic is of; the first where there is no other."""
        if len(window) < 2 or reference.known.ladder.kernels == 1:
            return 0
        totals = reference.known.totals(window)
        return self._largest(totals.discrepancies(), self._weights(totals))

    def _window(self, reference: KernelReference, summary: RowSample) -> Rows:
        """The window rows that a test rests on, in canonical order."""
        refuse_other(reference.digest, summary)
        return summary.rows[samples.at_most(summary.rows, self.maximum_window_rows, (self.seed, _OF_WINDOW))]

    def _measurement(self, totals: Totals) -> Measurement:
        discrepancies, weights = totals.discrepancies(), self._weights(totals)
        largest = statistic(discrepancies, weights)
        where = self._largest(discrepancies, weights)
        return Measurement(statistic=largest.reshape(1), effect=np.sqrt(np.maximum(discrepancies[where], 0)).reshape(1))

    @staticmethod
    def _largest(discrepancies: Values, weights: Values) -> int:
        return int(np.where(weights > 0, discrepancies * weights, -np.inf).argmax())

    def _length(self) -> float:
        """A bandwidth that is given; zero where it comes from the rows."""
        return 0.0

    def _bandwidth(self, placed: Values, unit: float) -> float:
        """Of the first kernel, in the frame; `unit` is what 1 in the frame is in the rows' own unit."""
        raise NotImplementedError

    def _ladder(self) -> Ladder:
        raise NotImplementedError

    def _weights(self, totals: Totals) -> Values:
        """Shape (kernels,): what the statistic takes each MMD^2 by; zero leaves a kernel out."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class MaximumMeanDiscrepancy(PermutationTest):
    """Statistic: the unbiased MMD^2 with a Gaussian kernel. Effect: its square root (0 where it is negative).

    Gretton et al., JMLR 13 (2012), eq. 3. The effect is the distance between the two mean embeddings: it estimates the
    same number whatever the counts, is 0 for equal distributions and never above sqrt(2), because this kernel lies
    between 0 and 1. The permutation test is exact where the kernel does not depend on the labels; here bandwidth and
    standardisation come from the reference rows, as is usual, which is felt only for very few of them.
    """

    name: ClassVar[str] = "maximum_mean_discrepancy"

    bandwidth: float | None = None
    """Sigma; None for the median heuristic on the reference."""

    def __post_init__(self) -> None:
        PermutationTest.__post_init__(self)
        if self.bandwidth is not None:
            object.__setattr__(self, "bandwidth", positive_number("bandwidth", self.bandwidth))

    def _length(self) -> float:
        return self.bandwidth or 0.0

    def _bandwidth(self, placed: Values, unit: float) -> float:
        return median_bandwidth(placed, seed=self.seed) if self.bandwidth is None else self.bandwidth / unit

    def _ladder(self) -> Ladder:
        return Ladder()

    def _weights(self, totals: Totals) -> Values:  # noqa: ARG002 - one kernel has nothing to be weighed against
        return np.ones(1)
