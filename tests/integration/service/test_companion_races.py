"""A companion is its model's, whatever else happens between two commands to the store."""

import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import anyio
import numpy as np
import pytest
from anyio import CapacityLimiter

from detectors.arrays import HOST
from service.adapters.log import RedisObservationLog, RedisPredictions, RedisRetrainingRecord
from service.adapters.reference_store import RedisRegistrations
from service.adapters.store import Client, Keys, connection
from service.domain.companion import companion_of
from service.domain.errors import InvalidLabels, InvalidPlan
from service.domain.models import ModelName
from service.domain.performance import PerformancePlan
from service.domain.plan import DetectorPlan, Plan, WindowPlan
from service.domain.schema import DeclaredColumn, Role
from service.domain.sent_columns import SentColumns
from service.telemetry.metrics import Metrics
from service.telemetry.tracing import Tracing
from service.usecases.fitted_models import FittedModels
from service.usecases.forget_model import ForgetModel
from service.usecases.join_labels import BatchLabels, JoinLabels
from service.usecases.register_model import RegisterModel
from service.usecases.registered_models import RegisteredModels
from tests.processes.classified import COLUMNS, classified
from tests.processes.traffic import FEATURES, rows
from tests.processes.waiting import eventually_async

pytestmark = pytest.mark.anyio
MODEL = ModelName("churn")
COMPANION = companion_of(MODEL)
PLAN = Plan(WindowPlan(30), (DetectorPlan("kolmogorov_smirnov"),), performance=PerformancePlan(window_rows=30))
LATER = replace(PLAN, performance=PerformancePlan(window_rows=50))
DECLARED = (DeclaredColumn("score", role=Role.PREDICTION), DeclaredColumn("paid", role=Role.LABEL))


class Killed(Exception):
    """What ends a process between two commands, as its caller sees it."""


class Interrupted(RedisRegistrations):
    """Something happens, once, before it does something to a model."""

    def __init__(self, redis: Client, keys: Keys) -> None:
        super().__init__(redis, keys)
        self.meanwhile: dict[tuple[str, ModelName], Callable[[], Awaitable[None]]] = {}

    async def register(self, registration: Any, reference: Any, /) -> bool:
        await self._happens("register", registration.model)
        return await super().register(registration, reference)

    async def forget(self, model: ModelName, /) -> bool:
        await self._happens("forget", model)
        return await super().forget(model)

    async def _happens(self, verb: str, model: ModelName) -> None:
        if meanwhile := self.meanwhile.pop((verb, model), None):
            await meanwhile()


@dataclass(frozen=True)
class Processes:
    """Two of them on one store; the first can be interrupted."""

    registrations: Interrupted
    register: RegisterModel
    forget: ForgetModel
    other: RegisterModel
    join: JoinLabels

    async def with_a_companion(self) -> None:
        await self.register.reference(MODEL, SentColumns(classified(1, 600), COLUMNS), DECLARED)
        await self.register.plan(MODEL, PLAN)


@pytest.fixture
async def processes(shared_store: str) -> AsyncIterator[Processes]:
    keys = Keys(secrets.token_hex(8))
    async with connection(shared_store, 10.0) as redis:
        registrations = Interrupted(redis, keys)
        log = RedisObservationLog(redis, keys, 10_000, 2**20, horizon=100)
        models, others, joining = (RegisteredModels(registrations, time.monotonic) for _ in range(3))
        fitted = FittedModels(registrations, CapacityLimiter(1), HOST)
        first, second = (
            RegisterModel(registrations, known, fitted, log, now, optional_engines=False) for known in (models, others)
        )
        record = RedisRetrainingRecord(redis, keys, 1000)
        tracing = Tracing("0", export=False)
        join = JoinLabels(joining, RedisPredictions(redis, keys), log, lambda _: None, Metrics(10, 10), tracing)
        yield Processes(registrations, first, ForgetModel(registrations, models, record, now), second, join)
        tracing.close()


def now() -> datetime:
    return datetime.now(UTC)


async def test_a_deletion_that_ended_half_way_leaves_nothing_when_it_is_asked_for_again(processes: Processes) -> None:
    await processes.with_a_companion()

    async def killed() -> None:
        raise Killed

    for each in (MODEL, COMPANION):
        processes.registrations.meanwhile["forget", each] = killed
    for _ in range(2):
        with pytest.raises(Killed):
            await processes.forget(MODEL)
    await processes.forget(MODEL)
    assert await processes.registrations.models() == []


async def test_of_two_plans_at_once_the_companion_follows_the_one_that_holds(processes: Processes) -> None:
    await processes.with_a_companion()

    async def another_plan() -> None:
        await processes.other.plan(MODEL, LATER)

    processes.registrations.meanwhile["register", COMPANION] = another_plan
    await processes.register.plan(MODEL, replace(PLAN, performance=PerformancePlan(window_rows=40)))
    newest, companion = [await processes.registrations.newest(each) for each in (MODEL, COMPANION)]
    assert newest is not None
    assert companion is not None
    assert (newest.plan, companion.plan.window.rows) == (LATER, 50)


async def test_a_companion_that_is_registered_while_its_model_is_deleted_is_deleted_too(processes: Processes) -> None:
    await processes.with_a_companion()
    companion = await processes.registrations.newest(COMPANION)
    assert companion is not None
    outcomes = await processes.registrations.reference(companion)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(processes.forget, MODEL)

        async def forgotten() -> bool:
            return await processes.registrations.models() == []

        await eventually_async(forgotten, "the model is deleted")
        await processes.registrations.register(companion, outcomes)  # by whoever registered its model just before
    assert await processes.registrations.models() == []


async def test_who_takes_the_name_of_a_companion_in_between_keeps_it(processes: Processes) -> None:
    await processes.register.reference(MODEL, SentColumns(classified(1, 600), COLUMNS), DECLARED)

    async def taken() -> None:
        await processes.other.reference(COMPANION, SentColumns(rows(1, 200), FEATURES))

    processes.registrations.meanwhile["register", MODEL] = taken
    with pytest.raises(InvalidPlan, match="another model has it"):
        await processes.register.plan(MODEL, PLAN)
    with pytest.raises(InvalidLabels, match="another model has the name"):
        await processes.join(MODEL, [BatchLabels("a", np.array([1.0]))])
    await processes.forget(MODEL)
    assert await processes.registrations.models() == [COMPANION]
