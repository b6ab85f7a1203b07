"""What every observation log promises: exactly what was appended, in order, and never more than it may hold."""

import asyncio
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from service.adapters.log.redis_observations import BATCH_KIND
from service.domain.errors import Overloaded
from service.domain.models import LATEST_MS, LOG_START, BatchPosition, Cursor, LoggedBatch, is_after
from service.domain.windows import NO_ROWS, RecentIdentifiers, WindowCutter
from service.ports import ObservationLog
from tests.conformance.ports.conftest import Store
from tests.conformance.ports.documents import MODEL, OTHER_MODEL, batch

pytestmark = pytest.mark.anyio


async def everything(log: ObservationLog, limit: int = 7) -> list[LoggedBatch]:
    found: list[LoggedBatch] = []
    while page := await log.read(MODEL, found[-1].position if found else LOG_START, limit):
        assert len(page) <= limit
        found.extend(page)
    return found


async def test_what_was_appended_is_read_to_the_last_bit(store: Store) -> None:
    log, sent = store.observations(), batch(3)
    position = await log.append(MODEL, sent)
    (found,) = await log.read(MODEL, LOG_START, 10)
    assert found.position == position
    assert found.batch.rows.tobytes() == sent.rows.tobytes()
    assert found.batch.rows.shape == sent.rows.shape
    assert (found.batch.identifier, found.batch.observed_at, found.batch.traceparent) == (
        sent.identifier,
        sent.observed_at,
        sent.traceparent,
    )


async def test_the_times_of_rows_are_read_as_they_were_appended(store: Store) -> None:
    log, times = store.observations(), np.array([0, LATEST_MS], dtype=np.int64)
    await log.append(MODEL, replace(batch(1), times=times))
    await log.append(MODEL, batch(2))
    one, other = await log.read(MODEL, LOG_START, 10)
    assert one.batch.times is not None
    assert (one.batch.times.dtype, one.batch.times.tolist()) == (np.int64, times.tolist())
    assert other.batch.times is None


@pytest.mark.parametrize(
    "times", [np.zeros(1, np.int64), np.zeros((2, 1), np.int64), np.zeros(2), np.array([0, -1]), np.array([0, 2**62])]
)
async def test_times_that_are_none_make_a_misfit(store: Store, times: np.ndarray) -> None:
    log = store.observations()
    await log.append(MODEL, replace(batch(1), times=times))
    (found,) = await log.read(MODEL, LOG_START, 10)
    assert found.batch.rows.shape == (0, 0)


async def test_a_batch_without_a_trace_has_none_when_read(store: Store) -> None:
    log = store.observations()
    await log.append(MODEL, batch(1, traceparent=None))
    assert [found.batch.traceparent for found in await log.read(MODEL, LOG_START, 10)] == [None]


async def test_batches_of_one_sender_are_read_in_its_order(store: Store) -> None:
    log = store.observations()
    for number in range(30):
        await log.append(MODEL, batch(number))
    assert [found.batch.identifier for found in await everything(log)] == [f"batch {n}" for n in range(30)]


async def test_batches_of_many_senders_are_all_there_in_the_order_of_their_acknowledgements(store: Store) -> None:
    log, numbers = store.observations(), range(200)
    positions = await asyncio.gather(*(log.append(MODEL, batch(number)) for number in numbers))
    found = await everything(log)
    assert all(is_after(later.position, earlier.position) for earlier, later in pairwise(found))
    assert {entry.position: entry.batch.identifier for entry in found} == {
        position: f"batch {number}" for position, number in zip(positions, numbers, strict=True)
    }


async def test_models_do_not_see_one_another(store: Store) -> None:
    log = store.observations()
    await asyncio.gather(log.append(MODEL, batch(1)), log.append(OTHER_MODEL, batch(2)))
    assert [found.batch.identifier for found in await log.read(MODEL, LOG_START, 10)] == ["batch 1"]
    assert [found.batch.identifier for found in await log.read(OTHER_MODEL, LOG_START, 10)] == ["batch 2"]


async def test_a_repeated_batch_is_stored_and_dropped_when_read(store: Store) -> None:
    log = store.observations()
    for number in (1, 2, 1, 3, 2, 2):
        await log.append(MODEL, batch(number))
    found = await everything(log)
    assert len(found) == 6
    cutter = WindowCutter(6, 3, Cursor(), RecentIdentifiers(100))
    for entry in found:
        cutter.feed(entry)
    window = cutter.cut()
    assert window is not None
    assert window.rows[::2, 0].tolist() == [1.0, 2.0, 3.0]


async def test_reading_goes_on_after_the_place_that_is_given(store: Store) -> None:
    log = store.observations()
    positions = [await log.append(MODEL, batch(number)) for number in range(5)]
    assert [found.position for found in await log.read(MODEL, positions[2], 10)] == positions[3:]
    assert await log.read(MODEL, positions[-1], 10) == []


async def test_the_newest_position_is_that_of_the_last_batch(store: Store) -> None:
    log = store.observations()
    assert await log.newest_position(MODEL) == LOG_START
    positions = [await log.append(MODEL, batch(number)) for number in range(3)]
    assert await log.newest_position(MODEL) == positions[-1]


