"""Models whose plan keeps no rows: over HTTP, from senders of rows and of summaries, with the service killed."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from threading import get_ident
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from service.domain.fitted_plan import FittedPlan, fit
from service.domain.models import LoggedBatch, Reference
from service.domain.plan import DetectorPlan, Plan, WindowPlan
from service.domain.summaries import Pane, encode_panes, panes_of
from service.domain.windows.panes import PaneCutter
from service.http.routes.summaries import MEDIA_TYPE
from tests.integration.service.conftest import Application
from tests.integration.service.test_windows import (
    LITTLE,
    MIDNIGHT,
    batch,
    judged,
    measured,
    put_under_watch,
    statistics,
)
from tests.processes.fixtures import MakeService
from tests.processes.traffic import FEATURES, SMALL_PLAN, payload, rows
from tests.processes.waiting import eventually_async

EVERY = 600
WINDOW = {"every_seconds": EVERY, "lateness_seconds": 120, "keep": "summaries"}
BATCHES, ROWS = 90, 15


def fitted(seed: int = 1, detector: str = "kolmogorov_smirnov") -> FittedPlan:
    """As a sender has it."""
    plan = Plan(WindowPlan(None, every_seconds=EVERY, keep="summaries"), (DetectorPlan(detector),))
    return fit(plan, Reference(FEATURES, rows(seed, 1000)))


def panes(values: NDArray[np.float64], seconds: NDArray[np.float64], by: FittedPlan) -> bytes:
    times = (int(MIDNIGHT.timestamp()) * 1000 + seconds * 1000).astype(np.int64)
    return encode_panes(panes_of(by, values, times, EVERY * 1000))


def post(client: httpx.Client, body: bytes | dict[str, Any], key: str) -> httpx.Response:
    headers = {"Idempotency-Key": key}
    if isinstance(body, dict):
        return client.post("/v1/models/churn/observations", json=body, headers=headers)
    headers["Content-Type"] = MEDIA_TYPE
    return client.post("/v1/models/churn/summaries", content=body, headers=headers)


def test_senders_of_rows_and_of_summaries_are_judged_together_though_the_service_is_killed(
    make_service: MakeService,
) -> None:
    service = make_service(**LITTLE)
    service.start()
    with service.client() as client:
        put_under_watch(client, "churn", WINDOW)
    values, by = rows(5, BATCHES * ROWS), fitted()
    seconds = np.arange(len(values)) * 2.0
    order = np.argsort(seconds + np.random.default_rng(6).uniform(0, 119, len(values)), kind="stable")
    parts = np.split(order, BATCHES)
    bodies = [
        panes(values[some], seconds[some], by) if number % 3 else batch(values[some], seconds[some])
        for number, some in enumerate(parts)
    ]
    client = service.client()
    for number, body in enumerate([*bodies, batch(values[:1], np.array([9000.0]))]):
        if number in {31, 32, 70}:
            client.close()
            service.kill()
            service.start()
            client = service.client()
        for _ in range(1 + (number % 10 == 0)):
            answer = post(client, body, f"batch {number}")
            assert answer.status_code == 200, answer.text
            assert answer.json()["rows"] == (ROWS if number < BATCHES else 1)
    intervals = seconds // EVERY
    expected = [values[intervals == number] for number in np.unique(intervals)]
    found = judged(client, "churn", len(expected))
    client.close()
    assert [(each["rows"], each["tested_rows"], each["late"]) for each in found] == [
        (len(window), len(window), 0) for window in expected
    ]
    assert measured(found) == statistics(expected)
    assert found[0]["until"].startswith((MIDNIGHT + timedelta(seconds=EVERY)).isoformat()[:16])


@pytest.mark.anyio
async def test_nothing_of_a_row_is_left_in_the_store(running_app: Application) -> None:
    await running_app.register(plan={**SMALL_PLAN, "window": {"rows": 50, "keep": "summaries"}})
    values = rows(7, 200)
    values[:, 1] = 1234.5678
    for number, some in enumerate(np.split(values, 10)):
        answer = await running_app.observe(payload(some), key=f"batch {number}")
        assert answer.status_code == 200, answer.text

    async def all_judged() -> bool:
        return sum(verdict["rows"] for verdict in await running_app.verdicts()) == 180

    await eventually_async(all_judged, "three windows of 60")
    assert [verdict["rows"] for verdict in await running_app.verdicts()] == [60, 60, 60]
    traces = {values[0, 1].tobytes(), values[3, 0].tobytes(), values[3, 2].tobytes(), b"1234.5678"}
    entries = 0
    async for key in running_app.redis.scan_iter(match=f"{running_app.prefix}:*", count=10_000):
        if await running_app.redis.type(key) == b"stream":
            for _, fields in await running_app.redis.xrange(key):
                entries += 1
                assert not any(trace in field for trace in traces for field in fields.values())
    assert entries > 10


@pytest.mark.anyio
async def test_the_plan_stays_what_it_can_be_without_rows(running_app: Application) -> None:
    await running_app.register()
    answer = await running_app.client.put("/v1/models/churn/plan", json={"window": {"keep": "summaries"}})
    assert [each["name"] for each in answer.json()["plan"]["detectors"]] == [
        "kolmogorov_smirnov",
        "fast_maximum_mean_discrepancy",
    ]
    for window, detector, place in (
        ({"step": 100}, "kolmogorov_smirnov", "window.step"),
        ({"sample_rows": 100}, "kolmogorov_smirnov", "window.sample_rows"),
        ({"rows": 100, "every_seconds": 60}, "kolmogorov_smirnov", "window"),
        ({}, "maximum_mean_discrepancy", "detectors[0].name"),
        ({}, "mann_whitney", "detectors[0].name"),
    ):
        plan = {"window": {"keep": "summaries", **window}, "detectors": [{"name": detector}]}
        answer = await running_app.client.put("/v1/models/churn/plan", json=plan)
        assert answer.status_code == 422
        assert [error["place"] for error in answer.json()["errors"]] == [place]


def refusals() -> Sequence[tuple[str, Callable[[], bytes], str, int, str]]:
    values, seconds = rows(8, 20), np.arange(20.0)

    def crossing() -> bytes:
        (pane,) = panes_of(fitted(), values, (seconds * 1000).astype(np.int64), None)
        return encode_panes([Pane(599_000, 600_000, pane.summaries)])

    return [
        ("another reference", lambda: panes(values, seconds, fitted(seed=2)), MEDIA_TYPE, 409, "outdated-summaries"),
        (
            "another detector",
            lambda: panes(values, seconds, fitted(detector="missing_values")),
            MEDIA_TYPE,
            409,
            "outdated-summaries",
        ),
        ("a pane over a boundary", crossing, MEDIA_TYPE, 422, "invalid-batch"),
        ("damaged", lambda: panes(values, seconds, fitted())[:-1], MEDIA_TYPE, 422, "invalid-batch"),
        ("empty", bytes, MEDIA_TYPE, 422, "invalid-batch"),
        ("another type", lambda: panes(values, seconds, fitted()), "application/json", 415, "unsupported-format"),
        ("too large", lambda: bytes(10**6), MEDIA_TYPE, 413, "content-too-large"),
    ]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("body", "media_type", "status", "kind"),
    [pytest.param(*rest, id=name) for name, *rest in refusals()],
)
async def test_what_no_summaries_of_this_plan_are_is_refused_and_not_stored(
    running_app: Application, body: Callable[[], bytes], media_type: str, status: int, kind: str
) -> None:
    await running_app.register(plan={**SMALL_PLAN, "window": WINDOW})
    answer = await running_app.client.post(
        "/v1/models/churn/summaries", content=body(), headers={"Content-Type": media_type}
    )
    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:driftwarden:problem:{kind}")
    assert await running_app.stored_batches() == 0


@pytest.mark.anyio
async def test_summaries_for_a_plan_that_keeps_rows_for_no_model_and_under_a_used_name(
    running_app: Application,
) -> None:
    async def answered(body: bytes, model: str = "churn") -> tuple[int, str]:
        headers = {"Content-Type": MEDIA_TYPE, "Idempotency-Key": "the same"}
        answer = await running_app.client.post(f"/v1/models/{model}/summaries", content=body, headers=headers)
        return answer.status_code, answer.json().get("type", "").rpartition(":")[2]

    one, other = (panes(rows(seed, 20), np.arange(20.0), fitted()) for seed in (8, 9))
    await running_app.register()
    assert await answered(one) == (422, "invalid-batch")
    assert await answered(one, "unknown") == (404, "unknown-model")
    await running_app.client.put("/v1/models/churn/plan", json={**SMALL_PLAN, "window": WINDOW})
    assert await answered(one) == (200, "")
    assert await answered(one) == (200, "")
    assert await answered(other) == (409, "conflicting-batch")
    assert await running_app.stored_batches() == 1


@pytest.mark.anyio
async def test_panes_are_added_up_beside_the_event_loop(
    running_app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads, feed = set[int](), PaneCutter.feed

    def watched(self: PaneCutter, logged: LoggedBatch, panes: Sequence[Pane] | None = None) -> None:
        threads.add(get_ident())
        feed(self, logged, panes)

    monkeypatch.setattr(PaneCutter, "feed", watched)
    await running_app.register(plan={**SMALL_PLAN, "window": {"rows": 50, "keep": "summaries"}})
    await running_app.observe(payload(rows(9, 60)))

    async def one() -> bool:
        return len(await running_app.verdicts()) == 1

    await eventually_async(one, "a window")
    assert threads
    assert get_ident() not in threads


@pytest.mark.anyio
async def test_rows_that_came_before_the_plan_kept_none_are_judged_with_the_others(running_app: Application) -> None:
    await running_app.register(plan={**SMALL_PLAN, "window": {"rows": 50}})
    values = rows(9, 60)
    await running_app.observe(payload(values[:40]))
    answer = await running_app.client.put(
        "/v1/models/churn/plan", json={**SMALL_PLAN, "window": {"rows": 50, "keep": "summaries"}}
    )
    assert answer.status_code == 200
    await running_app.observe(payload(values[40:]))

    async def one() -> bool:
        return len(await running_app.verdicts()) == 1

    await eventually_async(one, "a window")
    (verdict,) = await running_app.verdicts()
    assert verdict["rows"] == 60
    assert measured([verdict]) == statistics([values])
