"""Who wants to know is told of a drift event and of what is decided and done about it, in that order."""

import json
import secrets
from typing import Any

import pytest

from service.settings import EventsSettings, StoreSettings
from tests.integration.client.scripted import Said, answering
from tests.integration.service.conftest import application
from tests.integration.service.test_way_through import delivered, judged
from tests.processes.traffic import FEATURES, payload, rows
from tests.processes.waiting import eventually_async

pytestmark = pytest.mark.anyio


async def test_drift_and_what_becomes_of_it_are_told(shared_store: str) -> None:
    with answering(lambda _: Said(202)) as sink:

        def told() -> list[dict[str, Any]]:
            events = [json.loads(asked.body) for asked in sink.asked]
            return [event for event in events if event["subject"] == "churn"]

        async def all_of_it() -> list[dict[str, Any]]:
            return told() if len(told()) == 3 else []

        store = StoreSettings(url=shared_store, prefix=secrets.token_hex(8))
        async with application(store, events=EventsSettings(url=sink.url, allow_loopback=True)) as app:
            await app.register()
            for shift in (0.0, 3.0):
                await app.observe(payload(rows(10, 50, shift=shift)))
            _, verdict = await judged(app, 2)
            action = await delivered(app)
            detected, permitted, started = await eventually_async(all_of_it, "three events are told")
    assert detected["type"] == "io.driftwarden.drift.detected.v1"
    assert (detected["data"]["verdict"], detected["data"]["run"]) == (2, action["name"])
    assert set(detected["data"]["drifted_features"]) == set(FEATURES)
    assert detected["data"]["reference_digest"] == verdict["reference_digest"]
    assert {permitted["type"], started["type"]} == {"io.driftwarden.retraining.changed.v1"}
    assert [event["data"]["step"] for event in (permitted, started)] == ["PERMITTED", "STARTED"]
    assert (started["data"]["run"], started["data"]["outcome"]) == (action["name"], "DRY_RUN")
    assert len({event["id"] for event in (detected, permitted, started)}) == 3
