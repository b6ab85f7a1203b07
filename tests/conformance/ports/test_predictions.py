"""What is promised of predictions that wait for labels: there with their batch, found by its name, and bounded."""

from dataclasses import replace

import numpy as np
import pytest

from service.adapters.log.kept_predictions import _part
from service.adapters.store import PREDICTION_PARTS
from service.domain.errors import CorruptedState
from service.domain.models import Batch
from tests.conformance.ports.conftest import Store
from tests.conformance.ports.documents import MODEL, OTHER_MODEL, batch, reference, registration

pytestmark = pytest.mark.anyio

DIGEST = bytes(32)
ROOM = 2**20


def predicted(number: int, count: int = 2) -> Batch:
    values = np.full(count, number / 8)
    values[-1] = np.nan
    return replace(batch(number, count), predictions=values)


def same_part(number: int) -> Batch:
    """Another batch that goes into the same stream."""
    wanted = _part(predicted(number).identifier)
    return next(made for made in map(predicted, range(number + 1, 10_000)) if _part(made.identifier) == wanted)


async def test_they_are_found_by_the_names_of_their_batches(store: Store) -> None:
    log = store.observations(prediction_bytes=ROOM)
    for number in range(30):
        await log.append(MODEL, predicted(number), DIGEST)
    await log.append(OTHER_MODEL, predicted(77), DIGEST)
    found = await store.predictions().of(MODEL, ["batch 3", "batch 21", "batch 77", "ünbekannt"])
    assert set(found) == {"batch 3", "batch 21"}
    assert found["batch 21"].values == pytest.approx([21 / 8, np.nan], nan_ok=True)
    assert found["batch 21"].observed_at == batch(21).observed_at


async def test_batches_without_predictions_and_logs_without_room_for_them_keep_none(store: Store) -> None:
    await store.observations(prediction_bytes=ROOM).append(MODEL, batch(1), DIGEST)
    await store.observations().append(MODEL, predicted(2), DIGEST)
    assert not await store.stored("*predictions*")


async def test_they_are_bounded_in_bytes_and_the_oldest_go_first(store: Store) -> None:
    log = store.observations(prediction_bytes=ROOM)
    newest = 0
    for round_of in range(4):  # of small and large ones in turn
        for _ in range(150):
            newest += 1
            await log.append(MODEL, predicted(newest, 2 if round_of % 2 else 500), DIGEST)
    for part in range(PREDICTION_PARTS):
        entries = await store.redis.xrange(store.keys.predictions(MODEL, part))
        assert sum(len(fields[b"p"]) for _, fields in entries) <= 2 * ROOM // PREDICTION_PARTS
    found = await store.predictions().of(MODEL, [f"batch {number}" for number in range(1, newest + 1)])
    assert f"batch {newest}" in found
    assert "batch 1" not in found
    assert 100 < len(found) < newest


async def test_a_batch_of_more_than_its_share_keeps_none(store: Store) -> None:
    log = store.observations(prediction_bytes=ROOM)
    assert await log.append(MODEL, predicted(1, ROOM // PREDICTION_PARTS // 8), DIGEST)
    assert not await store.predictions().of(MODEL, ["batch 1"])


async def test_a_batch_whose_predictions_cannot_be_kept_is_not_acknowledged(store: Store) -> None:
    log = store.observations(prediction_bytes=ROOM)
    await log.append(MODEL, predicted(1), DIGEST)
    (key,) = await store.stored("*predictions*")
    await store.redis.delete(key)
    await store.redis.set(key, b"no stream")
    same = same_part(1)
    with pytest.raises(CorruptedState, match="WRONGTYPE"):
        await log.append(MODEL, same, DIGEST)
    await store.redis.delete(key)
    assert await log.append(MODEL, same, DIGEST)
    assert same.identifier in await store.predictions().of(MODEL, [same.identifier])


async def test_they_go_with_their_model(store: Store) -> None:
    await store.registrations().register(registration(), reference())
    await store.observations(prediction_bytes=ROOM).append(MODEL, predicted(1), DIGEST)
    assert await store.registrations().forget(MODEL)
    assert not await store.stored("*predictions*")


async def test_what_is_damaged_is_not_found_and_what_a_newer_release_wrote_is_refused(store: Store) -> None:
    log = store.observations(prediction_bytes=ROOM)
    await log.append(MODEL, predicted(1), DIGEST)
    (key,) = await store.stored("*predictions*")
    ((_, fields),) = await store.redis.xrange(key)
    for change in ({b"p": b"odd"}, {b"o": b"noon"}, {b"i": b"another"}):
        await store.redis.delete(key)
        await store.redis.xadd(key, {**fields, **change})
        assert not await store.predictions().of(MODEL, ["batch 1"])
    await store.redis.xadd(key, {**fields, b"f": b"2"})
    with pytest.raises(CorruptedState, match="newer release"):
        await store.predictions().of(MODEL, ["batch 1"])
