"""What is promised of flagged rows: kept once, in the log's order, bounded, and gone with their model."""

import pytest

from service.adapters.log.redis_quarantine import KEPT_BATCHES, RedisQuarantine
from service.domain.anomaly_plan import AnomalyPlan
from service.domain.errors import CorruptedState
from service.domain.models import LOG_START, BatchPosition, FlaggedRows
from service.domain.plan import Plan
from service.domain.quarantine import QuarantinedBatch, QuarantinedRow
from tests.conformance.ports.conftest import Store
from tests.conformance.ports.documents import MODEL, OTHER_MODEL, batch, reference, registration

pytestmark = pytest.mark.anyio


def flagged(number: int) -> QuarantinedBatch:
    rows = (QuarantinedRow(3, "outlier", 1.5, 1_772_366_400_250), QuarantinedRow(4, "invalid", None, 0))
    return QuarantinedBatch(BatchPosition(f"{number}-1"), f"batch {number}", FlaggedRows(outlier=1, invalid=1), rows)


async def test_what_is_kept_comes_back_newest_first(store: Store) -> None:
    quarantine = RedisQuarantine(store.client, store.keys)
    for number in (5, 6, 9):
        assert await quarantine.keep(MODEL, flagged(number))
    assert await quarantine.latest(MODEL, 2) == [flagged(9), flagged(6)]
    assert await quarantine.latest(MODEL, 2, BatchPosition("6-1")) == [flagged(5)]
    assert await quarantine.latest(OTHER_MODEL, 2) == []


async def test_a_batch_is_kept_once_by_however_many_evaluators(store: Store) -> None:
    quarantine = RedisQuarantine(store.client, store.keys)
    assert await quarantine.keep(MODEL, flagged(5))
    assert not await quarantine.keep(MODEL, flagged(5))
    assert not await quarantine.keep(MODEL, flagged(4))
    assert await quarantine.latest(MODEL, 10) == [flagged(5)]


async def test_so_many_are_kept(store: Store) -> None:
    quarantine = RedisQuarantine(store.client, store.keys)
    for number in range(1, KEPT_BATCHES + 400):
        await quarantine.keep(MODEL, flagged(number))
    assert KEPT_BATCHES <= await store.redis.xlen(store.keys.quarantine(MODEL)) < KEPT_BATCHES + 399


async def test_what_a_newer_release_has_kept_is_refused_by_name(store: Store) -> None:
    await store.redis.xadd(store.keys.quarantine(MODEL), {b"f": b"9", b"q": b"{}"})
    with pytest.raises(CorruptedState, match="newer release"):
        await RedisQuarantine(store.client, store.keys).latest(MODEL, 1)


async def test_the_latest_rows_before_a_place_are_the_fewest_batches_that_have_them(store: Store) -> None:
    log, judged = store.observations(), store.judged()
    counts = [2, 30, 5, 4, 3]
    positions = [await log.append(MODEL, batch(number, count)) for number, count in enumerate(counts)]
    until = positions[3]
    assert until is not None
    for rows, expected in ((1, [3]), (4, [3]), (5, [2, 3]), (9, [2, 3]), (10, [1, 2, 3]), (1000, [0, 1, 2, 3])):
        found = await judged.latest_rows(MODEL, until, rows)
        assert [each.position for each in found] == [positions[number] for number in expected]
    assert await judged.latest_rows(MODEL, LOG_START, 10) == []


async def test_who_sent_a_batch_is_kept_with_it(store: Store) -> None:
    log = store.observations()
    for sender in (b"twelve bytes", None):
        await log.append(MODEL, batch(1, sender=sender))
    assert [each.batch.sender for each in await log.read(MODEL, LOG_START, 10)] == [b"twelve bytes", None]


async def test_a_registration_that_labels_rows_has_a_format_that_earlier_releases_refuse(store: Store) -> None:
    labelling = registration(plan=Plan(anomalies=AnomalyPlan(largest_client_share=0.2)))
    assert await store.registrations().register(labelling, reference())
    ((_, fields),) = await store.redis.xrange(store.keys.registrations(MODEL))
    assert fields[b"f"] == b"4"
    assert await store.registrations().newest(MODEL) == labelling
