"""What an acknowledgement promises: one body a name, and at each level that the batch is where it says."""

import asyncio
import hashlib
from collections.abc import Awaitable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import ResponseError

from service.adapters.log import Acknowledging, Durability, RedisObservationLog, may_wait_for_disk
from service.adapters.store import connection
from service.domain.errors import ConflictingBatch, CorruptedState, InvalidConfiguration, Overloaded, StoreUnavailable
from service.domain.models import LOG_START, BatchPosition
from tests.conformance.ports.conftest import Store
from tests.conformance.ports.documents import MODEL, OTHER_MODEL, batch
from tests.processes.stores import StoreServer, valkey_binary
from tests.processes.waiting import eventually_async

pytestmark = pytest.mark.anyio

IN_MEMORY = Acknowledging("memory", memory_bytes=50_000)


def digest(body: int) -> bytes:
    return hashlib.sha256(b"%d" % body).digest()


async def outcome(appended: Awaitable[BatchPosition | None]) -> BatchPosition | type[Exception] | None:
    try:
        return await appended
    except Exception as error:  # noqa: BLE001 - compared below
        return type(error)


async def stored(log: RedisObservationLog) -> list[str]:
    return [found.batch.identifier for found in await log.read(MODEL, LOG_START, 10_000)]


async def test_another_body_under_the_same_name_is_refused_and_not_stored(store: Store) -> None:
    log = store.observations()
    await log.append(MODEL, batch(1), digest(1))
    for replica in (log, store.observations()):
        with pytest.raises(ConflictingBatch):
            await replica.append(MODEL, batch(1), digest(2))
    assert await stored(store.observations()) == ["batch 1"]
    await log.append(OTHER_MODEL, batch(1), digest(2))  # names are the model's


async def test_the_same_body_under_the_same_name_is_answered_as_before(store: Store) -> None:
    log = store.observations()
    first = await log.append(MODEL, batch(1), digest(1))
    for replica in (log, store.observations(), log):
        assert await replica.append(MODEL, batch(1), digest(1)) == first
    assert await stored(store.observations()) == ["batch 1"]


async def test_of_many_bodies_at_once_under_one_name_one_is_in_the_log_and_only_it_is_acknowledged(
    store: Store,
) -> None:
    replicas = [store.observations() for _ in range(3)]
    for name in range(20):
        attempts = [
            (body, replica.append(MODEL, batch(name, rows=np.full((1, 3), float(body))), digest(body)))
            for body in range(4)
            for replica in replicas
        ]
        answers = await asyncio.gather(*(outcome(appended) for _, appended in attempts))
        acknowledged = {body for (body, _), answer in zip(attempts, answers, strict=True) if isinstance(answer, str)}
        refused = {answer for answer in answers if not isinstance(answer, str)}
        found = [each.batch for each in await store.observations().read(MODEL, LOG_START, 10_000)]
        counted = {float(each.rows[0, 0]) for each in found if each.identifier == f"batch {name}"}
        assert counted == {float(body) for body in acknowledged}
        assert len(acknowledged) == 1
        assert refused == {ConflictingBatch}


async def test_a_name_is_bound_for_so_long_and_no_longer(store: Store) -> None:
    brief = store.observations(acknowledging=Acknowledging(durability=Durability(remembered_seconds=1)))
    await brief.append(MODEL, batch(1), digest(1))

    async def free() -> bool:
        return isinstance(await outcome(brief.append(MODEL, batch(1), digest(2))), str)

    await eventually_async(free, "the name is free again")
    key = store.keys.batch(MODEL, "batch 1")
    assert 0 < await store.redis.ttl(key) <= 1


async def test_what_is_damaged_under_a_name_is_an_error_of_the_store(store: Store) -> None:
    log = store.observations()
    await store.redis.rpush(store.keys.batch(MODEL, "batch 1"), b"not a string")  # type: ignore[misc]
    assert await outcome(log.append(MODEL, batch(1), digest(1))) is CorruptedState
    assert isinstance(await outcome(log.append(MODEL, batch(2), digest(2))), str)


async def test_from_memory_batches_are_acknowledged_without_a_place_and_arrive_in_order(store: Store) -> None:
    log = store.observations(acknowledging=IN_MEMORY)
    for number in range(60):
        assert await log.append(MODEL, batch(number)) is None
    assert await log.finish(10) == 0
    assert await stored(store.observations()) == [f"batch {number}" for number in range(60)]


async def test_the_memory_is_bounded_and_outlives_an_outage(tmp_path: Path) -> None:
    server = StoreServer(valkey_binary(), tmp_path)
    server.start()
    try:
        async with connection(server.url, 1.0) as redis:
            store = Store(redis, redis, server.url, "outage")
            log = store.observations(acknowledging=IN_MEMORY)
            server.kill()
            taken = 0
            while await outcome(log.append(MODEL, batch(taken))) is None:
                taken += 1
            assert 100 < taken < 250  # 50,000 bytes of 200 and more each
            assert await outcome(log.append(MODEL, batch(taken))) is Overloaded
            assert await log.finish(0.01) == taken
            again = store.observations(acknowledging=IN_MEMORY)
            for number in range(taken):
                await again.append(MODEL, batch(number))
            server.start()
            assert await again.finish(30) == 0
            assert await stored(store.observations()) == [f"batch {number}" for number in range(taken)]
    finally:
        server.kill()


async def test_a_store_that_does_not_write_to_its_disk_first_is_found_out(store: Store, tmp_path: Path) -> None:
    with pytest.raises(InvalidConfiguration, match="appendfsync always"):  # everysec
        await may_wait_for_disk(store.redis, known_always=False)
    knows = False
    if not isinstance(store.redis, RedisCluster):
        with suppress(ResponseError):  # older than Redis 7.2
            await store.redis.execute_command("WAITAOF", 0, 0, 1)  # type: ignore[no-untyped-call]
            knows = True
    assert await may_wait_for_disk(store.redis, known_always=True) == knows
    server = StoreServer(valkey_binary(), tmp_path, "--appendonly", "no", "--appendfsync", "always")
    server.start()
    try:
        async with connection(server.url, 5.0) as redis:
            with pytest.raises(InvalidConfiguration, match="append-only"):
                await may_wait_for_disk(redis, known_always=False)
            durability = Durability(300, fsync_milliseconds=100)
            log = Store(redis, redis, server.url, "no-file").observations(
                acknowledging=Acknowledging("fsync", 1, durability)
            )
            assert await outcome(log.append(MODEL, batch(1))) is StoreUnavailable
            server.kill()
            assert not await may_wait_for_disk(redis, known_always=True)
            with pytest.raises(InvalidConfiguration, match="does not say"):
                await may_wait_for_disk(redis, known_always=False)
    finally:
        server.kill()
