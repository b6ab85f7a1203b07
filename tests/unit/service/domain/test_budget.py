"""A budget of false alarms over time: spent window by window, kept over restarts, and never silently another."""

from functools import cache

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.budget import settle, spend
from service.domain.decision import decide
from service.domain.errors import InvalidPlan
from service.domain.fitted_plan import MINIMUM_BUDGET_BLOCKS, FittedPlan, fit
from service.domain.models import BudgetState, Decision, Finding, Reference
from service.domain.plan import DecisionPlan, DetectorPlan, FalseAlarmBudget, Plan, WindowPlan, check
from tests.processes.traffic import FEATURES, rows

WINDOW = 50
KS = DetectorPlan("kolmogorov_smirnov")
THOUSAND = FalseAlarmBudget(1, per_windows=1000)
BY_COUNT = WindowPlan(WINDOW)
NOTHING_YET = BudgetState()
MONTH = FalseAlarmBudget(1, per_seconds=30 * 86_400)


@cache
def fitted(
    budget: FalseAlarmBudget | None = THOUSAND, window: WindowPlan = BY_COUNT, reference_rows: int = 2500
) -> FittedPlan:
    plan = Plan(window, (KS,), DecisionPlan(false_alarms=budget))
    check(plan)
    return fit(plan, Reference(FEATURES, rows(1, reference_rows)))


def step(
    made: FittedPlan, state: BudgetState, window: np.ndarray, seconds: float = 3600.0
) -> tuple[Decision, BudgetState]:
    results = made.measure(window)
    spending = spend(made, results, state, seconds)
    assert spending is not None
    decision = decide(made, results, spending)
    return decision, settle(spending, decision.finding)


def walk(made: FittedPlan, shifts: list[float], state: BudgetState = NOTHING_YET) -> list[Decision]:
    found = []
    for number, shift in enumerate(shifts):
        decision, state = step(made, state, rows(100 + number, WINDOW, shift=shift))
        found.append(decision)
    return found


def test_calm_windows_spend_nothing_and_a_change_is_found_for_as_long_as_it_lasts() -> None:
    findings = [each.finding for each in walk(fitted(), [0.0] * 30 + [1.5] * 6 + [0.0] * 6)]
    assert findings[:30] == [Finding.STABLE] * 30
    assert findings[32:36] == [Finding.DRIFT] * 4
    assert findings[-3:] == [Finding.STABLE] * 3


def test_a_decision_says_what_was_gathered_and_what_is_allowed() -> None:
    calm, *_, moved = walk(fitted(), [0.0] + [1.5] * 4)
    assert calm.windows_per_alarm == moved.windows_per_alarm == 1000
    assert calm.once_in_windows is not None
    assert moved.once_in_windows is not None
    assert calm.once_in_windows < 1000 < moved.once_in_windows
    assert "the budget allows one false alarm in 1000 windows" in moved.reason
    assert (moved.false_alarm_rate, moved.calibrated) == (0.001, True)


def test_evidence_that_is_too_little_by_itself_adds_up() -> None:
    small = [0.55] * 12
    alone = [step(fitted(), BudgetState(), rows(100 + number, WINDOW, shift=0.55))[0] for number in range(len(small))]
    assert sum(each.finding is Finding.DRIFT for each in alone) <= 3
    assert walk(fitted(), small)[-1].finding is Finding.DRIFT


@settings(max_examples=20)
@given(st.lists(st.sampled_from([0.0, 0.3, 0.8]), min_size=1, max_size=8), st.integers(0, 8))
def test_a_stream_goes_on_where_a_restart_left_it(shifts: list[float], at: int) -> None:
    states, again = BudgetState(), BudgetState()
    for number, shift in enumerate(shifts):
        window = rows(number, WINDOW, shift=shift)
        decision, states = step(fitted(), states, window)
        if number == at:
            again = msgspec.json.decode(msgspec.json.encode(again), type=BudgetState)
        assert (decision, states) == step(fitted(), again, window)
        again = states
        assert states.windows == number + 1
        assert all(0 <= each <= np.log(len(FEATURES) * 1000) for each in states.evidence)


def test_what_could_not_be_measured_neither_adds_nor_takes() -> None:
    _, before = step(fitted(), BudgetState(), rows(5, WINDOW, shift=0.7))
    holes = rows(6, WINDOW)
    holes[:, 1] = np.nan
    decision, after = step(fitted(), before, holes)
    assert decision.finding is Finding.UNDECIDED
    assert after.evidence[1] == before.evidence[1] > 0


def test_without_a_budget_nothing_is_remembered() -> None:
    made = fitted(None)
    assert spend(made, made.measure(rows(2, WINDOW)), BudgetState(), 1.0) is None


def test_a_period_is_counted_in_windows_of_the_length_that_they_have() -> None:
    state, decision = BudgetState(), None
    for seconds in (1000.0, 5000.0):
        decision, state = step(fitted(MONTH), state, rows(3, WINDOW), seconds)
    assert decision is not None
    assert decision.windows_per_alarm == pytest.approx(30 * 86_400 / 3000)
    hourly = fitted(MONTH, WindowPlan(rows=None, every_seconds=3600, sample_rows=WINDOW, minimum_rows=WINDOW))
    assert step(hourly, BudgetState(), rows(3, WINDOW), 17.0)[0].windows_per_alarm == 720