async def test_recent_identifiers_are_those_up_to_a_place_oldest_first(store: Store) -> None:
    log = store.observations()
    positions = [await log.append(MODEL, batch(number)) for number in range(6)]
    assert await log.recent_identifiers(MODEL, positions[3], 3) == ["batch 1", "batch 2", "batch 3"]
    assert await log.recent_identifiers(MODEL, positions[3], 100) == [f"batch {number}" for number in range(4)]
    assert await log.recent_identifiers(MODEL, LOG_START, 3) == []
    assert await log.recent_identifiers(MODEL, positions[3], 0) == []


async def test_the_length_counts_every_batch_that_is_there(store: Store) -> None:
    log = store.observations()
    assert await log.length(MODEL) == 0
    for number in (1, 2, 3):
        await log.append(MODEL, batch(number))
    await log.append(OTHER_MODEL, batch(1))
    assert await log.length(MODEL) == len(await everything(log)) == 3


FOREIGN = [
    {b"hello": b"world"},
    {b"i": b"x"},
    {b"i": b"x", b"o": b"noon", b"d": b"junk"},
    {b"i": b"\xff", b"o": b"0", b"d": b"junk"},
    {b"i": b"x", b"o": b"9" * 30, b"d": b"junk"},
]


@pytest.mark.parametrize("fields", FOREIGN)
async def test_an_entry_that_cannot_be_read_is_a_misfit_and_does_not_stop_the_log(
    store: Store, fields: dict[bytes, bytes]
) -> None:
    log = store.observations()
    await log.append(MODEL, batch(1))
    await store.redis.xadd(store.keys.observations(MODEL), fields)  # type: ignore[arg-type]
    await log.append(MODEL, batch(2))
    found = await everything(log)
    assert len(found) == 3
    cutter = WindowCutter(4, 3, Cursor(), RecentIdentifiers(100))
    for entry in found:
        cutter.feed(entry)
    window = cutter.cut()
    assert window is not None
    assert (window.misfits, window.rows[::2, 0].tolist()) == (1, [1.0, 2.0])


async def test_a_damaged_batch_is_not_used_and_can_be_sent_again(store: Store) -> None:
    """Whoever begins to read after it must not remember its identifier as one that was counted."""
    log, key = store.observations(), store.keys.observations(MODEL)
    await log.append(MODEL, batch(1))
    ((_, fields),) = await store.redis.xrange(key)
    document = bytearray(fields[b"d"])
    document[3] ^= 0xFF
    damaged = BatchPosition((await store.redis.xadd(key, {**fields, b"i": b"again", b"d": bytes(document)})).decode())
    read = [found.batch.identifier for found in await everything(log)]
    assert await log.recent_identifiers(MODEL, damaged, 10) == read
    assert "again" not in read


async def test_rows_of_another_kind_or_shape_are_misfits(store: Store) -> None:
    log, key = store.observations(), store.keys.observations(MODEL)
    await log.append(MODEL, batch(1))
    ((_, fields),) = await store.redis.xrange(key)
    from detectors import codec  # noqa: PLC0415

    for rows in (np.zeros(3), np.zeros((2, 3), np.float32)):
        await store.redis.xadd(key, {**fields, b"d": codec.encode(BATCH_KIND, {"rows": rows})})
    await store.redis.xadd(key, {**fields, b"d": codec.encode("reference", {"rows": np.zeros((2, 3))})})
    assert [found.batch.rows.shape for found in await everything(log)] == [(2, 3), (0, 0), (0, 0), (0, 0)]


async def test_a_full_log_takes_no_more_and_heals_when_it_is_trimmed(store: Store) -> None:
    log = store.observations(max_batches=300)
    positions = [await log.append(MODEL, batch(number)) for number in range(300)]
    with pytest.raises(Overloaded) as raised:
        await log.append(MODEL, batch(300))
    assert raised.value.retryable
    assert raised.value.retry_after > 0
    await log.append(OTHER_MODEL, batch(1))  # the others go on
    assert len(await everything(log)) == 300
    await log.forget_before(MODEL, positions[-1], 50)
    await log.append(MODEL, batch(301))
    assert (await everything(log))[-1].batch.identifier == "batch 301"


async def test_a_full_log_takes_no_more_from_many_at_once(store: Store) -> None:
    log = store.observations(max_batches=10)
    await asyncio.gather(*(log.append(MODEL, batch(number)) for number in range(10)))
    answers = await asyncio.gather(*(log.append(MODEL, batch(n)) for n in range(50)), return_exceptions=True)
    assert all(isinstance(answer, Overloaded) for answer in answers)
    assert len(await everything(log)) == 10


async def test_forgetting_keeps_the_horizon_and_everything_after_it(store: Store) -> None:
    log = store.observations()
    positions = [await log.append(MODEL, batch(number)) for number in range(400)]
    await log.forget_before(MODEL, positions[299], 100)
    assert len(await everything(log, limit=500)) == 400, "what nobody has read is not forgotten"
    await log.forget_before(MODEL, positions[299], 100)
    kept = [found.position for found in await everything(log, limit=500)]
    assert kept[-200:] == positions[-200:]
    assert set(kept) <= set(positions)
    assert len(kept) < 400
    assert await log.recent_identifiers(MODEL, positions[299], 100) == [f"batch {n}" for n in range(200, 300)]


