"""A plan that cannot work is refused as a whole, each fault with its place."""

import math
from typing import Any

import pytest

from service.domain.errors import InvalidPlan
from service.domain.plan import (
    MAXIMUM_DETECTORS,
    MAXIMUM_WINDOW_ROWS,
    DecisionPlan,
    DetectorPlan,
    Plan,
    ResponsePlan,
    WindowPlan,
    check,
)

KS = DetectorPlan("kolmogorov_smirnov")


def places(plan: Plan) -> list[str]:
    with pytest.raises(InvalidPlan) as raised:
        check(plan)
    return [fault.place for fault in raised.value.faults]


def test_the_plan_that_nobody_wrote_works() -> None:
    check(Plan())


@pytest.mark.parametrize(
    ("plan", "place"),
    [
        (Plan(window=WindowPlan(19)), "window.rows"),
        (Plan(window=WindowPlan(MAXIMUM_WINDOW_ROWS + 1)), "window.rows"),
        (Plan(detectors=()), "detectors"),
        (Plan(detectors=(KS,) * (MAXIMUM_DETECTORS + 1)), "detectors"),
        (Plan(detectors=(DetectorPlan("crystal_ball"),)), "detectors[0].name"),
        (Plan(detectors=(KS, KS)), "detectors[1].name"),
        (Plan(detectors=(DetectorPlan("kolmogorov_smirnov", features=()),)), "detectors[0].features"),
        (Plan(detectors=(DetectorPlan("kolmogorov_smirnov", features=("a", "b", "a")),)), "detectors[0].features[2]"),
        (Plan(detectors=(KS, DetectorPlan("maximum_mean_discrepancy", {"depth": 3}))), "detectors[1].parameters.depth"),
        (
            Plan(detectors=(DetectorPlan("maximum_mean_discrepancy", {"permutations": 0}),)),
            "detectors[0].parameters.permutations",
        ),
        (Plan(detectors=(DetectorPlan("kolmogorov_smirnov", minimum_effect=-0.1),)), "detectors[0].minimum_effect"),
        (Plan(detectors=(DetectorPlan("kolmogorov_smirnov", minimum_effect=math.nan),)), "detectors[0].minimum_effect"),
        (Plan(detectors=(DetectorPlan("kolmogorov_smirnov", minimum_effect=math.inf),)), "detectors[0].minimum_effect"),
        (Plan(decision=DecisionPlan(0.0)), "decision.false_alarm_rate"),
        (Plan(decision=DecisionPlan(1.0)), "decision.false_alarm_rate"),
        (Plan(decision=DecisionPlan(math.nan)), "decision.false_alarm_rate"),
        (Plan(response=ResponsePlan(confirm=0)), "response.confirm"),
        (Plan(response=ResponsePlan(confirm=4, out_of=3)), "response.confirm"),
        (Plan(response=ResponsePlan(confirm=1, out_of=101)), "response.out_of"),
        (Plan(response=ResponsePlan(cool_down=-1)), "response.cool_down"),
    ],
)
def test_a_fault_is_named_with_its_place(plan: Plan, place: str) -> None:
    assert places(plan) == [place]


def test_all_faults_are_told_at_once() -> None:
    plan = Plan(
        window=WindowPlan(1),
        detectors=(DetectorPlan("crystal_ball", minimum_effect=-1),),
        decision=DecisionPlan(2.0),
        response=ResponsePlan(confirm=9, out_of=3, cool_down=-1),
    )
    assert places(plan) == [
        "window.rows",
        "detectors[0].name",
        "detectors[0].minimum_effect",
        "decision.false_alarm_rate",
        "response.confirm",
        "response.cool_down",
    ]


@pytest.mark.parametrize("value", [math.nan, math.inf, -1, 0, 10**400, True, "1", None])
def test_no_value_of_a_parameter_gets_past_the_check_as_another_error(value: Any) -> None:
    plan = Plan(detectors=(DetectorPlan("maximum_mean_discrepancy", {"permutations": value}),))
    assert places(plan) == ["detectors[0].parameters.permutations"]


@pytest.mark.parametrize("value", [math.nan, math.inf, -1, 0, 10**400, True, "1"])
def test_a_bandwidth_that_is_no_length_is_refused(value: Any) -> None:
    plan = Plan(detectors=(DetectorPlan("maximum_mean_discrepancy", {"bandwidth": value}),))
    assert places(plan) == ["detectors[0].parameters.bandwidth"]


def test_plans_that_say_the_same_have_the_same_digest() -> None:
    one = DetectorPlan("maximum_mean_discrepancy", {"permutations": 50, "seed": 1})
    other = DetectorPlan("maximum_mean_discrepancy", {"seed": 1, "permutations": 50})
    assert Plan(detectors=(one,)).digest == Plan(detectors=(other,)).digest


def test_plans_that_differ_have_different_digests() -> None:
    plans = [Plan(), Plan(window=WindowPlan(501)), Plan(detectors=(KS,)), Plan(response=ResponsePlan(cool_down=1))]
    assert len({plan.digest for plan in plans}) == len(plans)
