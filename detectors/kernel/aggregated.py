"""Maximum mean discrepancy with several bandwidths at once, so that nobody has to choose one."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from detectors.kernel.gaussian import median_bandwidth
from detectors.kernel.maximum_mean_discrepancy import PermutationTest
from detectors.kernel.permutation import Totals
from detectors.kernel.tiles import Ladder, Values
from detectors.parameters import whole_number

MAXIMUM_BANDWIDTHS = 12

_WIDEST = 2.0  # times the median heuristic: wider kernels see little but the mean, and that this one sees as well
_OUT_OF_REACH = 1e-50  # of the kernel: below it no two rows are near enough to say anything


@dataclass(frozen=True, slots=True)
class AggregatedMaximumMeanDiscrepancy(PermutationTest):
    """Statistic: the largest normalised MMD^2 of all bandwidths. Effect: the MMD at that one (0 where it is negative).

    The median heuristic overlooks differences at a smaller scale than that of the data as a whole. Here the widest
    bandwidth is twice the median heuristic on the reference, and each further one half of the one before. So each
    kernel is the one before to the power of four, and costs two multiplications a pair.

    Each unbiased MMD^2 is divided by what depends on reference and window together, not on which rows are called
    reference, and all bandwidths share the permutations: so the test of the largest is as exact as that of one, and no
    correction for several tests is needed. This is how F. Biggs, A. Schrab and A. Gretton, "MMD-FUSE: Learning and
    Combining Kernels for Two-Sample Testing Without Data Splitting" (NeurIPS 2023) combine kernels. They divide by the
    root mean square of the kernel, under which wide kernels, whose values are all nearly one, hardly ever are the
    largest, and take a smooth maximum. Here it is that of the centred kernel, to which the deviation of MMD^2 over all
    permutations is proportional: so all bandwidths get a hearing, and a shift of the mean is found about as often as by
    the median heuristic.
    """

    name: ClassVar[str] = "aggregated_maximum_mean_discrepancy"

    bandwidths: int = 6
    """How many: with 6, from 2 down to 1/16 of the median heuristic."""

    def __post_init__(self) -> None:
        PermutationTest.__post_init__(self)
        whole_number("bandwidths", self.bandwidths, at_least=1, at_most=MAXIMUM_BANDWIDTHS)

    def _bandwidth(self, placed: Values, unit: float) -> float:  # noqa: ARG002 - it follows the rows, and has no unit
        return _WIDEST * median_bandwidth(placed, seed=self.seed)

    def _ladder(self) -> Ladder:
        return Ladder(self.bandwidths, squares=True)

    def _weights(self, totals: Totals) -> Values:
        spreads = totals.spreads()
        reached = spreads > _OUT_OF_REACH
        weights: Values = np.where(reached, 1 / np.where(reached, spreads, 1.0), 0.0)
        return weights
