"""What the registrations promise: revisions one after another, references that are what their digest says."""

import asyncio
from datetime import time
from typing import Any

import msgspec
import numpy as np
import pytest
from redis.crc import key_slot

from service.adapters.reference_store.redis_registrations import KEPT_REVISIONS
from service.domain.errors import CorruptedState
from service.domain.models import ModelName
from service.domain.plan import Plan
from service.domain.retraining.response_plan import NewReferencePlan, QuietHours, ResponsePlan
from tests.conformance.ports.conftest import Store
from tests.conformance.ports.documents import (
    MODEL,
    OTHER_MODEL,
    batch,
    delivery,
    entries,
    reference,
    registration,
    verdict,
)

pytestmark = pytest.mark.anyio


async def test_what_was_registered_is_read(store: Store) -> None:
    registrations = store.registrations()
    assert await registrations.newest(MODEL) is None
    assert await registrations.models() == []
    assert await registrations.register(registration(), reference())
    assert await registrations.newest(MODEL) == registration()
    assert await registrations.models() == [MODEL]
    found = await registrations.reference(registration())
    assert found.features == reference().features
    assert np.array_equal(found.rows, reference().rows)


async def test_of_many_who_ask_at_once_some_wait_and_none_is_refused(store: Store) -> None:
    registrations = store.registrations()
    assert await registrations.register(registration(), reference())
    found = await asyncio.gather(*(registrations.newest(MODEL) for _ in range(400)))
    assert found == [registration()] * 400


async def test_earlier_revisions_can_be_read(store: Store) -> None:
    registrations = store.registrations()
    await registrations.register(registration(1, features=("c", "b", "a")), reference())
    await registrations.register(registration(2), None)
    assert await registrations.revision(MODEL, 1) == registration(1, features=("c", "b", "a"))
    assert await registrations.revision(MODEL, 3) is None
    assert await registrations.revision(OTHER_MODEL, 1) is None
    assert await registrations.revisions(MODEL) == [registration(2), registration(1, features=("c", "b", "a"))]
    assert await registrations.revisions(OTHER_MODEL) == []


async def test_revisions_are_as_many_as_are_kept_and_each_has_its_reference(store: Store) -> None:
    registrations = store.registrations()
    for revision in range(1, KEPT_REVISIONS + 4):
        assert await registrations.register(registration(revision, seed=revision), reference(revision))
    found = await registrations.revisions(MODEL)
    assert [each.revision for each in found] == list(range(KEPT_REVISIONS + 3, 3, -1))
    for each in found:
        assert np.array_equal((await registrations.reference(each)).rows, reference(each.revision).rows)


async def test_plans_of_the_release_before_are_read_and_mean_the_same(store: Store) -> None:
    registrations, made = store.registrations(), registration(1)
    document = msgspec.to_builtins(made)
    document["plan"]["window"] = {"rows": 500}
    fields = {b"r": msgspec.json.encode(document)}
    await store.redis.xadd(store.keys.registrations(MODEL), fields, id="1-0")  # type: ignore[arg-type]
    found = await registrations.newest(MODEL)
    assert found == made
    assert found.plan.digest == made.plan.digest


async def test_a_plan_alone_keeps_the_reference(store: Store) -> None:
    registrations = store.registrations()
    await registrations.register(registration(1), reference())
    assert await registrations.register(registration(2), None)
    assert np.array_equal((await registrations.reference(registration(2))).rows, reference().rows)


async def test_of_fifty_writers_of_a_revision_one_wins(store: Store) -> None:
    features = [(str(writer), "b", "c") for writer in range(50)]
    attempts = (store.registrations().register(registration(1, features=each), reference()) for each in features)
    won = await asyncio.gather(*attempts)
    assert sum(won) == 1
    newest = await store.registrations().newest(MODEL)
    assert newest is not None
    assert newest.features == features[won.index(True)]


async def test_models_are_listed_in_order(store: Store) -> None:
    registrations = store.registrations()
    for name in ("b", "a", "C"):
        await registrations.register(registration(model=ModelName(name)), reference())
    assert await registrations.models() == ["C", "a", "b"]


async def test_a_reference_whose_bytes_have_changed_is_not_used(store: Store) -> None:
    registrations = store.registrations()
    await registrations.register(registration(), reference())
    await store.redis.setrange(store.keys.reference(MODEL, registration().reference_digest), 100, b"\x01")
    with pytest.raises(CorruptedState, match="have changed"):
        await registrations.reference(registration())


async def test_a_reference_that_is_gone_is_said_to_be(store: Store) -> None:
    registrations = store.registrations()
    await registrations.register(registration(), reference())
    await store.redis.delete(store.keys.reference(MODEL, registration().reference_digest))
    with pytest.raises(CorruptedState, match="is gone"):
        await registrations.reference(registration())


async def test_another_models_reference_cannot_be_had_by_its_digest(store: Store) -> None:
    registrations = store.registrations()
    await registrations.register(registration(), reference())
    with pytest.raises(CorruptedState, match="is gone"):
        await registrations.reference(registration(model=OTHER_MODEL))