async def test_identifiers_outlive_the_rows_of_large_batches(store: Store) -> None:
    log = store.observations(retained_bytes=100_000)
    rows = np.zeros((1000, 3))
    positions = [await log.append(MODEL, replace(batch(number), rows=rows)) for number in range(300)]
    await everything(log, limit=500)
    await log.forget_before(MODEL, positions[-1], 100)
    assert len(await everything(log, limit=500)) <= 6
    for reader in (log, store.observations()):  # one that has just started, too
        assert await reader.recent_identifiers(MODEL, positions[-1], 100) == [f"batch {n}" for n in range(200, 300)]


async def test_what_a_crash_left_unwritten_is_read_from_the_log(store: Store) -> None:
    log = store.observations()
    positions = [await log.append(MODEL, batch(number)) for number in range(30)]
    await everything(log)
    await log.forget_before(MODEL, positions[9], 100)  # and ended before it could do so again
    second = store.observations()
    names = [f"batch {number}" for number in range(30)]
    assert await second.recent_identifiers(MODEL, positions[19], 100) == names[:20]
    assert await second.recent_identifiers(MODEL, positions[19], 15) == names[5:20]
    await second.read(MODEL, positions[19], 100)
    await second.forget_before(MODEL, positions[29], 100)
    await log.forget_before(MODEL, positions[19], 100)  # late, and refused
    assert await store.observations().recent_identifiers(MODEL, positions[29], 100) == names


async def test_what_is_read_again_leaves_no_gap_in_what_is_remembered(store: Store) -> None:
    log = store.observations()
    positions = [await log.append(MODEL, batch(number)) for number in range(20)]
    first = await log.read(MODEL, LOG_START, 8)
    lost = await log.read(MODEL, first[-1].position, 8)  # what was to be done with these failed
    again = await log.read(MODEL, first[-1].position, 8)
    assert [each.position for each in again] == [each.position for each in lost]
    await log.forget_before(MODEL, again[-1].position, 100)
    names = [f"batch {number}" for number in range(16)]
    assert await store.observations().recent_identifiers(MODEL, positions[15], 100) == names


async def test_large_batches_are_read_a_few_at_a_time(store: Store) -> None:
    log = store.observations()
    rows = np.zeros((100_000, 3))  # 2.4 MB
    positions = [await log.append(MODEL, replace(batch(number), rows=rows)) for number in range(12)]
    reader, read, largest = store.observations(), [], 0
    while batches := await reader.read(MODEL, read[-1] if read else LOG_START, 256):
        largest = max(largest, sum(found.batch.rows.nbytes for found in batches))
        read += [found.position for found in batches]
    assert read == positions
    assert largest < 12 * 2**20
    assert len(await store.observations().recent_identifiers(MODEL, positions[-1], 100)) == 12


async def test_panes_are_given_back_as_they_were(store: Store) -> None:
    log = store.observations()
    sent = [
        batch(1),
        batch(2, rows=NO_ROWS, panes=b"whatever they are: the log does not read them"),
        batch(3, rows=NO_ROWS, panes=bytes(range(256)) * 100),
    ]
    for each in sent:
        await log.append(MODEL, each)
    found = [logged.batch for logged in await everything(store.observations())]
    assert [(each.identifier, each.panes, each.rows.shape) for each in found] == [
        (each.identifier, each.panes, each.rows.shape) for each in sent
    ]


async def test_panes_count_by_their_size_when_it_is_asked_what_may_be_kept(store: Store) -> None:
    log = store.observations(retained_bytes=100_000)
    positions = [await log.append(MODEL, batch(n, rows=NO_ROWS, panes=b"p" * 30_000)) for n in range(300)]
    await everything(log, limit=500)
    await log.forget_before(MODEL, positions[-1], 100)
    assert len(await everything(log, limit=500)) <= 6


async def test_forgetting_more_than_there_is_forgets_nothing(store: Store) -> None:
    log = store.observations()
    positions = [await log.append(MODEL, batch(number)) for number in range(5)]
    await log.forget_before(MODEL, positions[-1], 100)
    await log.forget_before(MODEL, LOG_START, 0)
    assert [found.position for found in await everything(log)] == positions


async def test_the_newest_position_outlives_forgetting_all(store: Store) -> None:
    log = store.observations()
    positions = [await log.append(MODEL, batch(number)) for number in range(300)]
    await log.forget_before(MODEL, positions[-1], 0)
    assert await log.newest_position(MODEL) == positions[-1]


async def test_a_sender_that_goes_away_takes_no_other_batch_with_it(store: Store) -> None:
    log = store.observations()
    tasks = [asyncio.ensure_future(log.append(MODEL, batch(number))) for number in range(20)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    acknowledged = [answer for answer in answers[1:] if isinstance(answer, str)]
    assert len(acknowledged) == 19
    assert set(acknowledged) <= {found.position for found in await everything(log)}
