"""Outlying rows: whether more rows of a window are strange than always are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from detectors.anomaly import flagged_rows
from detectors.anomaly.flagged_rows import ScoredReference, Tally
from detectors.anomaly.scores import checked_name, score_of
from detectors.arrays import measurable_rows
from detectors.identity import reference_digest
from detectors.parameters import small_share
from detectors.results import DriftResult, Measurement, Scope


@dataclass(frozen=True, slots=True)
class OutlyingRows:
    """Statistic: the share of window rows stranger than the strangest `rate` of the reference's own.

    The cut is that of scores by fits without the row (`detectors.anomaly.held_out`). P-value: a beta-binomial, which
    counts in that the reference has an end; exact for rows that do not depend on one another. Rows with a missing value
    are left out.
    """

    name: ClassVar[str] = "outlying_rows"
    scope: ClassVar[Scope] = Scope.JOINT
    bounded: ClassVar[bool] = True

    rate: float = 0.003
    score: str = "rank_mahalanobis"
    """How strange a row is: the name of one of `detectors.anomaly.scores.SCORES`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "rate", small_share("rate", self.rate))
        checked_name("score", self.score)

    def work_of_fitting(self, rows: int, features: int, /) -> int:
        """See `detectors.protocols.WorksHarder`."""
        return flagged_rows.work_of_fitting(rows, features)

    def fit(self, rows: Any, /) -> ScoredReference:
        """Fit the score and find the cut; raises `InvalidRows`, `TooFewRows`."""
        measurable = measurable_rows(rows)
        digest = reference_digest(self, measurable)
        return flagged_rows.fit(digest, score_of(self.score), measurable, 1.0, self.rate)

    def empty(self, reference: ScoredReference, /) -> Tally:
        return self.summarise(reference, np.empty((0, reference.features)))

    def summarise(self, reference: ScoredReference, rows: Any, /) -> Tally:
        return flagged_rows.tally(reference, rows)

    def restore(self, reference: ScoredReference, arrays: Mapping[str, NDArray[Any]], /) -> Tally:
        return flagged_rows.restored(reference, arrays)

    def measure(self, reference: ScoredReference, summary: Tally, /) -> Measurement:
        return flagged_rows.measure(reference, summary)

    def measure_held_out(self, reference: ScoredReference, _summary: Tally, held: slice, /) -> Measurement:
        """See `detectors.calibration.LeavesOut`; the yardstick are the fits that each row was scored by."""
        return flagged_rows.measure_held_out(reference, held)

    def test(self, reference: ScoredReference, summary: Tally, /) -> DriftResult:
        return flagged_rows.test(self, reference, summary)
