"""What the tests on the ranks of both samples together have in common: all but the statistic and its law."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from detectors.rank import reference as references
from detectors.rank import values
from detectors.rank.placement import Placement
from detectors.rank.reference import RankReference
from detectors.rank.values import Values
from detectors.results import DriftResult, Measurement, Scope

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class JointRanks(ABC):
    """A test per feature whose summary is the sorted values of the window."""

    name: ClassVar[str]
    scope: ClassVar[Scope] = Scope.FEATURE
    bounded: ClassVar[bool] = False
    method: ClassVar[str]
    """How the p-value is had."""

    def fit(self, rows: Any, /) -> RankReference:
        """Sort the reference; raises `InvalidRows`, `TooFewRows`."""
        return references.fit(self, rows)

    def empty(self, reference: RankReference, /) -> Values:
        return values.empty(reference)

    def summarise(self, reference: RankReference, rows: Any, /) -> Values:
        return values.summarise(reference, rows)

    def restore(self, reference: RankReference, arrays: Mapping[str, NDArray[Any]], /) -> Values:
        return values.restored(reference, arrays)

    def measure(self, reference: RankReference, summary: Values, /) -> Measurement:
        return self._measured(reference, Placement.of(reference, summary), held=False)

    def measure_held_out(self, reference: RankReference, summary: Values, held: slice, /) -> Measurement:  # noqa: ARG002
        """See `detectors.calibration.LeavesOut`; the summary says all there is to know of the rows at `held`."""
        return self._measured(reference, Placement.of(reference, summary), held=True)

    def test(self, reference: RankReference, summary: Values, /) -> DriftResult:
        placement = Placement.of(reference, summary)
        measured = self._measured(reference, placement, held=False)
        return DriftResult(
            detector=self.name,
            scope=self.scope,
            statistic=measured.statistic,
            p_value=self._p_value(reference, placement, measured.statistic),
            effect=measured.effect,
            missing=summary.missing,
            reference_count=reference.count,
            window_count=summary.count,
            method=self.method,
            seed=None,
        )

    @abstractmethod
    def _measured(self, reference: RankReference, placement: Placement, *, held: bool) -> Measurement:
        """Shape (features,); NaN where there are too few values.

        Held values are a part of the reference, and are measured against its others.
        """

    @abstractmethod
    def _p_value(self, reference: RankReference, placement: Placement, statistic: Numbers) -> Numbers: ...
