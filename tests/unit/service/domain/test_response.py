"""What follows from findings over time."""

import re
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.models import (
    BatchPosition,
    Cursor,
    Decision,
    EstimatedPerformance,
    Finding,
    ResponseState,
    model_name,
)
from service.domain.response import action_name, respond
from service.domain.retraining.response_plan import ResponsePlan

D, S, U = Finding.DRIFT, Finding.STABLE, Finding.UNDECIDED
DIGEST = "sha256:" + "a" * 64
END = Cursor(BatchPosition("1772366400250-0"), 7)
names = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", fullmatch=True).map(model_name)


def found(finding: Finding, *, matters: bool | None = None) -> Decision:
    performance = EstimatedPerformance("accuracy", 0.7, (0.6, 0.8), 0.8, matters)
    return Decision(finding, "", True, 0.05, None, (), performance=performance)


def acting(plan: ResponsePlan, findings: list[Finding]) -> list[int]:
    """Numbers of the verdicts that start something."""
    state, numbers = ResponseState(), []
    for number, finding in enumerate(findings, 1):
        state, acts = respond(plan, state, number, found(finding))
        if acts:
            numbers.append(number)
    return numbers


def test_one_drifted_window_is_not_enough_for_two_of_three() -> None:
    assert acting(ResponsePlan(confirm=2, out_of=3), [S, D, S, S, D, S, S]) == []


def test_two_of_three_need_not_be_neighbours() -> None:
    assert acting(ResponsePlan(confirm=2, out_of=3), [S, D, S, D, S]) == [4]


def test_an_undecided_window_neither_confirms_nor_breaks_a_run() -> None:
    assert acting(ResponsePlan(confirm=2, out_of=2), [D, U, U, U, D]) == [5]
    assert acting(ResponsePlan(confirm=2, out_of=2), [D, U]) == []


def test_after_an_action_the_cool_down_passes_without_another() -> None:
    plan = ResponsePlan(confirm=1, out_of=1, cool_down=3)
    assert acting(plan, [D] * 10) == [1, 5, 9]


def test_evidence_gathered_before_an_action_is_used_up() -> None:
    plan = ResponsePlan(confirm=2, out_of=3, cool_down=0)
    assert acting(plan, [D, D, D, D]) == [2, 4]


def test_drift_that_outlasts_the_cool_down_acts_at_its_end() -> None:
    plan = ResponsePlan(confirm=2, out_of=3, cool_down=5)
    assert acting(plan, [D] * 9) == [2, 8]


def test_a_plan_that_does_not_retrain_never_acts() -> None:
    assert acting(ResponsePlan(retrain=False, confirm=1, out_of=1, cool_down=0), [D] * 5) == []


@pytest.mark.parametrize(("matters", "acts"), [(True, True), (False, False), (None, True)])
def test_drift_that_does_not_matter_is_left_out_where_the_plan_says_so(matters: bool | None, acts: bool) -> None:
    plan = ResponsePlan(confirm=1, out_of=1)
    asking = replace(plan, only_if_it_matters=True)
    decision = found(D, matters=matters)
    assert respond(asking, ResponseState(), 1, decision)[1] is acts
    assert respond(plan, ResponseState(), 1, decision)[1]


plans = st.integers(1, 6).flatmap(
    lambda out_of: st.builds(
        ResponsePlan, confirm=st.integers(1, out_of), out_of=st.just(out_of), cool_down=st.integers(0, 8)
    )
)


@given(plans, st.lists(st.sampled_from([D, S, U]), max_size=60))
def test_every_action_is_confirmed_and_apart_from_the_last(plan: ResponsePlan, findings: list[Finding]) -> None:
    numbers = acting(plan, findings)
    for number in numbers:
        decided = [finding for finding in findings[:number] if finding is not U]
        assert findings[number - 1] is D
        assert decided[-plan.out_of :].count(D) >= plan.confirm
    for earlier, later in pairwise(numbers):
        assert later - earlier > plan.cool_down


@given(plans, st.lists(st.sampled_from([D, S, U]), max_size=60))
def test_what_is_remembered_stays_small(plan: ResponsePlan, findings: list[Finding]) -> None:
    state = ResponseState()
    for number, finding in enumerate(findings, 1):
        state, _ = respond(plan, state, number, found(finding))
        assert len(state.recent) <= plan.out_of


@given(names, st.integers(1, 10**9))
def test_action_names_are_dns_labels(model: str, number: int) -> None:
    name = action_name(model_name(model), number, DIGEST, END)
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name)


@given(names, st.integers(1, 10**9))
def test_the_same_verdict_gives_the_same_name(model: str, number: int) -> None:
    assert action_name(model_name(model), number, DIGEST, END) == action_name(model_name(model), number, DIGEST, END)


@given(st.lists(st.tuples(names, st.integers(1, 1000)), min_size=2, max_size=20, unique=True))
def test_different_verdicts_have_different_names(verdicts: list[tuple[str, int]]) -> None:
    found = {action_name(model_name(model), number, DIGEST, END) for model, number in verdicts}
    assert len(found) == len(verdicts)


def test_names_differ_where_only_case_or_punctuation_of_the_model_does() -> None:
    found = {action_name(model_name(model), 1, DIGEST, END) for model in ("a.b", "a_b", "a-b", "A.b")}
    assert len(found) == 4


def test_another_reference_makes_another_name() -> None:
    assert action_name(model_name("a"), 1, DIGEST, END) != action_name(model_name("a"), 1, "sha256:" + "b" * 64, END)


def test_the_same_number_in_another_history_of_the_store_makes_another_name() -> None:
    ends = [END, Cursor(END.position, 8), Cursor(END.position), Cursor(BatchPosition("1772366400251-0"), 7)]
    assert len({action_name(model_name("a"), 1, DIGEST, end) for end in ends}) == 4
