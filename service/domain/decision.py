"""From measurements to a finding.

With calibration, one number speaks for the window: the largest of all statistics, each standardised by what contiguous
blocks of the reference do (a max-T test, Westfall and Young 1993, with blocks in the place of permutations). It is
compared with the same number of every block, so that the false-alarm rate holds over all features and detectors
together, and on rows that depend on one another. Without calibration: independent-rows p-values under Bonferroni.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.results import DriftResult, Scope
from service.domain.fitted_plan import Calibration, FittedPlan
from service.domain.models import Decision, DetectorMeasurement, FeatureMeasurement, Finding

_PLACES_NAMED = 5


@dataclass(frozen=True, slots=True)
class _Judged:
    """Surprise before the effect gate, per detector and number."""

    surprising: Sequence[NDArray[np.bool_]]
    scores: Sequence[NDArray[np.float64]] | None
    p_value: float
    """NaN if nothing could be measured."""


def decide(fitted: FittedPlan, results: Sequence[DriftResult]) -> Decision:
    """Judge one window's results, one for each detector of the plan in its order."""
    rate = fitted.plan.decision.false_alarm_rate
    calibration = fitted.calibration
    judged = _against_independence(results, rate) if calibration is None else _against_blocks(calibration, results)
    detectors = tuple(_measurement(fitted, index, result, judged) for index, result in enumerate(results))
    drifted = any(feature.drifted for detector in detectors for feature in detector.features)
    unmeasured = _unmeasured(detectors)
    calm = Finding.UNDECIDED if unmeasured else Finding.STABLE
    reason = "; ".join(part for part in (_reason(fitted, judged, drifted), unmeasured) if part)
    return Decision(
        finding=Finding.DRIFT if drifted else calm,
        reason=reason,
        calibrated=fitted.calibration is not None,
        false_alarm_rate=rate,
        p_value=_number(judged.p_value),
        detectors=detectors,
    )


def undecided(fitted: FittedPlan, reason: str) -> Decision:
    """For a window that could not be measured: said aloud, never a silent "stable"."""
    rate = fitted.plan.decision.false_alarm_rate
    return Decision(Finding.UNDECIDED, reason, fitted.calibration is not None, rate, None, ())


def _against_blocks(calibration: Calibration, results: Sequence[DriftResult]) -> _Judged:
    scores = calibration.null.score([result.statistic for result in results])
    surprising = [score > calibration.threshold for score in scores]
    largest = calibration.null.largest_score([result.statistic for result in results])
    return _Judged(surprising, scores, calibration.null.p_value(largest))


def _against_independence(results: Sequence[DriftResult], rate: float) -> _Judged:
    tests = sum(result.p_value.size for result in results)
    surprising = [result.p_value * tests <= rate for result in results]
    measured = np.concatenate([result.p_value[~result.undecided] for result in results])
    smallest = float(measured.min()) if measured.size else float("nan")
    return _Judged(surprising, None, float(np.minimum(1.0, smallest * tests)))


def _measurement(fitted: FittedPlan, index: int, result: DriftResult, judged: _Judged) -> DetectorMeasurement:
    minimum = fitted.plan.detectors[index].minimum_effect
    drifted = judged.surprising[index] & (result.effect >= minimum)
    names: Sequence[str | None] = fitted.detectors[index].features if result.scope is Scope.FEATURE else (None,)
    scores = judged.scores[index] if judged.scores is not None else None
    features = tuple(
        FeatureMeasurement(
            feature=name,
            statistic=_number(result.statistic[i]),
            effect=_number(result.effect[i]),
            p_value=_number(result.p_value[i]),
            score=None if scores is None else _number(scores[i]),
            missing=int(result.missing[i]),
            drifted=bool(drifted[i]),
        )
        for i, name in enumerate(names)
    )
    return DetectorMeasurement(
        result.detector, result.method, result.seed, result.reference_count, result.window_count, features
    )


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _unmeasured(detectors: Sequence[DetectorMeasurement]) -> str:
    """What could not be measured, in words; empty if everything was."""
    places = [
        f"{detector.detector} of {feature.feature}" if feature.feature is not None else detector.detector
        for detector in detectors
        for feature in detector.features
        if feature.statistic is None or feature.p_value is None
    ]
    if not places:
        return ""
    more = f" and {len(places) - _PLACES_NAMED} more" if len(places) > _PLACES_NAMED else ""
    return f"too little to measure: {', '.join(places[:_PLACES_NAMED])}{more}"


def _reason(fitted: FittedPlan, judged: _Judged, drifted: bool) -> str:
    sized = f" of {fitted.block_rows} rows" if fitted.plan.window.varies else ""
    against = (
        f"against {fitted.blocks} calm blocks{sized} of the reference"
        if fitted.calibration is not None
        else "against independent rows, which real traffic is not: "
        f"a reference of {fitted.blocks_needed * fitted.block_rows} rows or more would calibrate this plan"
    )
    if np.isnan(judged.p_value):
        return ""
    surprising = any(bool(numbers.any()) for numbers in judged.surprising)
    if drifted:
        return f"p = {judged.p_value:.3g} {against}"
    if surprising:
        return f"p = {judged.p_value:.3g} {against}, but every difference is smaller than the plan's minimum effect"
    return f"p = {judged.p_value:.3g} {against}: nothing beyond the ordinary"