def test_windows_without_length_are_not_called_stable_under_a_budget_over_time() -> None:
    decision, state = step(fitted(MONTH), BudgetState(), rows(3, WINDOW, shift=3.0), 0.0)
    assert decision.finding is Finding.UNDECIDED
    assert "no length in time" in decision.reason
    assert (decision.windows_per_alarm, state.windows) == (None, 1)


def test_windows_that_overlap_add_only_what_is_new() -> None:
    window = rows(5, WINDOW, shift=0.8)
    _, whole = step(fitted(), BudgetState(), window)
    _, tenth = step(fitted(window=WindowPlan(WINDOW, step=5)), BudgetState(), window)
    np.testing.assert_allclose(np.array(tenth.evidence) * 10, whole.evidence)


def test_a_reference_too_short_falls_back_on_independence_at_the_budgets_rate_and_says_so() -> None:
    short = fitted(reference_rows=(MINIMUM_BUDGET_BLOCKS - 1) * WINDOW)
    assert short.calibration is None
    assert short.blocks_needed == MINIMUM_BUDGET_BLOCKS
    calm, moved = walk(short, [0.0, 3.0])
    assert (calm.finding, moved.finding) == (Finding.STABLE, Finding.DRIFT)
    assert (moved.calibrated, moved.false_alarm_rate, moved.once_in_windows) == (False, 0.001, None)
    assert "holds for independent rows only" in moved.reason
    assert f"{MINIMUM_BUDGET_BLOCKS * WINDOW} rows or more would calibrate" in moved.reason


def test_evidence_of_another_plan_is_not_taken_over() -> None:
    decision, state = step(fitted(), BudgetState(evidence=(9.0,) * 7, windows=5), rows(3, WINDOW))
    assert decision.finding is Finding.STABLE
    assert len(state.evidence) == len(FEATURES)


def test_an_alarm_is_of_the_minimum_effect() -> None:
    plan = Plan(WindowPlan(WINDOW), (DetectorPlan(KS.name, minimum_effect=1.0),), DecisionPlan(false_alarms=THOUSAND))
    decision = walk(fit(plan, Reference(FEATURES, rows(1, 2500))), [1.5] * 4)[-1]
    assert decision.finding is Finding.STABLE
    assert "smaller than the plan's minimum effect" in decision.reason


def test_what_can_be_seen_is_told_with_the_calibration() -> None:
    calibration = fitted().calibration
    assert calibration is not None
    assert calibration.false_alarms is not None
    assert (calibration.false_alarms.alarms, calibration.false_alarms.blocks) == (0, 50)
    assert 25 <= calibration.effective_blocks <= 50
    (sensitivity,) = calibration.sensitivities
    assert sensitivity.detector == KS.name
    assert sensitivity.hardest_feature in FEATURES
    assert sensitivity.smallest_shift is not None
    assert 0.3 < sensitivity.smallest_shift <= 2.0


def test_a_feature_that_never_moves_does_not_hide_what_is_seen_of_the_others() -> None:
    known = rows(1, 2500)
    known[:, 1] = 0.1
    plan = Plan(WindowPlan(WINDOW), (DetectorPlan(KS.name),), DecisionPlan(false_alarms=THOUSAND))
    calibration = fit(plan, Reference(FEATURES, known)).calibration
    assert calibration is not None
    (sensitivity,) = calibration.sensitivities
    assert sensitivity.hardest_feature in {FEATURES[0], FEATURES[2]}
    assert sensitivity.smallest_shift is not None
    known[:] = 0.1
    calibration = fit(plan, Reference(FEATURES, known)).calibration
    assert calibration is not None
    (sensitivity,) = calibration.sensitivities
    assert (sensitivity.smallest_shift, sensitivity.hardest_feature) == (None, None)


@pytest.mark.parametrize(
    ("budget", "window", "place"),
    [
        (FalseAlarmBudget(0, per_windows=1000), WindowPlan(), "at_most"),
        (FalseAlarmBudget(-1, per_windows=1000), WindowPlan(), "at_most"),
        (FalseAlarmBudget(1), WindowPlan(), ""),
        (FalseAlarmBudget(1, per_windows=1000, per_seconds=5), WindowPlan(), ""),
        (FalseAlarmBudget(1, per_windows=0), WindowPlan(), "per_windows"),
        (FalseAlarmBudget(5, per_windows=5), WindowPlan(), "per_windows"),
        (FalseAlarmBudget(1, per_windows=10**10), WindowPlan(), "per_windows"),
        (FalseAlarmBudget(1, per_seconds=0), WindowPlan(), "per"),
        (FalseAlarmBudget(1, per_seconds=10**10), WindowPlan(), "per"),
        (FalseAlarmBudget(2, per_seconds=7200), WindowPlan(None, every_seconds=3600), "per"),
    ],
)
def test_budgets_of_nothing_or_nonsense_are_refused_by_their_place(
    budget: FalseAlarmBudget, window: WindowPlan, place: str
) -> None:
    with pytest.raises(InvalidPlan) as refused:
        check(Plan(window, decision=DecisionPlan(false_alarms=budget)))
    assert [fault.place for fault in refused.value.faults] == [f"decision.false_alarms.{place}".rstrip(".")]


def test_plans_without_a_budget_keep_the_digests_that_they_had() -> None:
    assert Plan().digest == "sha256:f7251726a257f3f2dc49f552f7e74df2c22207c929e834706f5005c0d2e5df0d"
    assert Plan(decision=DecisionPlan(false_alarms=THOUSAND)).digest != Plan().digest
