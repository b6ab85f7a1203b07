"""How well a classifier does, over HTTP: estimated without labels, and what follows from it."""

from typing import Any

import httpx
import numpy as np
import pytest

from tests.integration.service.conftest import Application
from tests.integration.service.test_refusals import assert_problem
from tests.integration.service.test_way_through import judged
from tests.processes.classified import COLUMNS, DECLARED, PLAN, WINDOW, Values, classified, csv_of, observed

pytestmark = pytest.mark.anyio

URL = "/v1/models/churn"
REFERENCE = classified(1, 5000)


async def reference(app: Application, rows: Values = REFERENCE, declared: str = DECLARED) -> httpx.Response:
    return await app.client.put(
        f"{URL}/reference", content=csv_of(rows), headers={"Content-Type": "text/csv"}, params={"columns": declared}
    )


async def register(app: Application, plan: dict[str, Any] = PLAN, rows: Values = REFERENCE) -> None:
    for answer in (await reference(app, rows), await app.client.put(f"{URL}/plan", json=plan)):
        assert answer.status_code == 200, answer.text


async def verdicts_of(app: Application, *windows: Values) -> list[dict[str, Any]]:
    for window in windows:
        assert (await app.observe(observed(window))).status_code == 200
    return await judged(app, len(windows))


async def gauge(app: Application, begins: str) -> list[str]:
    lines = (await app.client.get("/metrics")).text.splitlines()
    return [line for line in lines if line.startswith(f"driftwarden_{begins}")]


async def test_drift_that_matters_and_drift_that_does_not(running_app: Application) -> None:
    await register(running_app)
    found = await verdicts_of(
        running_app,
        classified(2, WINDOW),
        classified(3, WINDOW, noise=2.0),
        classified(4, WINDOW, spread=0.3),
    )
    assert [each["finding"] for each in found] == ["STABLE", "DRIFT", "DRIFT"]
    assert [each["performance"]["matters"] for each in found] == [False, False, True]
    realised = float(((REFERENCE[:, 2] >= 0.5) == REFERENCE[:, 3]).mean())
    for each in (each["performance"] for each in found):
        low, high = each["interval"]
        assert low < each["estimated"] < high
        assert (each["metric"], each["reference"]) == ("accuracy", pytest.approx(realised))
    assert found[2]["performance"]["estimated"] < realised - 0.1
    assert await gauge(running_app, 'performance_matters{model="churn"}') == [
        'driftwarden_performance_matters{model="churn"} 1.0'
    ]
    shown = await gauge(running_app, "estimated_performance{")
    assert [line.split('value="')[1].split('"')[0] for line in shown] == ["estimated", "lower", "upper", "reference"]
    actions = [each["action"] is not None for each in found]
    assert actions == [False, True, True]


async def test_the_response_may_be_kept_for_drift_that_matters(running_app: Application) -> None:
    await register(running_app, {**PLAN, "response": {**PLAN["response"], "only_if_it_matters": True}})
    found = await verdicts_of(running_app, classified(3, WINDOW, noise=2.0), classified(4, WINDOW, spread=0.3))
    assert [each["finding"] for each in found] == ["DRIFT", "DRIFT"]
    assert [each["action"] is not None for each in found] == [False, True]


async def test_a_concept_that_changes_is_not_seen_in_predictions(running_app: Application) -> None:
    await register(running_app)
    rows = classified(5, WINDOW)
    rows[:, 3] = 1 - rows[:, 3]
    (found,) = await verdicts_of(running_app, rows)
    assert (found["finding"], found["performance"]["matters"]) == ("STABLE", False)


async def test_what_cannot_be_estimated_says_so(running_app: Application) -> None:
    await register(running_app, {**PLAN, "performance": {"metric": "precision"}})
    rows = classified(6, WINDOW)
    rows[:, 2] = 0.1
    (found,) = await verdicts_of(running_app, rows)
    performance = found["performance"]
    assert (performance["metric"], performance["estimated"], performance["interval"]) == ("precision", None, None)
    assert performance["matters"] is None
    assert not await gauge(running_app, "performance_matters{")


async def test_rows_tested_at_once_are_estimated_too(running_app: Application) -> None:
    await register(running_app)
    answer = await running_app.client.post(f"{URL}/evaluations", json=observed(classified(4, WINDOW, spread=0.3)))
    assert answer.json()["performance"]["matters"] is True


async def test_a_plan_is_given_back_as_it_was_and_refused_by_earlier_releases(running_app: Application) -> None:
    await register(running_app)
    plan = (await running_app.client.get(f"{URL}/plan")).json()
    assert plan["performance"]["prediction"] is None
    again = await running_app.client.put(f"{URL}/plan", json=plan)
    assert (again.status_code, again.json()["changed"]) == (200, False)
    entries = await running_app.redis.xrevrange(running_app.key("churn", "registrations"), count=1)
    assert entries[0][1][b"f"] == b"4"


CANNOT_BE: list[tuple[dict[str, Any], str]] = [
    ({"performance": {"threshold": 0}}, "performance.threshold"),
    ({"performance": {"threshold": 1.5}}, "performance.threshold"),
    ({"performance": {"minimum_loss": 0}}, "performance.minimum_loss"),
    ({"performance": {"minimum_loss": 1}}, "performance.minimum_loss"),
    ({"performance": {"window_rows": 19}}, "performance.window_rows"),
    ({"performance": {"metric": "cosiness"}}, "performance.metric"),
    ({"performance": {"prediction": "noise"}}, "performance.prediction"),
    ({"performance": {"label": "absent"}}, "performance.label"),
    ({"performance": None, "response": {"only_if_it_matters": True}}, "response.only_if_it_matters"),
    ({"window": {"rows": WINDOW, "keep": "summaries"}, "detectors": [{"name": "kolmogorov_smirnov"}]}, "performance"),
]


async def test_a_plan_that_cannot_be_estimated_is_refused_with_the_place(running_app: Application) -> None:
    assert (await reference(running_app, REFERENCE[:500])).status_code == 200
    for change, place in CANNOT_BE:
        answer = await running_app.client.put(f"{URL}/plan", json={**PLAN, **change})
        assert_problem(answer, 422, "invalid-plan", place)


async def test_columns_that_are_not_the_only_ones_are_to_be_named(running_app: Application) -> None:
    declared = DECLARED.replace("]", ', {"name": "noise", "role": "prediction"}]')
    assert (await reference(running_app, declared=declared)).status_code == 200
    answer = await running_app.client.put(f"{URL}/plan", json=PLAN)
    assert_problem(answer, 422, "invalid-plan", "performance.prediction")
    named = {**PLAN, "performance": {"prediction": "score"}}
    assert (await running_app.client.put(f"{URL}/plan", json=named)).status_code == 200


@pytest.mark.parametrize(
    ("column", "value", "place"),
    [
        ("score", 1.5, "performance.prediction"),
        ("paid", 3.0, "performance.label"),
        ("paid", np.nan, "performance"),
    ],
)
async def test_a_reference_that_cannot_be_estimated_from_is_refused(
    running_app: Application, column: str, value: float, place: str
) -> None:
    rows = REFERENCE[:500].copy()
    rows[:101, COLUMNS.index(column)] = value
    assert (await reference(running_app, rows)).status_code == 200
    answer = await running_app.client.put(f"{URL}/plan", json={**PLAN, "window": {"rows": 20}})
    assert_problem(answer, 422, "invalid-reference", place)
    registered = await running_app.client.get(URL)
    assert registered.json()["plan"]["performance"] is None
