"""What the tests on the ranks of both samples together have in common: all but the statistic and its law."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from detectors import conditional
from detectors.rank import reference as references
from detectors.rank import values
from detectors.rank.placement import Placement
from detectors.rank.reference import Integers, RankReference
from detectors.rank.ties import merged, tied, together
from detectors.rank.values import Values
from detectors.results import DriftResult, Measurement, Scope

Numbers = NDArray[np.float64]

CONDITIONAL = "conditional"
"""What `DriftResult.method` says where a p-value is that of the law given the ties: see `detectors.conditional`."""

# Values of the smaller sample expected to differ from the commonest one, where there are several and where there is one
# other: with fewer, statistics move in steps too large for a limiting law.
_FEWEST_APART = (10, 100)
_VERY_FEW = 2  # values of the smaller sample, tied or not


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
        probabilities = self._p_value(reference, placement, measured.statistic)
        asked = self._given_ties(reference, placement, probabilities)
        return DriftResult(
            detector=self.name,
            scope=self.scope,
            statistic=measured.statistic,
            p_value=probabilities,
            effect=measured.effect,
            missing=summary.missing,
            reference_count=reference.count,
            window_count=summary.count,
            method=CONDITIONAL if asked else self.method,
            seed=conditional.SEED if asked else None,
        )

    def _given_ties(self, reference: RankReference, placement: Placement, probabilities: Numbers) -> bool:
        """Put the law given the ties in the place of the limiting one where that does not hold, and say if it was put.

        Of more than `conditional.MOST_VALUES` distinct values, neighbours count as tied for it.
        """
        n, m = placement.counts()
        smaller = np.minimum(n, m)
        small = np.flatnonzero((smaller > 0) & (smaller <= _VERY_FEW)).tolist()
        asked = False
        for feature in sorted({*small, *tied(reference, placement)}):
            if probabilities[feature] <= conditional.WORTH_IT:
                equals, window = together(reference, placement, feature)
                apart = smaller[feature] * (1 - equals.max() / equals.sum())
                if apart < _FEWEST_APART[len(equals) == 2] or smaller[feature] <= _VERY_FEW:
                    equals, window = merged(equals, conditional.MOST_VALUES), merged(window, conditional.MOST_VALUES)
                    exact = conditional.p_value(equals, window, partial(self._statistics, equals), feature)
                    if not np.isnan(exact):
                        probabilities[feature], asked = exact, True
        return asked

    @abstractmethod
    def _measured(self, reference: RankReference, placement: Placement, *, held: bool) -> Measurement:
        """Shape (features,); NaN where there are too few values.

        Held values are a part of the reference, and are measured against its others.
        """

    @abstractmethod
    def _statistics(self, equals: Integers, window: Integers) -> Numbers:
        """What rises with the statistic, for any window's counts of shape (outcomes, distinct values).

        `equals` says how often each distinct value occurs in both samples.
        """

    @abstractmethod
    def _p_value(self, reference: RankReference, placement: Placement, statistic: Numbers) -> Numbers: ...
