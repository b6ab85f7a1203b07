"""What labels say of predictions, and the model that these rows make."""

import numpy as np
import pytest

from service.domain.companion import companion_of, companion_plan, outcomes, reference_of_outcomes, watched_by
from service.domain.errors import InvalidPlan, InvalidReference
from service.domain.models import ModelName, Reference
from service.domain.performance import PerformancePlan
from service.domain.plan import DecisionPlan, FalseAlarmBudget, Plan, WindowPlan, check
from service.domain.season import SeasonPlan

NAN = float("nan")
CLASSIFIER = PerformancePlan("score", "paid", threshold=0.6)
NUMBERS = PerformancePlan("score", "paid", metric="absolute_error")


def test_a_classifier_is_wrong_at_its_threshold_and_by_its_squared_difference() -> None:
    predictions, labels = np.array([0.6, 0.5, 0.75, 0.0, 0.5]), np.array([1.0, 1.0, 0.0, 0.0, NAN])
    found = outcomes(CLASSIFIER, predictions, labels)
    assert found[:, 0].tolist() == [0.0, 1.0, 1.0, 0.0]
    assert found[:, 1] == pytest.approx([0.16, 0.25, 0.5625, 0.0])


def test_numbers_are_wrong_by_their_absolute_difference_where_both_are_there() -> None:
    found = outcomes(NUMBERS, np.array([3.0, NAN, -2.0]), np.array([1.0, 1.0, 2.5]))
    assert found.tolist() == [[2.0], [4.5]]


def test_what_is_too_large_for_a_number_is_the_largest_there_is() -> None:
    largest, prediction, label = np.finfo(np.float64).max, np.array([1.7e308]), np.array([-1.7e308])
    assert outcomes(NUMBERS, prediction, label).tolist() == [[largest]]
    assert outcomes(CLASSIFIER, prediction, np.array([1.0])).tolist() == [[0.0, largest]]


def test_a_companion_is_known_by_its_name() -> None:
    assert watched_by(companion_of(ModelName("churn"))) == "churn"
    assert watched_by(ModelName("churn")) is None
    assert watched_by(ModelName(".performance")) is None
    companion_of(ModelName("m" * 51))
    with pytest.raises(InvalidPlan):
        companion_of(ModelName("m" * 52))


@pytest.mark.parametrize(
    ("asked", "window", "rows"),
    [
        (PerformancePlan(window_rows=70), WindowPlan(300), 70),
        (PerformancePlan(), WindowPlan(300, step=100, minimum_rows=200), 300),
        (PerformancePlan(), WindowPlan(None, every_seconds=60), 500),
    ],
)
def test_it_is_judged_as_its_model_is_and_starts_nothing(asked: PerformancePlan, window: WindowPlan, rows: int) -> None:
    decision = DecisionPlan(false_alarms=FalseAlarmBudget(per_windows=1000))
    plan = companion_plan(Plan(window, decision=decision), asked)
    check(plan)
    assert (plan.window, plan.decision, plan.response.retrain) == (WindowPlan(rows), decision, False)


def test_outcomes_are_compared_with_all_of_the_reference_whatever_the_model_is() -> None:
    plan = companion_plan(Plan(decision=DecisionPlan(0.01, season=SeasonPlan("hour_of_day"))), PerformancePlan())
    assert plan.decision == DecisionPlan(0.01)


def test_a_reference_with_few_labels_makes_none() -> None:
    rows = np.column_stack([np.full(200, 0.5), np.r_[np.zeros(99), np.full(101, NAN)]])
    with pytest.raises(InvalidReference, match="needs 100 rows of the reference with a label, and 99 have one"):
        reference_of_outcomes(NUMBERS, Reference(("score", "paid"), rows, ("paid",)))
