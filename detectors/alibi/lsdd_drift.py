"""`LSDDDrift` of alibi-detect."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from detectors.alibi.all_features import AllFeatures, each_in_its_unit
from detectors.alibi.engine import UNMEASURED
from detectors.alibi.parameters import bandwidth, permutation_parameters, probability
from detectors.arrays import Rows
from detectors.parameters import whole_number


@dataclass(frozen=True, slots=True)
class AlibiLSDDDrift(AllFeatures):
    """`LSDDDrift`. Statistic: the squared L2 distance of two densities, features standardised by the reference.

    Effect: its square root. Where it finds too few different rows to place its kernels at, the result is NaN; that may
    first show in a permutation, so `measure` does them all.
    """

    name: ClassVar[str] = "alibi_lsdd_drift"

    p_val: float = 0.05
    """See `AlibiKSDrift.p_val`."""
    backend: str = "pytorch"
    """See `AlibiMMDDrift.backend`."""
    sigma: float | None = None
    """Bandwidth in standardised units; None for their median heuristic."""
    n_permutations: int = 100
    n_kernel_centers: int | None = None
    """Reference rows that are set aside for them, chosen by the seed; None for theirs."""
    lambda_rd_max: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        permutation_parameters(self)
        bandwidth(self)
        if self.n_kernel_centers is not None:
            whole_number("n_kernel_centers", self.n_kernel_centers, at_least=1, at_most=10_000)
        probability("lambda_rd_max", self.lambda_rd_max)

    def _prediction(self, alibi: Any, reference: Rows, window: Rows, device: Any, *, fewest: bool) -> Any:  # noqa: ARG002 - see above
        try:
            return alibi.LSDDDrift(
                reference,
                backend=self.backend,
                p_val=self.p_val,
                sigma=None if self.sigma is None else np.array([self.sigma]),
                n_permutations=self.n_permutations,
                n_kernel_centers=self.n_kernel_centers,
                lambda_rd_max=self.lambda_rd_max,
                device=device,
            ).predict(window)
        except ValueError:  # "Too many repeat instances", or rows that its matrices cannot be inverted for
            return UNMEASURED

    def _placed(self, reference: Rows, window: Rows) -> tuple[Rows, Rows]:
        return each_in_its_unit(reference, window)

    def _least_rows(self) -> int:
        return max(self.least_rows, 2 if self.n_kernel_centers is None else self.n_kernel_centers + 2)
