"""A budget of false alarms over HTTP: registered, spent in every verdict, and kept when the service is killed."""

from typing import Any

import numpy as np
import pytest

from service.domain.budget import settle, spend
from service.domain.decision import decide
from service.domain.fitted_plan import fit
from service.domain.models import BudgetState, Reference
from service.domain.plan import DecisionPlan, DetectorPlan, FalseAlarmBudget, Plan, WindowPlan
from tests.integration.service.conftest import Application
from tests.integration.service.test_windows import judged
from tests.processes.fixtures import MakeService
from tests.processes.traffic import FEATURES, SMALL_PLAN, payload, reference, rows

WINDOW = 50
PLAN: dict[str, Any] = {**SMALL_PLAN, "decision": {"false_alarms": {"at_most": 1, "per_windows": 1000}}}
SHIFTS = [0.0] * 4 + [0.55] * 5 + [1.5] * 3


def expected() -> list[tuple[str, float | None]]:
    """Finding and evidence of every window, by the rules alone."""
    plan = Plan(
        WindowPlan(WINDOW),
        (DetectorPlan("kolmogorov_smirnov"),),
        DecisionPlan(false_alarms=FalseAlarmBudget(1, per_windows=1000)),
    )
    fitted, state, found = fit(plan, Reference(FEATURES, rows(1, 2500))), BudgetState(), []
    for number, shift in enumerate(SHIFTS):
        results = fitted.measure(rows(number, WINDOW, shift=shift))
        spending = spend(fitted, results, state, 0.0)
        assert spending is not None
        decision = decide(fitted, results, spending)
        state = settle(spending, decision.finding)
        found.append((decision.finding.value, decision.once_in_windows))
    return found


def test_what_was_gathered_is_kept_when_the_service_is_killed(make_service: MakeService) -> None:
    service = make_service(DRIFT_EVALUATION__POLL_SECONDS="0.1")
    service.start()
    with service.client() as client:
        for path, body in (("reference", reference(count=2500)), ("plan", PLAN)):
            answer = client.put(f"/v1/models/churn/{path}", json=body)
            assert answer.status_code == 200, answer.text
        readiness = answer.json()["readiness"]
        assert (readiness["calibrated"], readiness["blocks"], readiness["shortfall"]) == (True, 50, "")
        assert [each["detector"] for each in readiness["sensitivities"]] == ["kolmogorov_smirnov"]
        assert answer.json()["plan"]["decision"]["false_alarms"] == {"at_most": 1, "per_windows": 1000, "per": None}
    for number, shift in enumerate(SHIFTS):
        if number in {3, 7}:
            service.kill()
            service.start()
        with service.client() as client:
            answer = client.post("/v1/models/churn/observations", json=payload(rows(number, WINDOW, shift=shift)))
            assert answer.status_code == 200, answer.text
            verdicts = judged(client, "churn", number + 1)
    assert [(each["finding"], each["budget"]["once_in_windows"]) for each in verdicts] == expected()
    assert {"STABLE", "DRIFT"} == {each["finding"] for each in verdicts}
    assert [each["budget"]["windows"] for each in verdicts] == list(range(1, len(SHIFTS) + 1))
    assert verdicts[-1]["budget"]["alarms"] == sum(each["finding"] == "DRIFT" for each in verdicts)
    assert set(verdicts[-1]["ranked_features"]) == set(FEATURES)


@pytest.mark.anyio
async def test_a_short_reference_says_why_it_does_not_calibrate_and_what_would(watched: Application) -> None:
    answer = await watched.client.put("/v1/models/churn/plan", json={**PLAN, "window": {"rows": 100}})
    readiness = answer.json()["readiness"]
    assert not readiness["calibrated"]
    assert (
        readiness["shortfall"]
        == "1000 rows make 10 blocks of 100, and 20 are needed, which are 2000 rows in time order"
    )
    assert (readiness["effective_blocks"], readiness["sensitivities"]) == (None, [])


@pytest.mark.anyio
async def test_an_earlier_release_refuses_a_plan_with_a_budget_instead_of_passing_it_over(watched: Application) -> None:
    plan = {name: said for name, said in PLAN.items() if name != "response"}  # which may say what is newer than that
    assert (await watched.client.put("/v1/models/churn/plan", json=plan)).status_code == 200
    entries = await watched.redis.xrevrange(watched.key("churn", "registrations"), count=1)
    assert entries[0][1][b"f"] == b"3"


@pytest.mark.anyio
async def test_a_period_is_taken_and_told_in_one_spelling(watched: Application) -> None:
    plan = {**PLAN, "decision": {"false_alarms": {"per": "30d"}}}
    answer = await watched.client.put("/v1/models/churn/plan", json=plan)
    assert answer.json()["plan"]["decision"]["false_alarms"]["per"] == "2592000s"
    again = await watched.client.put("/v1/models/churn/plan", json=answer.json()["plan"])
    assert (again.status_code, again.json()["changed"]) == (200, False)


@pytest.mark.anyio
async def test_rows_tested_at_once_are_judged_by_the_budget_and_spend_nothing(watched: Application) -> None:
    assert (await watched.client.put("/v1/models/churn/reference", json=reference(count=2500))).status_code == 200
    assert (await watched.client.put("/v1/models/churn/plan", json=PLAN)).status_code == 200
    shifted = payload(np.asarray(rows(3, WINDOW, shift=2.0)))
    for _ in range(2):
        answer = await watched.client.post("/v1/models/churn/evaluations", json=shifted)
        assert answer.status_code == 200, answer.text
        assert answer.json()["finding"] == "DRIFT"
    assert await watched.verdicts() == []
