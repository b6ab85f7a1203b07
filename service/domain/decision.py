"""From measurements to a finding.

With calibration, one number speaks for the window: the largest of all statistics, each standardised by what contiguous
blocks of the reference do (a max-T test, Westfall and Young 1993, with blocks in the place of permutations). It is
compared with the same number of every block, so that the false-alarm rate holds over all features and detectors
together, and on rows that depend on one another. Without calibration: independent-rows p-values under Bonferroni.

Under a budget over time (`budget.py`) those numbers are surprising whose gathered evidence has reached its threshold.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isinf

import numpy as np
from numpy.typing import NDArray

from detectors.calibration import held
from detectors.results import DriftResult, Scope
from service.domain.budget import Spending
from service.domain.fitted_plan import Calibration, FittedPlan
from service.domain.models import Decision, DetectorMeasurement, FeatureMeasurement, Finding

_PLACES_NAMED = 5
_WORTH_A_WORD = 2  # windows
_NO_LENGTH = "windows have no length in time, so that a budget over time says nothing of them: give rows their times"


@dataclass(frozen=True, slots=True)
class _Judged:
    """Surprise before the effect gate, per detector and number."""

    surprising: Sequence[NDArray[np.bool_]]
    scores: Sequence[NDArray[np.float64]] | None
    p_value: float
    """NaN if nothing could be measured."""


def decide(fitted: FittedPlan, results: Sequence[DriftResult], spending: Spending | None = None) -> Decision:
    """Judge one window's results, one for each detector of the plan in its order; `spending` is what `spend` gave."""
    rate = _rate(fitted, spending)
    calibration = fitted.calibration
    judged = _against_independence(results, rate) if calibration is None else _against_blocks(calibration, results)
    if spending is not None and spending.reached is not None:
        judged = replace(judged, surprising=spending.reached)
    detectors = tuple(_measurement(fitted, index, result, judged) for index, result in enumerate(results))
    drifted = any(feature.drifted for detector in detectors for feature in detector.features)
    unmeasured = _unmeasured(detectors)
    limitless = spending is not None and isinf(spending.windows_per_alarm)
    calm = Finding.UNDECIDED if unmeasured or limitless else Finding.STABLE
    said = _reason(fitted, judged, spending, drifted=drifted)
    return Decision(
        finding=Finding.DRIFT if drifted else calm,
        reason="; ".join(part for part in (said, unmeasured, _NO_LENGTH if limitless else "") if part),
        calibrated=fitted.calibration is not None,
        false_alarm_rate=rate,
        p_value=_number(judged.p_value),
        detectors=detectors,
        once_in_windows=None if spending is None else spending.once_in_windows,
        windows_per_alarm=None if spending is None or limitless else spending.windows_per_alarm,
    )


def undecided(fitted: FittedPlan, reason: str) -> Decision:
    """For a window that could not be measured: said aloud, never a silent "stable"."""
    rate = fitted.plan.decision.false_alarm_rate
    return Decision(Finding.UNDECIDED, reason, fitted.calibration is not None, rate, None, ())


def _rate(fitted: FittedPlan, spending: Spending | None) -> float:
    """Of one window: the plan's, or what its budget leaves to each."""
    return fitted.plan.decision.false_alarm_rate if spending is None else 1 / spending.windows_per_alarm


def _against_blocks(calibration: Calibration, results: Sequence[DriftResult]) -> _Judged:
    scores = calibration.null.score([result.statistic for result in results])
    surprising = [score > calibration.threshold for score in scores]
    largest = calibration.null.largest_score([result.statistic for result in results])
    return _Judged(surprising, scores, held(calibration.null.p_value(largest), calibration.null.blocks))


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


def _reason(fitted: FittedPlan, judged: _Judged, spending: Spending | None, *, drifted: bool) -> str:
    if np.isnan(judged.p_value):
        return ""
    said = f"p = {judged.p_value:.3g} {_against(fitted)}{_floor(fitted, judged.p_value)}"
    if spending is not None and not isinf(spending.windows_per_alarm):
        said = f"{_spent(spending)}; {said}"
    if drifted:
        return said
    if any(bool(numbers.any()) for numbers in judged.surprising):
        return f"{said}, but every difference is smaller than the plan's minimum effect"
    return f"{said}: nothing beyond the ordinary"


def _against(fitted: FittedPlan) -> str:
    if fitted.calibration is None:
        needed = fitted.blocks_needed * fitted.block_rows
        return (
            f"against independent rows{_like_with_like(fitted)}, which real traffic is not: "
            f"a reference of {needed} rows or more would calibrate this plan"
        )
    sized = f" of {fitted.block_rows} rows" if fitted.plan.window.varies else ""
    return f"against {fitted.blocks} calm blocks{sized} of the reference{_like_with_like(fitted)}"


def _like_with_like(fitted: FittedPlan) -> str:
    return "" if fitted.seasons is None else f", each row by its {fitted.seasons.plan.words}"


def _floor(fitted: FittedPlan, p_value: float) -> str:
    """Where blocks can say no more: however large a difference is, its p-value is not smaller."""
    if fitted.calibration is None:
        return ""
    blocks = fitted.calibration.null.blocks
    return " (the smallest p that so many can show)" if p_value <= held(1 / (blocks + 1), blocks) else ""


def _spent(spending: Spending) -> str:
    """What was gathered, against what the budget asks for."""
    asked = f"the budget allows one false alarm in {spending.windows_per_alarm:.4g} windows"
    if spending.once_in_windows is None:
        return f"{asked}, which holds for independent rows only"
    if spending.once_in_windows < _WORTH_A_WORD:
        return asked
    return f"calm windows gather as much evidence once in {spending.once_in_windows:.3g}, and {asked}"
