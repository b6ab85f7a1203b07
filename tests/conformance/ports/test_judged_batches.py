"""What is promised of batches that are judged: kept as long as the log was told to, and read again without a trace."""

from dataclasses import replace

import numpy as np
import pytest

from service.adapters.log import RedisObservationLog
from service.domain.models import LOG_START, BatchPosition, arrival, is_after, just_before
from tests.conformance.ports.conftest import Store
from tests.conformance.ports.documents import MODEL, batch

pytestmark = pytest.mark.anyio
MOST = 100_000


async def filled(log: RedisObservationLog, batches: int) -> list[BatchPosition]:
    positions = [await log.append(MODEL, batch(number)) for number in range(batches)]
    await pass_by(log)
    return [position for position in positions if position is not None]


async def pass_by(log: RedisObservationLog) -> None:
    """Read everything, as an evaluator does."""
    newest = LOG_START
    while page := await log.read(MODEL, newest, 256):
        newest = page[-1].position


async def kept(store: Store) -> list[BatchPosition]:
    return [BatchPosition(place.decode()) for place, _ in await store.redis.xrange(store.keys.observations(MODEL))]


async def test_they_are_read_between_two_places(store: Store) -> None:
    log, judged = store.observations(), store.judged()
    positions = await filled(log, 20)
    found = await judged.read_again(MODEL, positions[3], positions[12], 100)
    assert [each.position for each in found] == positions[4:13]
    assert [each.batch.identifier for each in found] == [f"batch {number}" for number in range(4, 13)]
    assert [each.position for each in await judged.read_again(MODEL, positions[3], positions[12], 5)] == positions[4:9]
    assert await judged.read_again(MODEL, positions[12], positions[12], 5) == []
    assert await judged.read_again(MODEL, positions[-1], BatchPosition(f"{2**45}-0"), 5) == []


async def test_large_ones_are_read_a_few_at_a_time(store: Store) -> None:
    log, judged = store.observations(), store.judged()
    rows = np.zeros((100_000, 3))  # 2.4 MB
    positions = [await log.append(MODEL, replace(batch(number), rows=rows)) for number in range(8)]
    after, read = LOG_START, 0
    while found := await judged.read_again(MODEL, after, positions[-1] or LOG_START, 256):
        assert sum(each.batch.rows.nbytes for each in found) < 12 * 2**20
        after, read = found[-1].position, read + len(found)
    assert read == 8


async def test_reading_them_leaves_no_trace_in_what_the_log_remembers(store: Store) -> None:
    log, judged = store.observations(), store.judged()
    positions = await filled(log, 30)
    await judged.read_again(MODEL, LOG_START, positions[9], 100)
    await log.forget_before(MODEL, positions[-1], MOST)
    names = [f"batch {number}" for number in range(30)]
    assert await judged.identifiers_until(MODEL, positions[-1], 100) == names
    assert await judged.identifiers_until(MODEL, positions[19], 5) == names[15:20]
    assert await judged.identifiers_until(MODEL, LOG_START, 5) == []
    assert await judged.identifiers_until(MODEL, positions[19], 0) == []


async def test_of_a_log_that_has_dropped_nothing_nothing_is_gone(store: Store) -> None:
    log, judged = store.observations(), store.judged()
    assert await judged.dropped_until(MODEL) == LOG_START
    positions = await filled(log, 10)
    assert await judged.dropped_until(MODEL) == LOG_START
    await log.forget_before(MODEL, positions[4], MOST)
    assert await judged.dropped_until(MODEL) == LOG_START


@pytest.mark.parametrize("keep", [0, 10, 120])
async def test_where_the_log_was_trimmed_is_known(store: Store, keep: int) -> None:
    log, judged = store.observations(), store.judged()
    positions = await filled(log, 500)
    for last in (positions[249], positions[399]):
        await log.forget_before(MODEL, last, keep)
    left = await kept(store)
    gone = positions[: len(positions) - len(left)]
    assert left == positions[len(gone) :]
    assert gone
    assert await judged.dropped_until(MODEL) == gone[-1]
    assert 100 + keep <= len(left) <= 100 + keep + 50 + 100 * (keep > 0)


