"""What one asks of a service besides handing in rows: over HTTP, on a real store."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.usecases.evaluate_rows import MAXIMUM_ROWS
from tests.integration.service.conftest import Application
from tests.processes.traffic import SMALL_PLAN, payload, reference, rows
from tests.processes.waiting import eventually_async

pytestmark = pytest.mark.anyio


async def get(application: Application, path: str, **parameters: Any) -> Any:
    answer = await application.client.get(f"/v1/{path}", params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_detectors_are_told_in_plain_words(running_app: Application) -> None:
    found = await get(running_app, "detectors")
    assert {"kolmogorov_smirnov", "maximum_mean_discrepancy", "chi_square"} <= {each["name"] for each in found}
    (one,) = [each for each in found if each["name"] == "kolmogorov_smirnov"]
    assert await get(running_app, "detectors/kolmogorov_smirnov") == one
    assert one["parameters"] == {"alternative": "two-sided", "method": "asymp"}
    answer = await running_app.client.get("/v1/detectors/crystal_ball")
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:driftwarden:problem:unknown-detector")


async def test_going_back_to_an_earlier_reference_and_plan(running_app: Application) -> None:
    await running_app.register()  # 1: the reference, 2: the plan
    first = (await get(running_app, "models/churn/registrations"))["registrations"][0]
    other = await running_app.client.put("/v1/models/churn/reference", json=reference(seed=2))
    plan = {**SMALL_PLAN, "window": {"rows": 60}}
    await running_app.client.put("/v1/models/churn/plan", json=plan)
    assert other.status_code == 200
    await running_app.observe(payload(rows(3, 40)))
    answer = await running_app.client.post("/v1/models/churn/registrations/2/activate")
    assert answer.status_code == 200, answer.text
    assert (answer.json()["revision"], answer.json()["changed"]) == (5, True)
    history = (await get(running_app, "models/churn/registrations"))["registrations"]
    assert [each["revision"] for each in history] == [5, 4, 3, 2, 1]
    assert {name: history[0][name] for name in ("reference_digest", "plan_digest")} == {
        name: first[name] for name in ("reference_digest", "plan_digest")
    }
    again = await running_app.client.post("/v1/models/churn/registrations/2/activate")
    assert (again.json()["revision"], again.json()["changed"]) == (5, False)
    # Windows begin anew: the 40 rows of before are no part of them.
    await running_app.observe(payload(rows(4, 50)))

    async def judged() -> bool:
        return len(await running_app.verdicts()) == 1

    await eventually_async(judged, "a window")
    (verdict,) = await running_app.verdicts()
    assert (verdict["rows"], verdict["reference_digest"]) == (50, first["reference_digest"])


async def test_a_plan_alone_that_is_activated_begins_no_window_anew(running_app: Application) -> None:
    await running_app.register()
    await running_app.client.put("/v1/models/churn/plan", json={**SMALL_PLAN, "window": {"rows": 80}})
    await running_app.observe(payload(rows(3, 40)))
    await running_app.client.post("/v1/models/churn/registrations/2/activate")
    await running_app.observe(payload(rows(4, 10)))

    async def judged() -> bool:
        return len(await running_app.verdicts()) == 1

    await eventually_async(judged, "a window of the rows before and after")


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        ("churn/registrations/9/activate", 404, "unknown-revision"),
        ("churn/registrations/0/activate", 422, "invalid-request"),
        ("nobody/registrations/1/activate", 404, "unknown-model"),
    ],
)
async def test_what_cannot_be_activated(watched: Application, path: str, status: int, kind: str) -> None:
    answer = await watched.client.post(f"/v1/models/{path}")
    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:driftwarden:problem:{kind}")


async def test_rows_are_tested_at_once_and_nothing_is_stored(watched: Application) -> None:
    calm = await watched.client.post("/v1/models/churn/evaluations", json=payload(rows(5, 200)))
    moved = await watched.client.post("/v1/models/churn/evaluations", json=payload(rows(5, 200, shift=1.0)))
    few = await watched.client.post("/v1/models/churn/evaluations", json=payload(rows(5, 19)))
    assert [answer.status_code for answer in (calm, moved, few)] == [200] * 3
    assert [answer.json()["finding"] for answer in (calm, moved, few)] == ["STABLE", "DRIFT", "UNDECIDED"]
    assert set(moved.json()["drifted_features"]) == {"amount", "age", "tenure"}
    assert "too few" in few.json()["reason"]
    assert await watched.stored_batches() == 0
    assert await watched.verdicts() == []


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (payload([[1.0, 2.0]]), 422, "invalid-batch"),
        ({"rows": "none"}, 422, "invalid-batch"),
        (payload([[1.0]], features=["unknown"]), 422, "invalid-batch"),
    ],
)
async def test_rows_that_cannot_be_tested_are_refused(
    watched: Application, body: dict[str, Any], status: int, kind: str
) -> None:
    answer = await watched.client.post("/v1/models/churn/evaluations", json=body)
    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:driftwarden:problem:{kind}")


async def test_more_rows_than_are_tested_at_once_are_refused(watched: Application) -> None:
    lines = "\n".join(["amount,age,tenure", *["1,2,3"] * (MAXIMUM_ROWS + 1)])
    headers = {"Content-Type": "text/csv"}
    answer = await watched.client.post("/v1/models/churn/evaluations", content=lines, headers=headers)
    assert (answer.status_code, answer.json()["errors"][0]["place"]) == (422, "rows")


async def test_verdicts_are_found_by_what_they_say_and_when(watched: Application) -> None:
    began = datetime(2026, 3, 1, tzinfo=UTC)
    for hour in range(12):
        shift = 2.0 if hour in {3, 7, 8} else 0.0
        await watched.observe(
            payload(rows(hour, 50, shift=shift), observed_at=(began + timedelta(hours=hour)).isoformat())
        )

    async def all_judged() -> bool:
        return len(await watched.verdicts()) == 12

    await eventually_async(all_judged, "twelve windows")

    async def numbers(**parameters: Any) -> list[int]:
        return [each["number"] for each in (await get(watched, "models/churn/verdicts", **parameters))["verdicts"]]

    drifted = [each["number"] for each in reversed(await watched.verdicts()) if each["finding"] == "DRIFT"]
    assert {9, 8, 4} <= set(drifted)
    assert await numbers(finding="DRIFT") == drifted
    assert await numbers(acted=True) == drifted  # the plan acts at once
    assert await numbers(acted=False) == [number for number in range(12, 0, -1) if number not in drifted]
    since, until = (began + timedelta(hours=3)).isoformat(), (began + timedelta(hours=6)).isoformat()
    assert await numbers(since=since, until=until) == [6, 5, 4]
    assert await numbers(since=since, until=until, finding="DRIFT") == [n for n in drifted if 4 <= n <= 6]
    page = await get(watched, "models/churn/verdicts", finding="DRIFT", limit=1)
    assert ([each["number"] for each in page["verdicts"]], page["before"]) == ([9], 9)
    found, before = [], None
    while True:
        more = {} if before is None else {"before": before}
        page = await get(watched, "models/churn/verdicts", finding="DRIFT", limit=2, **more)
        found += [each["number"] for each in page["verdicts"]]
        before = page["before"]
        if before is None:
            break
    assert found == drifted
    answer = await watched.client.get("/v1/models/churn/verdicts", params={"since": "yesterday"})
    assert answer.status_code == 422


async def test_a_model_that_is_deleted_is_gone_and_its_name_is_free(running_app: Application) -> None:
    await running_app.register()
    await running_app.observe(payload(rows(3, 70)))

    async def judged() -> bool:
        return len(await running_app.verdicts()) == 1

    await eventually_async(judged, "a window")
    answer = await running_app.client.delete("/v1/models/churn")
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await running_app.observe(payload(rows(3, 10)))).status_code == 404
    for path in ("models/churn", "models/churn/verdicts", "models/churn/registrations"):
        assert (await running_app.client.get(f"/v1/{path}")).status_code == 404
    assert (await get(running_app, "models"))["models"] == []
    assert (await running_app.client.delete("/v1/models/churn")).json()["type"].endswith(":unknown-model")

    async def unseen() -> bool:
        return 'model="churn"' not in (await running_app.client.get("/metrics")).text

    await eventually_async(unseen, "no metric speaks of it")
    # The 20 rows that waited for their window are gone with it.
    await running_app.register()
    await running_app.observe(payload(rows(4, 50)))
    await eventually_async(judged, "a window")
    (verdict,) = await running_app.verdicts()
    assert (verdict["number"], verdict["first_row"], verdict["rows"]) == (1, 0, 50)
