"""`MMDDrift` of alibi-detect."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from detectors.alibi.all_features import FARTHEST, AllFeatures, in_one_unit
from detectors.alibi.parameters import bandwidth, permutation_parameters
from detectors.arrays import Rows


@dataclass(frozen=True, slots=True)
class AlibiMMDDrift(AllFeatures):
    """`MMDDrift`. Statistic: the unbiased MMD^2 with a Gaussian kernel. Effect: its square root."""

    name: ClassVar[str] = "alibi_mmd_drift"

    p_val: float = 0.05
    """See `AlibiKSDrift.p_val`."""
    backend: str = "pytorch"
    """On the device of the reference rows, if they came as torch's; theirs is tensorflow, which the extra has not."""
    sigma: float | None = None
    """Bandwidth; None for their median heuristic."""
    n_permutations: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        permutation_parameters(self)
        bandwidth(self)

    def _prediction(self, alibi: Any, reference: Rows, window: Rows, device: Any, *, fewest: bool) -> Any:
        return alibi.MMDDrift(
            reference,
            backend=self.backend,
            p_val=self.p_val,
            sigma=None if self.sigma is None else np.array([self.sigma]),
            configure_kernel_from_x_ref=self.sigma is None,
            n_permutations=1 if fewest else self.n_permutations,
            device=device,
        ).predict(window)

    def _placed(self, reference: Rows, window: Rows) -> tuple[Rows, Rows]:
        if self.sigma is None:
            return in_one_unit(reference, window)
        # A bandwidth in the rows' own unit: what is far beyond any bandwidth stays there.
        return np.clip(reference, -FARTHEST, FARTHEST), np.clip(window, -FARTHEST, FARTHEST)
