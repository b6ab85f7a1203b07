"""A store that was emptied, or restored from an earlier copy, counts from a lower number: nothing of that is lost."""

import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from redis.asyncio import Redis

from service.adapters.log import RedisDeliveryLog, RedisRetrainingRecord, RedisVerdictLog
from service.adapters.reference_store import RedisRegistrations
from service.adapters.store import Keys
from service.adapters.trigger.dry_run import DryRunTrigger
from service.adapters.trigger.template import SHIPPED_TEMPLATE, read_template
from service.domain.models import Reference, TriggerOutcome
from service.domain.registration import Registration
from service.domain.retraining.record import first_break
from service.telemetry.metrics import Metrics
from service.telemetry.tracing import Tracing
from service.usecases.deliver_actions import BackOff, DeliverActions, Kept, Triggers
from service.usecases.retraining_gate import RetrainingGate
from tests.conformance.ports.documents import MODEL
from tests.conformance.ports.documents import reference as reference_rows
from tests.integration.service.conftest import Application
from tests.integration.service.test_way_through import delivered, judged
from tests.processes.drift_events import NothingVetted, drifted, registered
from tests.processes.traffic import payload, reference, rows
from tests.processes.waiting import eventually_async

pytestmark = pytest.mark.anyio


async def empty(app: Application) -> None:
    """Everything of this application at once, as FLUSHALL does."""
    await app.redis.delete(*await app.redis.keys(f"{app.prefix}:*"))


async def scraped(app: Application, sample: str) -> float | None:
    lines = (await app.client.get("/metrics")).text.splitlines()
    found = [line.rpartition(" ")[2] for line in lines if line.startswith(f"{sample} ")]
    return float(found[0]) if found else None


async def test_the_same_reference_and_number_start_another_action(watched: Application) -> None:
    for seed in (10, 11):
        await watched.observe(payload(rows(seed, 50, shift=3.0)))
    await judged(watched, 2)
    earlier = await delivered(watched)
    names = {each["action"]["name"] for each in await watched.verdicts()}

    await empty(watched)
    await watched.register()
    await watched.observe(payload(rows(12, 50, shift=-3.0)))
    (again,) = await judged(watched, 1)
    assert (again["number"], again["finding"]) == (1, "DRIFT")
    action = await delivered(watched)
    assert action["outcome"] == "DRY_RUN"
    assert action["name"] not in names
    assert action["delivered_at"] > earlier["delivered_at"]
    assert await scraped(watched, 'driftwarden_verdict_number{model="churn"}') == 1


async def test_rows_of_the_emptied_log_are_in_no_window_of_the_new_one(running_app: Application) -> None:
    async def read() -> bool:
        return await scraped(running_app, 'driftwarden_waiting_rows{model="churn"}') == 100

    await running_app.client.put("/v1/models/churn/reference", json=reference())
    await running_app.observe(payload(rows(1, 100, shift=5.0)))
    await eventually_async(read, "the rows are read")
    await empty(running_app)
    await running_app.client.put("/v1/models/churn/reference", json=reference())
    await running_app.observe(payload(rows(2, 500)))
    (only,) = await judged(running_app, 1)
    assert (only["rows"], only["batches"], only["first_row"]) == (500, 1, 0)


class Outbox:
    """The loop's step, taken by hand, on a real store."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        keys = Keys(prefix)
        self.redis = redis
        self.prefix = prefix
        self.registrations = RedisRegistrations(redis, keys)
        self.verdicts = RedisVerdictLog(redis, keys, 1000)
        self.deliveries = RedisDeliveryLog(redis, keys, 1000)
        self.record = RedisRetrainingRecord(redis, keys, 1000)
        self.watched = registered()
        trigger = DryRunTrigger(read_template(SHIPPED_TEMPLATE, "training"))
        self.deliver = DeliverActions(
            kept=Kept(self.verdicts, self.deliveries, self.record),
            gate=RetrainingGate(self.registrations, self.verdicts, NothingVetted()),
            triggers=Triggers(trigger, trigger),
            clock=lambda: datetime.now(UTC),
            monotonic=lambda: 0.0,
            back_off=BackOff(1.0, 1.0),
            metrics=Metrics(10, 10),
            tracing=Tracing("0", export=False),
        )

    async def register(self) -> None:
        assert await self.registrations.register(self.watched, reference_rows())

    async def commit(self, history: int) -> None:
        assert await self.verdicts.commit(drifted(await self.verdicts.newest(MODEL), self.watched, history))

    async def delivered(self) -> list[int]:
        made = await self.deliveries.page(MODEL, 1, 100)
        return [each.verdict_number for each in made if each.receipt.outcome is TriggerOutcome.DRY_RUN]

    async def empty(self) -> None:
        await self.redis.delete(*await self.redis.keys(f"{self.prefix}:*"))


async def test_there_is_nothing_to_go_back_to_in_a_store_that_is_emptied_meanwhile(
    running_app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    await running_app.register()
    reference_of = RedisRegistrations.reference

    async def then_emptied(self: RedisRegistrations, registration: Registration) -> Reference:
        found = await reference_of(self, registration)
        await empty(running_app)
        return found

    monkeypatch.setattr(RedisRegistrations, "reference", then_emptied)
    answer = await running_app.client.post("/v1/models/churn/registrations/1/activate")
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:driftwarden:problem:unknown-model")


@pytest.fixture
async def outbox(shared_store: str) -> AsyncIterator[Outbox]:
    async with Redis.from_url(shared_store) as redis:
        made = Outbox(redis, secrets.token_hex(8))
        await made.register()
        yield made


@pytest.mark.parametrize("judged_again", [1, 3, 4], ids=["fewer", "as many", "more"])
async def test_every_action_of_the_new_history_is_delivered(outbox: Outbox, judged_again: int) -> None:
    for _ in range(3):
        await outbox.commit(history=1)
    await outbox.deliver(MODEL)
    assert await outbox.delivered() == [1, 2, 3]
    await outbox.empty()
    await outbox.register()
    for _ in range(judged_again):
        await outbox.commit(history=2)
    await outbox.deliver(MODEL)
    assert await outbox.delivered() == list(range(1, judged_again + 1))


@pytest.mark.parametrize("judged_again", [1, 3], ids=["fewer", "as many"])
async def test_every_action_of_a_model_that_was_deleted_half_way_is_delivered(
    outbox: Outbox, judged_again: int
) -> None:
    for _ in range(3):
        await outbox.commit(history=1)
    await outbox.deliver(MODEL)
    await outbox.registrations.forget(MODEL)  # and whoever did it was ended before the record said so
    await outbox.register()
    for _ in range(judged_again):
        await outbox.commit(history=2)
    await outbox.deliver(MODEL)
    assert await outbox.delivered() == list(range(1, judged_again + 1))
    assert first_break(await outbox.record.page(MODEL, 0, 100)) is None


async def test_an_unchanged_history_is_not_delivered_again(outbox: Outbox) -> None:
    await outbox.commit(history=1)
    await outbox.deliver(MODEL)
    before = await outbox.deliveries.page(MODEL, 1, 1)
    await outbox.deliver(MODEL)
    await outbox.commit(history=1)
    await outbox.deliver(MODEL)
    assert list(await outbox.deliveries.page(MODEL, 1, 1)) == list(before)
    assert await outbox.delivered() == [1, 2]
