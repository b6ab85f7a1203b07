"""From measurements to a finding, calibrated and not."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.errors import DetectorError
from service.domain.decision import decide, undecided
from service.domain.fitted_plan import FittedPlan, fit
from service.domain.models import Decision, Finding, Reference
from service.domain.plan import DecisionPlan, DetectorPlan, Plan, WindowPlan
from tests.processes.traffic import FEATURES, rows

WINDOW = 50
KS = DetectorPlan("kolmogorov_smirnov")
MMD = DetectorPlan("maximum_mean_discrepancy")
DETECTORS = (KS.name, MMD.name)


def plan(*detectors: DetectorPlan, rate: float = 0.05) -> Plan:
    return Plan(WindowPlan(WINDOW), detectors or (KS, MMD), DecisionPlan(rate))


def fitted(planned: Plan, reference_rows: int = 2000) -> FittedPlan:
    return fit(planned, Reference(FEATURES, rows(1, reference_rows)))


@cache
def calibrated(*detectors: str) -> FittedPlan:
    return fitted(plan(*(DetectorPlan(name) for name in detectors or DETECTORS)))


@cache
def short() -> FittedPlan:
    return fitted(plan(), reference_rows=500)


def judged(fitted_plan: FittedPlan, seed: int, shift: float) -> Decision:
    return decide(fitted_plan, fitted_plan.measure(rows(seed, WINDOW, shift=shift)))


def test_a_long_reference_calibrates_and_a_short_one_says_what_is_missing() -> None:
    assert judged(calibrated(), 2, 0).calibrated
    found = judged(short(), 2, 0)
    assert not found.calibrated
    assert f"{short().blocks_needed * WINDOW} rows" in found.reason


both = pytest.mark.parametrize("made", [calibrated, short], ids=["calibrated", "independent rows"])


@both
def test_a_window_that_moved_is_drift_and_one_that_did_not_is_stable(made: Callable[[], FittedPlan]) -> None:
    moved, calm = judged(made(), 2, 2.0), judged(made(), 3, 0.0)
    assert (moved.finding, calm.finding) == (Finding.DRIFT, Finding.STABLE)
    assert set(moved.drifted_features) == set(FEATURES)
    assert calm.drifted_features == ()


@settings(max_examples=40)
@given(st.booleans(), st.integers(0, 1000), st.floats(0, 1.5))
def test_without_an_effect_gate_drift_is_exactly_p_within_the_budget(long: bool, seed: int, shift: float) -> None:
    found = judged(calibrated() if long else short(), seed, shift)
    assert found.p_value is not None
    assert (found.finding is Finding.DRIFT) == (found.p_value <= found.false_alarm_rate)


@settings(max_examples=20)
@given(st.integers(0, 1000), st.floats(0, 1.5))
def test_the_window_drifted_if_and_only_if_one_of_its_numbers_did(seed: int, shift: float) -> None:
    found = judged(calibrated(), seed, shift)
    drifted = [feature.drifted for detector in found.detectors for feature in detector.features]
    assert (found.finding is Finding.DRIFT) == any(drifted)


def test_a_surprising_but_small_difference_is_no_drift() -> None:
    gated = plan(replace(KS, minimum_effect=0.99))
    found = judged(fitted(gated), 2, 1.0)
    assert found.finding is Finding.STABLE
    assert found.p_value is not None
    assert found.p_value <= found.false_alarm_rate
    assert "smaller than the plan's minimum effect" in found.reason


def test_the_gate_holds_for_its_own_detector_only() -> None:
    found = judged(fitted(plan(replace(KS, minimum_effect=0.99), MMD)), 2, 2.0)
    gated, free = found.detectors
    assert not any(feature.drifted for feature in gated.features)
    assert all(feature.drifted for feature in free.features)
    assert found.finding is Finding.DRIFT
    assert found.drifted_features == ()  # the joint detector names no feature


def test_only_the_feature_that_moved_is_named() -> None:
    window = rows(5, WINDOW)
    window[:, 1] += 3.0
    found = decide(calibrated(), calibrated().measure(window))
    assert found.drifted_features == (FEATURES[1],)


def test_drifted_features_are_told_largest_effect_first() -> None:
    window = rows(5, WINDOW)
    window[:, 2] += 4.0
    window[:, 0] += 1.2
    found = decide(calibrated(), calibrated().measure(window))
    assert found.drifted_features[:2] == (FEATURES[2], FEATURES[0])


def test_calm_windows_alarm_about_as_often_as_the_plan_says() -> None:
    """Exact in expectation; with 300 seeded windows, far from a rate several times too high."""
    alarms = sum(judged(calibrated(KS.name), seed, 0.0).finding is Finding.DRIFT for seed in range(10_000, 10_300))
    assert alarms <= 300 * 0.12


def test_more_features_do_not_mean_more_false_alarms() -> None:
    wide = fit(plan(KS), Reference(tuple(f"f{i}" for i in range(30)), rows(1, 2000, features=30)))
    windows = [rows(seed, WINDOW, features=30) for seed in range(20_000, 20_200)]
    alarms = sum(decide(wide, wide.measure(window)).finding is Finding.DRIFT for window in windows)
    assert alarms <= 200 * 0.12


def test_a_window_that_could_not_be_measured_is_undecided_and_says_why() -> None:
    found = undecided(calibrated(), "it defeats the detector")
    assert (found.finding, found.p_value, found.reason) == (Finding.UNDECIDED, None, "it defeats the detector")


@both
@pytest.mark.parametrize("value", [1e308, -1e308, 1.7e308, 5e-324, 0.0])
def test_extreme_rows_give_finite_numbers_or_a_detector_error(made: Callable[[], FittedPlan], value: float) -> None:
    fitted_plan = made()
    window = np.full((WINDOW, len(FEATURES)), value)
    window[::2] *= -1
    try:
        found = decide(fitted_plan, fitted_plan.measure(window))
    except (DetectorError, ArithmeticError):
        return
    numbers = [
        number
        for detector in found.detectors
        for feature in detector.features
        for number in (feature.statistic, feature.effect, feature.p_value, feature.score or 0.0)
    ]
    assert found.p_value is not None
    assert np.isfinite([found.p_value, *numbers]).all()


@pytest.mark.parametrize("value", [1e308, 1e200, 5e-324, 0.0])
def test_references_of_extreme_or_constant_rows_still_judge(value: float) -> None:
    reference = np.full((2000, len(FEATURES)), value)
    reference[::2] *= -1
    try:
        fitted_plan = fit(plan(), Reference(FEATURES, reference))
        found = decide(fitted_plan, fitted_plan.measure(rows(3, WINDOW)))
    except (DetectorError, ArithmeticError):
        return
    numbers = [
        number
        for detector in found.detectors
        for feature in detector.features
        for number in (feature.statistic, feature.effect, feature.p_value, feature.score or 0.0)
    ]
    assert np.isfinite(numbers).all()
