"""Maximum mean discrepancy: whether all features together are distributed as they were, by a permutation test."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from detectors.arrays import Rows, checked_rows, frozen
from detectors.errors import TooFewRows
from detectors.identity import reference_digest, refuse_other
from detectors.kernel.gaussian import Frame, Matrix, kernel, kernel_within, median_bandwidth
from detectors.kernel.permutation import Blocks, discrepancy, discrepancy_without, p_value
from detectors.parameters import MAXIMUM_SEED, positive_number, whole_number, yes_or_no
from detectors.results import DriftResult, Measurement, Scope
from detectors.sample import rows as samples
from detectors.sample.rows import RowSample

MAXIMUM_ROWS = 10_000
MAXIMUM_PERMUTATIONS = 100_000

_OF_REFERENCE, _OF_WINDOW, _OF_PERMUTATIONS = range(3)  # one seed, three streams of random numbers


@dataclass(frozen=True, slots=True, eq=False)
class KernelReference:
    """The reference rows in units of the bandwidth, and the kernel between them."""

    digest: str
    count: int
    frame: Frame
    bandwidth: float
    """Sigma: in standardised units, or without standardising in the rows' own."""
    origins: samples.Positions
    """Which of the reference rows the test rests on."""
    rows: Rows
    """These, placed in the frame."""
    kernel: Matrix
    """Between different rows; zero on the diagonal."""

    @property
    def features(self) -> int:
        """Columns of the reference."""
        return int(self.rows.shape[1])


@dataclass(frozen=True, slots=True)
class MaximumMeanDiscrepancy:
    """Statistic: the unbiased MMD^2 with a Gaussian kernel. Effect: its square root (0 where it is negative).

    Gretton et al., JMLR 13 (2012), eq. 3. The effect is the distance between the two mean embeddings: it estimates the
    same number whatever the counts, is 0 for equal distributions and never above sqrt(2), because this kernel lies
    between 0 and 1. The permutation test is exact where the kernel does not depend on the labels; here bandwidth and
    standardisation come from the reference rows, as is usual, which is felt only for very few of them.
    """

    name: ClassVar[str] = "maximum_mean_discrepancy"
    scope: ClassVar[Scope] = Scope.JOINT

    permutations: int = 100
    """More of them allow smaller p-values: the smallest is 1 / (permutations + 1)."""
    seed: int = 0
    """Determines permutations and sub-samples."""
    standardise: bool = True
    """Divide every feature by its deviation in the reference, so that none counts more for its unit.

    Give it 50 rows or more: those few that it is fitted on would look too alike, and windows alarm too often."""
    maximum_reference_rows: int = 1000
    """Of more, a random choice is used; cost grows with the square."""
    maximum_window_rows: int = 1000
    """The same for the window."""
    bandwidth: float | None = None
    """Sigma; None for the median heuristic on the reference."""

    def __post_init__(self) -> None:
        whole_number("permutations", self.permutations, at_least=1, at_most=MAXIMUM_PERMUTATIONS)
        whole_number("seed", self.seed, at_least=0, at_most=MAXIMUM_SEED)
        yes_or_no("standardise", self.standardise)
        for parameter in ("maximum_reference_rows", "maximum_window_rows"):
            whole_number(parameter, getattr(self, parameter), at_least=2, at_most=MAXIMUM_ROWS)
        if self.bandwidth is not None:
            object.__setattr__(self, "bandwidth", positive_number("bandwidth", self.bandwidth))

    def fit(self, rows: Any, /) -> KernelReference:
        """Choose rows, scale and bandwidth, and compute the kernel; raises `InvalidRows`, `TooFewRows`."""
        checked = checked_rows(rows)
        if len(checked) < 2:
            raise TooFewRows(f"{len(checked)} reference rows, and at least 2 are needed")
        frame = Frame.around(checked, standardise=self.standardise)
        unit = 1.0 if self.standardise else frame.unit()
        origins = samples.at_most(checked, self.maximum_reference_rows, (self.seed, _OF_REFERENCE))
        chosen = checked[origins]
        bandwidth = median_bandwidth(frame.place(chosen)) if self.bandwidth is None else self.bandwidth / unit
        frame = frame.within(bandwidth)
        placed = frozen(frame.place(chosen))
        return KernelReference(
            digest=reference_digest(self, checked),
            count=len(checked),
            frame=frame,
            bandwidth=bandwidth * unit,
            origins=frozen(origins),
            rows=placed,
            kernel=frozen(kernel_within(placed)),
        )

    def empty(self, reference: KernelReference, /) -> RowSample:
        return samples.of(reference.digest, np.empty((0, reference.features)))

    def summarise(self, reference: KernelReference, rows: Any, /) -> RowSample:
        return samples.of(reference.digest, checked_rows(rows, features=reference.features))

    def measure(self, reference: KernelReference, summary: RowSample, /) -> Measurement:
        return _measurement(discrepancy(self._blocks(reference, summary)))

    def measure_held_out(self, reference: KernelReference, summary: RowSample, held: slice, /) -> Measurement:
        """See `detectors.calibration.LeavesOut`.

        Scale and bandwidth stay those of all reference rows, as they do when a window is measured.
        """
        blocks = self._blocks(reference, summary)
        left_out = np.flatnonzero((reference.origins >= held.start) & (reference.origins < held.stop))
        if len(reference.rows) - len(left_out) < 2:
            raise TooFewRows(f"{len(reference.rows) - len(left_out)} reference rows are left, and 2 are needed")
        return _measurement(discrepancy_without(blocks, left_out))

    def test(self, reference: KernelReference, summary: RowSample, /) -> DriftResult:
        blocks = self._blocks(reference, summary)
        observed = discrepancy(blocks)
        measured = _measurement(observed)
        probability = p_value(blocks, observed, self.permutations, (self.seed, _OF_PERMUTATIONS))
        reference_count, window_count = blocks.counts
        return DriftResult(
            detector=self.name,
            scope=self.scope,
            statistic=measured.statistic,
            p_value=np.array([probability]),
            effect=measured.effect,
            reference_count=reference_count,
            window_count=window_count,
            method="permutation",
            seed=self.seed,
        )

    def _blocks(self, reference: KernelReference, summary: RowSample) -> Blocks:
        refuse_other(reference.digest, summary)
        if summary.count < 2:
            raise TooFewRows(f"{summary.count} window rows, and at least 2 are needed")
        chosen = summary.rows[samples.at_most(summary.rows, self.maximum_window_rows, (self.seed, _OF_WINDOW))]
        placed = reference.frame.place(chosen)
        return Blocks(reference.kernel, kernel(reference.rows, placed), kernel_within(placed))


def _measurement(discrepancy: float) -> Measurement:
    return Measurement(statistic=np.array([discrepancy]), effect=np.sqrt(np.maximum(np.array([discrepancy]), 0)))
