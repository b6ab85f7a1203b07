"""`KSDrift` of alibi-detect."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from detectors.alibi.each_feature import EachFeature
from detectors.alibi.parameters import ALTERNATIVES, probability
from detectors.arrays import Rows
from detectors.parameters import one_of


@dataclass(frozen=True, slots=True)
class AlibiKSDrift(EachFeature):
    """`KSDrift`. Statistic and effect: D. Theirs are float32 numbers."""

    name: ClassVar[str] = "alibi_ks_drift"

    p_val: float = 0.05
    """Theirs to decide by. What is measured does not depend on it, and what counts as drift is decided elsewhere."""
    alternative: str = "two-sided"

    def __post_init__(self) -> None:
        probability("p_val", self.p_val)
        one_of("alternative", self.alternative, ALTERNATIVES)

    def _engine(self, alibi: Any, reference: Rows, _columns: NDArray[np.intp]) -> Any:
        return alibi.KSDrift(reference, p_val=self.p_val, alternative=self.alternative)
