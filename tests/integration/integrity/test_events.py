"""Who wants to know is told what has happened to what is watched: a CloudEvent each, in order, until it is taken."""

import json
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from service.adapters.publisher import SinkAddress, event_sink
from service.domain.events import Event
from service.settings import EventsSettings, IntegritySettings
from service.telemetry.metrics import Metrics
from service.usecases.publish_events import MOST_WAITING, PublishEvents
from tests.integration.client.scripted import CUT_OFF, Said, Sidecar, answering
from tests.integration.integrity.conftest import Applications
from tests.integration.integrity.watching import Model, flip
from tests.processes.waiting import eventually_async

pytestmark = pytest.mark.anyio


def event(number: int) -> Event:
    return Event(f"event-{number}", "io.driftwarden.test.v1", "fraud", datetime(2026, 1, 31, tzinfo=UTC), {"n": number})


def told(sink: Sidecar) -> list[str]:
    return [json.loads(asked.body)["id"] for asked in sink.asked]


@asynccontextmanager
async def publishing(url: str) -> AsyncIterator[tuple[PublishEvents, Metrics]]:
    metrics = Metrics(10, 10)
    async with event_sink(SinkAddress(url, allow_loopback=True), 5) as sink, anyio.create_task_group() as tasks:
        publish = PublishEvents(sink, metrics, first_retry_seconds=0.01)
        tasks.start_soon(publish.run)
        yield publish, metrics
        tasks.cancel_scope.cancel()


def count(metrics: Metrics, outcome: str) -> float:
    return metrics.published_events.labels(outcome)._value.get()


async def counted(metrics: Metrics, outcome: str, times: int) -> None:
    async def is_so() -> bool:
        return count(metrics, outcome) == times

    await eventually_async(is_so, f"{times} are {outcome}")


async def test_a_model_that_is_tampered_with_is_told_with_its_files(
    applications: Applications, model: Model, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text(b64encode(b"x" * 32).decode())
    with answering(lambda _: Said(202)) as sink:
        events = EventsSettings(
            signing_secret_file=secret,
            url=f"{sink.url}/broker?tenant=ml",
            allow_loopback=True,
            source="/driftwarden/prod",
        )
        async with applications(integrity=IntegritySettings(targets=model.targets()), events=events):

            def of_it() -> list[dict[str, Any]]:
                found = [json.loads(asked.body) for asked in sink.asked]
                return [each for each in found if each["subject"] == "fraud"]  # the template is watched, too

            async def at_least(number: int) -> bool:
                return len(of_it()) >= number

            await eventually_async(lambda: at_least(1), "that it is verified is told")
            flip(model.weights)
            await eventually_async(lambda: at_least(2), "that it is tampered with is told")
            verified, tampered = of_it()
    assert {asked.path for asked in sink.asked} == {"/broker?tenant=ml"}
    assert all(asked.headers["webhook-signature"].startswith("v1,") for asked in sink.asked)
    assert {asked.headers["content-type"] for asked in sink.asked} == {"application/cloudevents+json"}
    assert verified["data"]["state"] == "verified"
    assert verified["id"] != tampered["id"]
    assert datetime.fromisoformat(tampered["time"]) <= datetime.now(UTC)
    assert tampered | {"id": "", "time": "", "data": {}} == {
        "specversion": "1.0",
        "id": "",
        "source": "/driftwarden/prod",
        "type": "io.driftwarden.integrity.changed.v1",
        "subject": "fraud",
        "time": "",
        "datacontenttype": "application/json",
        "data": {},
    }
    assert tampered["data"] | {"reason": ""} == {
        "target": "fraud",
        "before": "verified",
        "state": "tampered",
        "reason": "",
        "changed": ["model.onnx"],
    }


async def test_events_are_told_in_order_and_again_until_they_are_taken() -> None:
    statuses = iter([503, CUT_OFF, 429, 200, 204])
    with answering(lambda _: Said(next(statuses))) as sink:
        async with publishing(sink.url) as (publish, metrics):
            for number in (1, 2):
                publish.announce(event(number))
            await counted(metrics, "sent", 2)
    assert told(sink) == ["event-1"] * 4 + ["event-2"]
    assert count(metrics, "unavailable") == 3


async def test_an_event_that_nobody_takes_does_not_hold_up_the_next_and_no_redirect_is_followed() -> None:
    statuses = iter([302, 400, 200])
    with answering(lambda _: Said(next(statuses))) as sink:
        async with publishing(sink.url) as (publish, metrics):
            for number in (1, 2, 3):
                publish.announce(event(number))
            await counted(metrics, "sent", 1)
    assert told(sink) == ["event-1", "event-2", "event-3"]
    assert count(metrics, "refused") == 2


async def test_an_answer_is_not_read() -> None:
    with answering(lambda _: Said(200, body=b" " * 100_000_000)) as sink:
        async with publishing(sink.url) as (publish, metrics):
            publish.announce(event(1))
            await counted(metrics, "sent", 1)


async def test_of_more_events_than_may_wait_the_oldest_are_dropped() -> None:
    with answering(lambda _: Said()) as sink:
        async with publishing(sink.url) as (publish, metrics):
            for number in range(MOST_WAITING + 3):  # before anybody else has a turn
                publish.announce(event(number))
            await counted(metrics, "sent", MOST_WAITING)
    assert told(sink)[0] == "event-3"
    assert count(metrics, "dropped") == 3


async def test_what_nobody_foresaw_costs_one_event_and_not_the_service() -> None:
    class Sink:
        async def send(self, event: Event, /) -> None:
            if event.identifier == "event-1":
                raise ExceptionGroup("of the driver's tasks", [OverflowError()])

    metrics = Metrics(10, 10)
    publish = PublishEvents(Sink(), metrics)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(publish.run)
        publish.announce(event(1))
        publish.announce(event(2))
        await counted(metrics, "sent", 1)
        assert count(metrics, "refused") == 1
        tasks.cancel_scope.cancel()
