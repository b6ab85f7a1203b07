"""Windows over HTTP: sliding and by time, with the service killed in the middle of them; and the documented plans."""

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from service.domain.fitted_plan import fit
from service.domain.models import Reference
from service.domain.plan import DetectorPlan, Plan
from tests.integration.service.conftest import Application
from tests.processes.fixtures import MakeService
from tests.processes.services import ServiceProcess
from tests.processes.traffic import FEATURES, SMALL_PLAN, payload, reference, rows
from tests.processes.waiting import eventually, eventually_async

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "windows.md"
MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC)
LITTLE = {"DRIFT_STORE__RETAINED_BYTES": "0", "DRIFT_EVALUATION__POLL_SECONDS": "0.1"}
"""So that what no later window needs is really gone."""
BATCHES, ROWS = 450, 3


def put_under_watch(client: httpx.Client, model: str, window: dict[str, Any]) -> None:
    for path, body in (("reference", reference()), ("plan", {**SMALL_PLAN, "window": window})):
        answer = client.put(f"/v1/models/{model}/{path}", json=body)
        assert answer.status_code == 200, answer.text


def send(service: ServiceProcess, batches: Sequence[tuple[str, dict[str, Any]]], kill_before: Sequence[int]) -> None:
    """Each batch, some of them twice; before some the service is killed as if memory were short, and started again."""
    client = service.client()
    for number, (model, body) in enumerate(batches):
        if number in kill_before:
            client.close()
            service.kill()
            service.start()
            client = service.client()
        for _ in range(1 + (number % 10 == 0)):
            headers = {"Idempotency-Key": f"batch {number}"}
            answer = client.post(f"/v1/models/{model}/observations", json=body, headers=headers)
            assert answer.status_code == 200, answer.text
    client.close()


def judged(client: httpx.Client, model: str, count: int) -> list[dict[str, Any]]:
    def enough() -> list[dict[str, Any]]:
        answer = client.get(f"/v1/models/{model}/verdicts", params={"limit": 1000})
        found = list(reversed(answer.json()["verdicts"])) if answer.status_code == 200 else []
        return found if len(found) >= count else []

    found = eventually(enough, f"{count} verdicts")
    assert [each["number"] for each in found] == list(range(1, count + 1))
    return found


def statistics(windows: Sequence[NDArray[np.float64]]) -> list[list[float]]:
    """What the detector measures in these rows: the same bits only if they are the same rows."""
    fitted = fit(Plan(detectors=(DetectorPlan("kolmogorov_smirnov"),)), Reference(FEATURES, rows(1, 1000)))
    return [fitted.measure(window)[0].statistic.tolist() for window in windows]


def measured(verdicts: Sequence[dict[str, Any]]) -> list[list[float]]:
    return [[each["statistic"] for each in verdict["detectors"][0]["features"]] for verdict in verdicts]


def test_windows_go_on_after_the_service_was_killed(make_service: MakeService) -> None:
    """One model with sliding windows, and one with rows of 45 minutes, out of order, in windows of ten."""
    service = make_service(**LITTLE)
    service.start()
    with service.client() as client:
        put_under_watch(client, "sliding", {"rows": 60, "step": 25})
        put_under_watch(client, "by-time", {"every_seconds": 600, "lateness_seconds": 120})
    values, generator = rows(5, BATCHES * ROWS), np.random.default_rng(6)
    seconds = np.arange(len(values)) * 2.0  # the moments of the rows, and below the order in which they arrive
    order = np.argsort(seconds + generator.uniform(0, 119, len(values)), kind="stable")
    sliding = [payload(some) for some in np.split(values, BATCHES)]
    by_time = [batch(values[some], seconds[some]) for some in np.split(order, BATCHES)]
    sent = [
        each for both in zip(sliding, by_time, strict=True) for each in zip(("sliding", "by-time"), both, strict=True)
    ]
    too_late, closing = (batch(values[:1], np.array([moment])) for moment in (0.0, 7200.0))
    send(service, [*sent[:800], ("by-time", too_late), *sent[800:], ("by-time", closing)], [301, 302, 640])
    with service.client() as client, service.embedded_server() as direct:
        _sliding_as_expected(client, [values[first : first + 60] for first in range(0, len(values) - 59, 25)])
        intervals = seconds // 600
        _by_time_as_expected(client, [values[intervals == number] for number in np.unique(intervals)])
        for model in ("sliding", "by-time"):
            assert direct.xlen(f"driftwarden:{{{model}}}:observations") < BATCHES


