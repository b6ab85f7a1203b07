"""What is read again is at fault only where it was changed: not where it was deleted, or another one came after it."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from service.adapters.reference_store import RedisRegistrations
from service.domain.errors import CorruptedState, ReferenceNotTrusted
from service.domain.models import Reference
from service.domain.registration import Registration
from service.telemetry.metrics import Metrics
from service.usecases.trusted_registrations import ShownReference, TrustedRegistrations
from tests.conformance.ports.conftest import Store
from tests.conformance.ports.documents import MODEL, reference, registration
from tests.processes.waiting import eventually_async

pytestmark = pytest.mark.anyio


class DeletedMeanwhile(RedisRegistrations):
    """Between the two commands of every reader somebody deletes the model."""

    async def reference(self, registration: Registration, /) -> Reference:
        await self.forget(registration.model)
        return await super().reference(registration)


@asynccontextmanager
async def trusted(registrations: RedisRegistrations) -> AsyncIterator[TrustedRegistrations]:
    trusting = TrustedRegistrations(registrations, 0.05, time.monotonic, Metrics(10, 10))
    assert await registrations.register(registration(), reference())
    assert await trusting.newest(MODEL) == registration()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(trusting.run)
        yield trusting
        tasks.cancel_scope.cancel()


async def becomes_other(trusting: TrustedRegistrations) -> list[ShownReference]:
    """What is shown when the model is no longer, or no longer trusted."""

    async def shown() -> list[list[ShownReference]]:
        found = list(trusting.shown())
        return [found] if not found or found[0].fault else []

    return (await eventually_async(shown, "the model is dropped or not trusted"))[0]


async def test_a_model_that_is_deleted_while_it_is_read_again_is_at_no_fault(store: Store) -> None:
    async with trusted(DeletedMeanwhile(store.client, store.keys)) as trusting:
        assert await becomes_other(trusting) == []


async def test_a_model_that_is_deleted_before_its_reference_is_needed_is_at_no_fault(store: Store) -> None:
    registrations = DeletedMeanwhile(store.client, store.keys)
    trusting = TrustedRegistrations(registrations, 300.0, time.monotonic, Metrics(10, 10))
    assert await registrations.register(registration(), reference())
    assert await trusting.newest(MODEL) == registration()
    with pytest.raises(ReferenceNotTrusted):
        await trusting.reference(registration())
    assert [each.fault for each in trusting.shown()] == [""]


async def test_a_later_registration_of_a_newer_release_is_no_fault_of_the_one_before(store: Store) -> None:
    async with trusted(store.registrations()) as trusting:
        await store.redis.xadd(store.keys.registrations(MODEL), {"f": "9", "r": "{}"}, id="2-0")
        assert await becomes_other(trusting) == []
        with pytest.raises(CorruptedState, match="newer release"):
            await trusting.newest(MODEL)


async def test_a_registration_that_is_made_to_look_newer_is_at_fault(store: Store) -> None:
    async with trusted(store.registrations()) as trusting:
        key = store.keys.registrations(MODEL)
        await store.redis.delete(key)
        await store.redis.xadd(key, {"f": "9", "r": "{}"}, id="1-0")
        (shown,) = await becomes_other(trusting)
        assert "newer release" in shown.fault