async def test_what_was_before_the_memory_of_a_log_counts_as_gone(store: Store) -> None:
    """So it is with a store that an earlier release has written: its memory was shorter than its log."""
    log, judged = store.observations(), store.judged()
    positions = await filled(log, 30)
    await log.forget_before(MODEL, positions[-1], MOST)
    await store.redis.xtrim(store.keys.passed(MODEL), minid=positions[10], approximate=False)
    gone_until = await judged.dropped_until(MODEL)
    assert gone_until == just_before(positions[0])
    assert is_after(positions[0], gone_until)
    await store.redis.xtrim(store.keys.observations(MODEL), minid=positions[10], approximate=False)
    assert await judged.dropped_until(MODEL) == LOG_START  # both begin here: for all that is known, so did the log


async def test_no_rows_are_kept_where_none_are_to_be(store: Store) -> None:
    log, judged = store.observations(retained_bytes=0), store.judged()
    positions = await filled(log, 30)
    await log.forget_before(MODEL, positions[19], MOST)
    assert await kept(store) == positions[20:]
    assert await judged.dropped_until(MODEL) == positions[19]
    await log.forget_before(MODEL, positions[-1], MOST)
    assert await kept(store) == []
    assert await judged.dropped_until(MODEL) == positions[-1]
    assert await log.newest_position(MODEL) == positions[-1]
    assert await log.recent_identifiers(MODEL, positions[-1], 5) == [f"batch {number}" for number in range(25, 30)]
    later = await log.append(MODEL, batch(30))
    assert await kept(store) == [later]
    assert await judged.dropped_until(MODEL) == positions[-1]


async def test_identifiers_do_not_grow_without_end_where_no_rows_are_kept(store: Store) -> None:
    log = RedisObservationLog(store.client, store.keys, MOST, retained_bytes=0, horizon=50)
    for first in range(0, 1200, 100):
        for number in range(first, first + 100):
            position = await log.append(MODEL, batch(number))
        await pass_by(log)
        assert position is not None
        await log.forget_before(MODEL, position, MOST)
    await log.finish(10)
    assert 250 <= await store.redis.xlen(store.keys.passed(MODEL)) <= 250 + 100


async def test_identifiers_reach_back_to_the_horizon_before_the_oldest_rows(store: Store) -> None:
    log = RedisObservationLog(store.client, store.keys, MOST, retained_bytes=2**30, horizon=50)
    judged, positions = store.judged(), list[BatchPosition]()
    for first in range(0, 1500, 100):
        positions += await filled_from(log, first, 100)
        await log.forget_before(MODEL, positions[-1], 300)
    await log.finish(10)
    left = await kept(store)
    assert 300 <= len(left) <= 450
    gone = len(positions) - len(left)
    assert await judged.dropped_until(MODEL) == positions[gone - 1]
    names = [f"batch {number}" for number in range(gone - 50, gone)]
    assert await judged.identifiers_until(MODEL, positions[gone - 1], 50) == names


async def filled_from(log: RedisObservationLog, first: int, batches: int) -> list[BatchPosition]:
    positions = [await log.append(MODEL, batch(number)) for number in range(first, first + batches)]
    await pass_by(log)
    return [position for position in positions if position is not None]


async def test_rows_that_are_too_old_go_though_there_is_room(store: Store) -> None:
    log, judged = store.observations(retained_seconds=60), store.judged()
    (now,) = await filled(log, 1)
    key, moment = store.keys.observations(MODEL), arrival(now)
    ((_, fields),) = await store.redis.xrange(key)
    await store.redis.delete(key)
    ages = (200_000, 61_000, 60_000, 59_000, 0)
    places = [BatchPosition(f"{moment - age}-0") for age in ages]
    for place in places:
        await store.redis.xadd(key, fields, id=place)
    await pass_by(reader := store.observations(retained_seconds=60))
    await reader.forget_before(MODEL, places[-1], MOST)
    assert await kept(store) == places[2:]
    assert await judged.dropped_until(MODEL) == places[1]