async def test_references_of_old_revisions_go_and_those_still_in_use_stay(store: Store) -> None:
    registrations = store.registrations()
    last = KEPT_REVISIONS + 5
    seeds = {revision: revision for revision in range(1, last + 1)} | {last: 1}  # back to the very first
    for revision, seed in seeds.items():
        assert await registrations.register(registration(revision, seed), reference(seed))
    stored = await store.stored(f"{{{MODEL}}}:reference:*")
    assert len(stored) == KEPT_REVISIONS
    assert np.array_equal((await registrations.reference(registration(last, 1))).rows, reference(1).rows)
    with pytest.raises(CorruptedState, match="is gone"):
        await registrations.reference(registration(2, 2))


async def test_fields_that_a_newer_release_added_are_passed_over(store: Store) -> None:
    document = msgspec.json.decode(msgspec.json.encode(registration()))
    document["added"] = document["plan"]["added"] = document["plan"]["window"]["added"] = "later"
    await store.redis.xadd(store.keys.registrations(MODEL), {"r": msgspec.json.encode(document)}, id="1-0")
    assert await store.registrations().newest(MODEL) == registration()


async def test_the_digest_of_a_plan_survives_the_store(store: Store) -> None:
    await store.registrations().register(registration(), reference())
    newest = await store.registrations().newest(MODEL)
    assert newest is not None
    assert newest.plan.digest == registration().plan.digest


@pytest.mark.parametrize("fields", [{"r": "junk"}, {"r": "{}"}, {"x": "y"}])
async def test_a_registration_that_cannot_be_read_is_not_guessed(store: Store, fields: dict[str, str]) -> None:
    await store.redis.xadd(store.keys.registrations(MODEL), fields, id="1-0")  # type: ignore[arg-type]
    with pytest.raises(CorruptedState, match=MODEL):
        await store.registrations().newest(MODEL)


async def test_all_keys_of_a_model_lie_in_one_slot_of_a_cluster(store: Store) -> None:
    await store.registrations().register(registration(), reference())
    await store.observations().append(MODEL, batch())
    await store.verdicts().commit(verdict())
    await store.deliveries().record(MODEL, delivery())
    await store.retraining().append(entries()[0])
    keys = await store.stored()
    assert len(keys) == 7
    of_model = keys - {store.keys.models.encode()}
    assert {key_slot(key) for key in of_model} == {key_slot(MODEL.encode())}


@pytest.mark.parametrize(
    "said",
    [
        {"cool_down_seconds": 0},
        {"dry_run": True},
        {"approval": "manual"},
        {"quiet_hours": (QuietHours(time(22), time(6, 30), "Europe/Berlin"),)},
        {"new_reference": NewReferencePlan(500, 3600)},
    ],
    ids=lambda said: next(iter(said)),
)
async def test_a_plan_that_says_when_runs_may_start_is_no_other_to_earlier_releases(
    store: Store, said: dict[str, Any]
) -> None:
    made = registration(plan=Plan(response=ResponsePlan(**said)))
    await store.registrations().register(made, reference())
    assert await store.registrations().newest(MODEL) == made
    ((_, fields),) = await store.redis.xrange(store.keys.registrations(MODEL))
    assert fields[b"f"] == b"5"


async def test_what_is_forgotten_leaves_nothing_but_the_record_of_retraining_and_others_stay(store: Store) -> None:
    registrations = store.registrations()
    for revision in (1, 2):
        await registrations.register(registration(revision, seed=revision), reference(revision))
    await store.observations().append(MODEL, batch(1))
    await store.verdicts().commit(verdict(1))
    await store.deliveries().record(MODEL, delivery(1))
    await store.retraining().append(entries()[0])
    await registrations.register(registration(1, model=OTHER_MODEL), reference())
    assert await registrations.forget(MODEL)
    assert not await registrations.forget(MODEL)
    assert await registrations.models() == [OTHER_MODEL]
    assert await registrations.newest(MODEL) is None
    assert await registrations.newest(OTHER_MODEL) is not None
    assert await store.verdicts().newest(MODEL) is None
    assert await store.deliveries().last(MODEL) == 0
    assert await store.observations().length(MODEL) == 0
    left = await store.stored(f"{{{MODEL}}}:*")
    assert all(b":batch:" in key or key.endswith(b":retraining") for key in left), left
    assert await store.retraining().newest(MODEL) is not None
    assert await registrations.register(registration(), reference())


async def test_a_model_whose_registration_is_damaged_can_be_forgotten(store: Store) -> None:
    registrations = store.registrations()
    await registrations.register(registration(), reference())
    await store.redis.xadd(store.keys.registrations(MODEL), {b"r": b"{"}, id="2-0")
    with pytest.raises(CorruptedState):
        await registrations.newest(MODEL)
    assert await registrations.forget(MODEL)
    assert await registrations.newest(MODEL) is None
