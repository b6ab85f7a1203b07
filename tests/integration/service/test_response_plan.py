"""What a plan says of retraining, over HTTP: it comes back as it was said, or is refused by its place."""

from typing import Any

import pytest

from tests.integration.service.conftest import Application
from tests.integration.service.test_refusals import assert_problem
from tests.integration.service.test_way_through import delivered, judged
from tests.processes.traffic import SMALL_PLAN, payload, reference, rows
from tests.processes.waiting import eventually_async

pytestmark = pytest.mark.anyio

NIGHT = {"begin": "22:00", "end": "06:30", "zone": "Europe/Berlin"}
SAID = {
    "cool_down_seconds": 60,
    "at_most_per_day": 2,
    "back_off_seconds": 120,
    "quiet_hours": [NIGHT],
    "approval": "manual",
    "dry_run": True,
    "new_reference": {"rows": 500, "after_seconds": 30},
}


async def put(app: Application, response: dict[str, Any], **plan: Any) -> Any:
    await app.client.put("/v1/models/churn/reference", json=reference())
    return await app.client.put("/v1/models/churn/plan", json={**plan, "response": response})


async def test_what_was_said_comes_back(running_app: Application) -> None:
    answer = await put(running_app, SAID)
    assert answer.status_code == 200
    plan = (await running_app.client.get("/v1/models/churn/plan")).json()
    assert {name: plan["response"][name] for name in SAID} == SAID
    again = await running_app.client.put("/v1/models/churn/plan", json=plan)
    assert again.json()["changed"] is False


@pytest.mark.parametrize(
    ("response", "place"),
    [
        ({"cool_down_seconds": -1}, "response.cool_down_seconds"),
        ({"back_off_seconds": 10**9}, "response.back_off_seconds"),
        ({"at_most_per_day": 0}, "response.at_most_per_day"),
        ({"at_most_per_day": 101}, "response.at_most_per_day"),
        ({"quiet_hours": [{**NIGHT, "end": "22:00"}]}, "response.quiet_hours[0].end"),
        ({"quiet_hours": [{**NIGHT, "zone": "Nowhere/At all"}]}, "response.quiet_hours[0].zone"),
        ({"quiet_hours": [{**NIGHT, "zone": "../../etc/passwd"}]}, "response.quiet_hours[0].zone"),
        ({"quiet_hours": [NIGHT] * 11}, "response.quiet_hours"),
        ({"new_reference": {"rows": 99}}, "response.new_reference.rows"),
        ({"new_reference": {"rows": 500, "after_seconds": -1}}, "response.new_reference.after_seconds"),
    ],
)
async def test_what_cannot_be_is_refused_by_its_place(
    running_app: Application, response: dict[str, Any], place: str
) -> None:
    assert_problem(await put(running_app, response), 422, "invalid-plan", place)


async def test_a_new_reference_needs_rows(running_app: Application) -> None:
    answer = await put(running_app, {"new_reference": {"rows": 500}}, window={"keep": "summaries"})
    assert_problem(answer, 422, "invalid-plan", "response.new_reference")


@pytest.mark.parametrize("begin", ["24:00", "22:00:30", "22:00Z", 22, "2200"])
async def test_times_of_day_are_hours_and_minutes(running_app: Application, begin: object) -> None:
    answer = await put(running_app, {"quiet_hours": [{"begin": begin, "end": "06:00"}]})
    assert_problem(answer, 422, "invalid-plan", "response.quiet_hours[0].begin")


async def held_up(app: Application) -> dict[str, str]:
    found = (await app.client.get("/v1/models/churn/retrainings")).json()["held_up"]
    return {each["reason"]: each["detail"] for each in found}


async def test_drift_that_waits_for_the_end_of_quiet_hours_says_so_and_says_so_no_more_when_they_are_gone(
    running_app: Application,
) -> None:
    always = [{"begin": "00:00", "end": "12:00"}, {"begin": "12:00", "end": "00:00"}]
    await running_app.register(plan={**SMALL_PLAN, "response": {**SMALL_PLAN["response"], "quiet_hours": always}})
    await running_app.observe(payload(rows(10, 50, shift=3.0)))
    await judged(running_app, 1)
    found = await held_up(running_app)
    assert next(iter(found)) == "quiet_hours"
    assert "verdict 1" in found["quiet_hours"]
    await running_app.register()
    await delivered(running_app)

    async def shown() -> bool:
        return next(iter(await held_up(running_app))) == "dry_run"

    await eventually_async(shown, "the run was only shown")
