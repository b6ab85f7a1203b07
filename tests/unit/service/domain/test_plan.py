"""A plan that cannot work is refused as a whole, each fault with its place."""

import math
from typing import Any

import pytest

from service.domain.errors import InvalidPlan
from service.domain.plan import (
    MAXIMUM_DETECTORS,
    MAXIMUM_WINDOW_ROWS,
    MAXIMUM_WINDOW_SECONDS,
    DecisionPlan,
    DetectorPlan,
    Plan,
    ResponsePlan,
    WindowPlan,
    check,
    detectors_on_summaries,
)

KS = DetectorPlan("kolmogorov_smirnov")


def places(plan: Plan) -> list[str]:
    with pytest.raises(InvalidPlan) as raised:
        check(plan)
    return [fault.place for fault in raised.value.faults]


def test_the_plan_that_nobody_wrote_works() -> None:
    check(Plan())
    check(Plan(WindowPlan(keep="summaries"), detectors_on_summaries()))
    check(Plan(WindowPlan(None, every_seconds=60, lateness_seconds=30, keep="summaries"), detectors_on_summaries()))


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
        (Plan(WindowPlan(step=100, keep="summaries"), detectors_on_summaries()), "window.step"),
        (Plan(WindowPlan(sample_rows=100, keep="summaries"), detectors_on_summaries()), "window.sample_rows"),
        (Plan(WindowPlan(every_seconds=60, keep="summaries"), detectors_on_summaries()), "window"),
        (Plan(WindowPlan(keep="summaries")), "detectors[1].name"),
        (Plan(response=ResponsePlan(confirm=0)), "response.confirm"),
        (Plan(response=ResponsePlan(confirm=4, out_of=3)), "response.confirm"),
        (Plan(response=ResponsePlan(confirm=1, out_of=101)), "response.out_of"),
        (Plan(response=ResponsePlan(cool_down=-1)), "response.cool_down"),
    ],
)
def test_a_fault_is_named_with_its_place(plan: Plan, place: str) -> None:
    assert places(plan) == [place]


def test_a_detector_may_be_planned_again_for_other_features_and_with_other_parameters() -> None:
    check(
        Plan(
            detectors=(
                DetectorPlan("population_stability_index", {"bins": 10}, ("age", "income")),
                DetectorPlan("population_stability_index", {"bins": 4}, ("visits",)),
                DetectorPlan("chi_square", features=("city",)),
            )
        )
    )


@pytest.mark.parametrize(
    ("again", "place"),
    [
        (DetectorPlan("chi_square", features=("b", "c")), "detectors[1].features[0]"),
        (DetectorPlan("chi_square", {"method": "asymptotic"}, ("b",)), "detectors[1].features[0]"),
        (DetectorPlan("chi_square"), "detectors[1].name"),
    ],
)
def test_what_could_not_be_told_apart_is_planned_once(again: DetectorPlan, place: str) -> None:
    assert places(Plan(detectors=(DetectorPlan("chi_square", features=("a", "b")), again))) == [place]


def test_a_detector_of_all_features_together_is_planned_once() -> None:
    joint = [DetectorPlan("maximum_mean_discrepancy", features=(name,)) for name in "ab"]
    assert places(Plan(detectors=tuple(joint))) == ["detectors[1].name"]


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


@pytest.mark.parametrize(
    "window",
    [
        WindowPlan(500, step=500),
        WindowPlan(500, step=5),
        WindowPlan(500, sample_rows=100),
        WindowPlan(500, every_seconds=3600, minimum_rows=500),
        WindowPlan(None, every_seconds=1, lateness_seconds=10),
        WindowPlan(None, every_seconds=MAXIMUM_WINDOW_SECONDS, sample_rows=MAXIMUM_WINDOW_ROWS),
    ],
)
def test_windows_of_every_kind_can_be_planned(window: WindowPlan) -> None:
    check(Plan(window=window))


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (WindowPlan(None), ["window"]),
        (WindowPlan(500, step=0), ["window.step"]),
        (WindowPlan(500, step=4), ["window.step"]),
        (WindowPlan(500, step=501), ["window.step"]),
        (WindowPlan(500, step=50, every_seconds=60), ["window.step"]),
        (WindowPlan(None, step=50, every_seconds=60), ["window.step"]),
        (WindowPlan(None, every_seconds=0), ["window.every_seconds"]),
        (WindowPlan(None, every_seconds=MAXIMUM_WINDOW_SECONDS + 1), ["window.every_seconds"]),
        (WindowPlan(500, lateness_seconds=1), ["window.lateness_seconds"]),
        (WindowPlan(500, every_seconds=60, lateness_seconds=1), ["window.lateness_seconds"]),
        (WindowPlan(None, every_seconds=60, lateness_seconds=-1), ["window.lateness_seconds"]),
        (WindowPlan(None, every_seconds=60, lateness_seconds=601), ["window.lateness_seconds"]),
        (WindowPlan(500, sample_rows=19), ["window.sample_rows"]),
        (WindowPlan(500, sample_rows=501), ["window.sample_rows"]),
        (WindowPlan(None, every_seconds=60, sample_rows=MAXIMUM_WINDOW_ROWS + 1), ["window.sample_rows"]),
        (WindowPlan(500, minimum_rows=19), ["window.minimum_rows"]),
        (WindowPlan(500, minimum_rows=501), ["window.minimum_rows"]),
        (WindowPlan(500, sample_rows=100, minimum_rows=101), ["window.minimum_rows"]),
        (WindowPlan(None, every_seconds=60, sample_rows=100, minimum_rows=101), ["window.minimum_rows"]),
        (
            WindowPlan(1, 9, 0, -1, 0, 0),
            [f"window.{name}" for name in ("rows", "every_seconds", "step", "lateness_seconds")]
            + ["window.sample_rows", "window.minimum_rows"],
        ),
    ],
)
def test_windows_that_cannot_be_cut_are_refused_with_every_fault(window: WindowPlan, expected: list[str]) -> None:
    assert places(Plan(window=window)) == expected


def test_plans_from_before_there_were_other_windows_keep_their_digests() -> None:
    """Digests that release 0.1 gave."""
    effects = (DetectorPlan("kolmogorov_smirnov", minimum_effect=0.1),)
    assert Plan().digest == "sha256:f7251726a257f3f2dc49f552f7e74df2c22207c929e834706f5005c0d2e5df0d"
    assert (
        Plan(window=WindowPlan(300), detectors=effects).digest
        == "sha256:5e1504ebf01b52a4b2ee367bab63cf6e413921192b02b9805f5aeb32c469dbb3"
    )


def test_windows_that_differ_have_different_digests() -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"rows": None, "every_seconds": 60},
        {"rows": None, "every_seconds": 61},
        {"rows": None, "every_seconds": 60, "lateness_seconds": 1},
        {"every_seconds": 60},
        {"step": 100},
        {"step": 500},
        {"sample_rows": 100},
        {"minimum_rows": 100},
    ]
    assert len({Plan(window=WindowPlan(**change)).digest for change in changes}) == len(changes)
