"""What every delivery log promises: an action is recorded once, and never one before another."""

import asyncio
from dataclasses import replace

import msgspec
import pytest

from service.domain.errors import CorruptedState
from service.domain.models import TriggerOutcome
from tests.conformance.ports.conftest import Store
from tests.conformance.ports.documents import MODEL, OTHER_MODEL, delivery

pytestmark = pytest.mark.anyio


async def test_what_was_recorded_is_read(store: Store) -> None:
    deliveries = store.deliveries()
    assert await deliveries.last(MODEL) == 0
    assert await deliveries.record(MODEL, delivery(3))
    assert await deliveries.last(MODEL) == 3
    assert await deliveries.page(MODEL, 1, 10) == [delivery(3)]


async def test_of_fifty_replicas_one_records(store: Store) -> None:
    recorded = await asyncio.gather(*(store.deliveries().record(MODEL, delivery(5)) for _ in range(50)))
    assert sum(recorded) == 1


async def test_an_earlier_one_is_not_recorded_after_a_later(store: Store) -> None:
    deliveries = store.deliveries()
    await deliveries.record(MODEL, delivery(5))
    assert not await deliveries.record(MODEL, delivery(4))
    assert await deliveries.last(MODEL) == 5


async def test_a_page_holds_the_numbers_asked_for(store: Store) -> None:
    deliveries = store.deliveries()
    for number in (2, 4, 6, 8):
        await deliveries.record(MODEL, delivery(number))
    assert [each.verdict_number for each in await deliveries.page(MODEL, 4, 7)] == [4, 6]
    assert await deliveries.page(MODEL, 9, 20) == []


async def test_models_have_records_of_their_own(store: Store) -> None:
    deliveries = store.deliveries()
    await deliveries.record(MODEL, delivery(5))
    assert await deliveries.last(OTHER_MODEL) == 0


async def test_what_the_gate_refused_is_of_a_format_that_earlier_releases_refuse_by_name(store: Store) -> None:
    refused = replace(delivery(3), receipt=replace(delivery(3).receipt, outcome=TriggerOutcome.REFUSED))
    await store.deliveries().record(MODEL, delivery(2))
    await store.deliveries().record(MODEL, refused)
    assert await store.deliveries().page(MODEL, 2, 3) == [delivery(2), refused]
    entries = await store.redis.xrange(store.keys.deliveries(MODEL))
    assert [fields[b"f"] for _, fields in entries] == [b"1", b"2"]


async def test_fields_that_a_newer_release_added_are_passed_over(store: Store) -> None:
    document = msgspec.json.decode(msgspec.json.encode(delivery(1)))
    document["added"] = document["receipt"]["added"] = "later"
    await store.redis.xadd(store.keys.deliveries(MODEL), {"d": msgspec.json.encode(document)}, id="1-0")
    assert await store.deliveries().page(MODEL, 1, 1) == [delivery(1)]


@pytest.mark.parametrize("fields", [{"d": "junk"}, {"d": "{}"}, {"x": "y"}])
async def test_a_record_that_cannot_be_read_is_not_guessed(store: Store, fields: dict[str, str]) -> None:
    await store.redis.xadd(store.keys.deliveries(MODEL), fields, id="1-0")  # type: ignore[arg-type]
    with pytest.raises(CorruptedState):
        await store.deliveries().page(MODEL, 1, 1)
