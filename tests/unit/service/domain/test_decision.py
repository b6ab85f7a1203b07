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
from service.domain.errors import InvalidPlan, InvalidReference
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


def test_nothing_measured_is_undecided_and_never_stable() -> None:
    for made in (calibrated(), short()):
        found = decide(made, made.measure(np.full((WINDOW, len(FEATURES)), np.nan)))
        assert found.finding is Finding.UNDECIDED
        assert found.p_value is None
        assert "too little to measure" in found.reason
        for detector in found.detectors:
            for feature in detector.features:
                assert (feature.statistic, feature.effect, feature.p_value, feature.drifted) == (
                    None,
                    None,
                    None,
                    False,
                )
                assert feature.missing == WINDOW


@both
def test_a_feature_that_could_not_be_measured_leaves_a_calm_window_undecided(made: Callable[[], FittedPlan]) -> None:
    window = rows(3, WINDOW)
    window[:, 1] = np.nan
    found = decide(made(), made().measure(window))
    assert found.finding is Finding.UNDECIDED
    assert f"kolmogorov_smirnov of {FEATURES[1]}" in found.reason
    assert found.p_value is not None


@both
def test_drift_that_was_measured_is_drift_whatever_else_could_not_be(made: Callable[[], FittedPlan]) -> None:
    window = rows(2, WINDOW, shift=3.0)
    window[:, 1] = np.nan
    found = decide(made(), made().measure(window))
    assert found.finding is Finding.DRIFT
    assert FEATURES[1] not in found.drifted_features
    assert "too little to measure" in found.reason


def test_some_missing_values_are_left_out_and_counted() -> None:
    window = rows(3, WINDOW)
    window[:4, 0] = np.nan
    found = decide(calibrated(), calibrated().measure(window))
    assert found.finding is Finding.STABLE
    assert [feature.missing for feature in found.detectors[0].features] == [4, 0, 0]
    assert [feature.missing for feature in found.detectors[1].features] == [4]


def mixed() -> tuple[FittedPlan, np.ndarray]:
    """Two numeric features and a categorical one between them, each looked at by what is made for it."""
    generator = np.random.default_rng(5)
    reference = rows(1, 2000)
    reference[:, 1] = generator.integers(0, 4, 2000)
    planned = plan(
        DetectorPlan("kolmogorov_smirnov", features=(FEATURES[2], FEATURES[0])),
        DetectorPlan("chi_square", features=(FEATURES[1],)),
        DetectorPlan("unseen_categories", features=(FEATURES[1],)),
        MMD,
    )
    window = rows(3, WINDOW)
    window[:, 1] = generator.integers(0, 4, WINDOW)
    return fit(planned, Reference(FEATURES, reference)), window


def test_each_detector_of_a_mixed_plan_looks_at_its_own_features() -> None:
    made, window = mixed()
    calm = decide(made, made.measure(window))
    assert calm.finding is Finding.STABLE
    assert [[feature.feature for feature in detector.features] for detector in calm.detectors] == [
        [FEATURES[2], FEATURES[0]],
        [FEATURES[1]],
        [FEATURES[1]],
        [None],
    ]
    moved = window.copy()
    moved[:, 0] += 3.0
    assert decide(made, made.measure(moved)).drifted_features == (FEATURES[0],)
    other = window.copy()
    other[:, 1] = 0
    found = decide(made, made.measure(other))
    assert found.drifted_features == (FEATURES[1],)
    strange = window.copy()
    strange[:20, 1] = 17
    found = decide(made, made.measure(strange))
    assert [detector.features[0].drifted for detector in found.detectors[1:3]] == [True, True]


def test_a_plan_for_features_that_are_not_there_is_refused_with_their_places() -> None:
    planned = plan(KS, DetectorPlan(MMD.name, features=(FEATURES[0], "nowhere")))
    with pytest.raises(InvalidPlan) as refused:
        fitted(planned)
    assert [fault.place for fault in refused.value.faults] == ["detectors[1].features[1]"]


def test_a_reference_that_a_detector_cannot_use_is_refused_by_its_name() -> None:
    planned = plan(DetectorPlan("chi_square"))
    with pytest.raises(InvalidReference, match="chi_square cannot be fitted"):
        fit(planned, Reference(FEATURES, rows(1, 3000)))


def test_missing_values_in_the_reference_are_no_reason_to_fail_but_may_be_one_not_to_calibrate() -> None:
    reference = rows(1, 2000)
    reference[:10, 0] = np.nan
    assert fit(plan(), Reference(FEATURES, reference)).calibration is not None
    reference[100:160, 0] = np.nan  # one block has nothing of it
    assert fit(plan(), Reference(FEATURES, reference)).calibration is None