def _sliding_as_expected(client: httpx.Client, expected: Sequence[NDArray[np.float64]]) -> None:
    found = judged(client, "sliding", len(expected))
    assert [each["first_row"] for each in found] == [25 * number for number in range(len(found))]
    assert {(each["rows"], each["tested_rows"], each["late"]) for each in found} == {(60, 60, 0)}
    assert measured(found) == statistics(expected)


def _by_time_as_expected(client: httpx.Client, expected: Sequence[NDArray[np.float64]]) -> None:
    found = judged(client, "by-time", len(expected))
    assert [each["rows"] for each in found] == [len(window) for window in expected]
    assert [datetime.fromisoformat(each["until"]) for each in found] == [
        MIDNIGHT + timedelta(minutes=10 * number) for number in range(1, len(found) + 1)
    ]
    assert measured(found) == statistics(expected)
    assert sum(each["late"] for each in found) == 1


def batch(values: NDArray[np.float64], seconds: NDArray[np.float64]) -> dict[str, Any]:
    moments = [(MIDNIGHT + timedelta(seconds=each)).isoformat() for each in seconds.tolist()]
    return payload(values, observed_at=moments)


@pytest.mark.anyio
async def test_a_window_of_too_few_rows_is_undecided(running_app: Application) -> None:
    window = {"rows": 100, "every_seconds": 60, "minimum_rows": 30}
    await running_app.register(plan={**SMALL_PLAN, "window": window})
    await running_app.observe(batch(rows(1, 29, shift=9.0), np.zeros(29)))
    await running_app.observe(batch(rows(2, 30, shift=9.0), np.full(30, 60.0)))
    await running_app.observe(batch(rows(3, 1), np.array([120.0])))

    async def both() -> list[dict[str, Any]]:
        found = await running_app.verdicts()
        return found if len(found) == 2 else []

    few, enough = await eventually_async(both, "two verdicts")
    assert (few["finding"], few["rows"], few["detectors"]) == ("UNDECIDED", 29, [])
    assert "29 rows are too few" in few["reason"]
    assert (enough["finding"], enough["rows"]) == ("DRIFT", 30)


@pytest.mark.anyio
async def test_a_log_that_falls_silent_ends_the_window(running_app: Application) -> None:
    await running_app.register(plan={**SMALL_PLAN, "window": {"every_seconds": 1, "sample_rows": 25}})
    await running_app.observe(batch(rows(1, 40, shift=9.0), np.full(40, 0.5)))
    (verdict,) = await eventually_async(running_app.verdicts, "a verdict")
    assert (verdict["rows"], verdict["tested_rows"], verdict["finding"]) == (40, 25, "DRIFT")
    assert datetime.fromisoformat(verdict["until"]) == MIDNIGHT + timedelta(seconds=1)


def documented() -> list[str]:
    return re.findall(r"```json\n(.*?)```", GUIDE.read_text(), re.DOTALL)


@pytest.mark.anyio
@pytest.mark.parametrize("plan", documented())
async def test_the_documented_plans_are_taken(watched: Application, plan: str) -> None:
    answer = await watched.client.put("/v1/models/churn/plan", json=json.loads(plan))
    assert answer.status_code == 200, answer.text
    given, taken = json.loads(plan)["window"], answer.json()["plan"]["window"]
    assert {name: taken[name] for name in given} == given
    assert taken["rows"] == given.get("rows")
