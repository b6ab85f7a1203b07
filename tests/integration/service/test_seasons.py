"""Like with like over HTTP: a reference with times, windows compared by the hour, and what is refused."""

from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.integration.service.conftest import Application
from tests.integration.service.test_windows import judged
from tests.processes.fixtures import MakeService
from tests.processes.traffic import SMALL_PLAN
from tests.unit.service.domain.test_season import DAYS, EVERY_MS, WINDOW, cyclic, times

COLUMNS = '[{"name": "when", "role": "time"}]'
SEASON = {"by": "hour_of_day", "utc_offset_minutes": 0}
PLAN: dict[str, Any] = {
    **SMALL_PLAN,
    "window": {"rows": WINDOW},
    "decision": {"false_alarm_rate": 0.02, "season": SEASON},
}
SUMMARIES = {**PLAN, "window": {"rows": None, "every_seconds": WINDOW * EVERY_MS // 1000, "keep": "summaries"}}
CALM, MOVED = 6, 3


def table(values: NDArray[np.float64], when: NDArray[np.int64]) -> dict[str, Any]:
    """Columns, times as people write them."""
    moments = np.array(when, dtype="datetime64[ms]").astype(str).tolist()
    return {
        "columns": {
            "when": [f"{each}Z" for each in moments],
            "demand": values[:, 0].tolist(),
            "noise": values[:, 1].tolist(),
        }
    }


def lines(values: NDArray[np.float64], when: NDArray[np.int64]) -> bytes:
    """The same as CSV, times as numbers."""
    rows = (f"{moment},{row[0]!r},{row[1]!r}" for moment, row in zip(when.tolist(), values.tolist(), strict=True))
    return "\n".join(["when,demand,noise", *rows]).encode()


def register(client: httpx.Client, plan: dict[str, Any], model: str = "churn") -> dict[str, Any]:
    when = times(0, DAYS * 720)
    answer = client.put(
        f"/v1/models/{model}/reference",
        params={"columns": COLUMNS},
        content=lines(cyclic(1, when), when),
        headers={"Content-Type": "text/csv"},
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["features"] == ["demand", "noise"]
    answer = client.put(f"/v1/models/{model}/plan", json=plan)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_day_is_calm_and_half_a_deviation_within_its_hours_is_drift_though_the_service_is_killed(
    make_service: MakeService,
) -> None:
    service = make_service(DRIFT_EVALUATION__POLL_SECONDS="0.1")
    service.start()
    with service.client() as client:
        registered = register(client, PLAN)
        assert registered["plan"]["decision"]["season"] == SEASON
        assert registered["readiness"]["calibrated"]
        assert registered["readiness"]["seasons"] == {"fewest_rows": DAYS * 30, "lacking": []}
        register(client, SUMMARIES, "summed")
    for number in range(CALM + MOVED):
        if number == 2:  # fitted anew from what is stored
            service.kill()
            service.start()
        when = times(DAYS * 720 + number * WINDOW, WINDOW)
        values = cyclic(20 + number, when, 0.7 if number >= CALM else 0.0)
        with service.client() as client:
            for model in ("churn", "summed"):
                answer = client.post(f"/v1/models/{model}/observations", json=table(values, when))
                assert answer.status_code == 200, answer.text
    with service.client() as client:
        found = judged(client, "churn", CALM + MOVED)
        summed = judged(client, "summed", CALM + MOVED - 1)  # nothing ends the last one
    assert [each["finding"] for each in found] == ["STABLE"] * CALM + ["DRIFT"] * MOVED
    assert found[-1]["drifted_features"] == ["demand"]
    assert all("each row by its hour of the day" in each["reason"] for each in (*found, *summed))
    assert summed[-1]["finding"] == "DRIFT"
    assert found[0]["started_at"] == "2026-01-22T00:00:00Z"


@pytest.mark.anyio
async def test_what_seasons_need_is_asked_for(running_app: Application) -> None:
    await running_app.register()
    client = running_app.client
    answer = await client.put("/v1/models/churn/plan", json=PLAN)
    assert answer.status_code == 422
    (fault,) = answer.json()["errors"]
    assert fault["place"] == "decision.season"
    assert 'role "time"' in fault["message"]
    answer = await client.put("/v1/models/churn/plan", json={"decision": {"season": {"by": "phase_of_moon"}}})
    assert (answer.status_code, answer.json()["errors"][0]["place"]) == (422, "decision.season.by")
    assert await running_app.verdicts() == []


@pytest.mark.anyio
async def test_rows_tested_at_once_need_their_times(running_app: Application) -> None:
    client, when = running_app.client, times(0, DAYS * 720)
    headers = {"Content-Type": "text/csv"}
    body = lines(np.round(cyclic(1, when), 3), when // 1000)
    answer = await client.put("/v1/models/churn/reference", params={"columns": COLUMNS}, content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    plan = {name: said for name, said in PLAN.items() if name != "response"}  # which may say what is newer than that
    assert (await client.put("/v1/models/churn/plan", json=plan)).status_code == 200
    entries = await running_app.redis.xrange(running_app.key("churn", "registrations"))
    assert [each[1][b"f"] for each in entries] == [b"4", b"4"]  # which a release that knows no seasons refuses
    noon = times(DAYS * 720 + 360, 200)
    rows = {"features": ["demand", "noise"], "rows": cyclic(4, noon).tolist()}
    answer = await client.post("/v1/models/churn/evaluations", json=rows)
    assert (answer.status_code, answer.json()["errors"][0]["place"]) == (422, "observed_at")
    answer = await client.post("/v1/models/churn/evaluations", json=table(cyclic(4, noon), noon))
    assert (answer.status_code, answer.json()["finding"]) == (200, "STABLE")
    moments = [f"{moment}Z" for moment in np.array(noon, dtype="datetime64[ms]").astype(str).tolist()]
    said = await client.post("/v1/models/churn/evaluations", json={**rows, "observed_at": moments})
    assert said.json()["detectors"] == answer.json()["detectors"]
    # The same rows at midnight are not what midnight looks like.
    answer = await client.post("/v1/models/churn/evaluations", json=table(cyclic(4, noon), noon + 9 * 3_600_000))
    assert answer.json()["finding"] == "DRIFT"
