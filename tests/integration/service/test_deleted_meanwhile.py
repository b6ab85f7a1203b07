"""A model is deleted while its window is tested: nothing of it comes up under the next model of that name."""

import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from anyio import CapacityLimiter

from detectors.arrays import HOST
from service.adapters.log import RedisObservationLog, RedisVerdictLog
from service.adapters.reference_store import RedisRegistrations
from service.adapters.store import Keys, connection
from service.domain.fitted_plan import FittedPlan
from service.domain.models import Batch, ModelName
from service.domain.plan import DetectorPlan, Plan, WindowPlan
from service.domain.sent_columns import SentColumns
from service.telemetry.metrics import Metrics
from service.telemetry.tracing import Tracing
from service.usecases.evaluate_window import EvaluateWindow, Tuning
from service.usecases.fitted_models import FittedModels
from service.usecases.register_model import RegisterModel
from service.usecases.registered_models import RegisteredModels
from tests.processes.traffic import FEATURES, rows

pytestmark = pytest.mark.anyio
MODEL = ModelName("churn")
PLAN = Plan(WindowPlan(20), (DetectorPlan("kolmogorov_smirnov"),))


@dataclass
class Meanwhile:
    """What another process does between the cut of a window and its verdict."""

    registrations: RedisRegistrations
    register: RegisterModel
    again: bool

    async def __call__(self) -> None:
        assert await self.registrations.forget(MODEL)
        if self.again:
            await self.register.reference(MODEL, SentColumns(rows(2, 500), FEATURES))
            await self.register.plan(MODEL, PLAN)


class InterruptedModels(FittedModels):
    """Something happens before a window is tested."""

    meanwhile: Meanwhile | None = None

    async def fitted(self, *arguments: Any, **more: Any) -> FittedPlan:
        fitted = await super().fitted(*arguments, **more)
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            await meanwhile()
        return fitted


@pytest.mark.parametrize("again", [False, True], ids=["deleted", "and registered again"])
async def test_a_window_of_a_deleted_model_is_committed_to_nobody(shared_store: str, again: bool) -> None:
    keys = Keys(secrets.token_hex(8))
    async with connection(shared_store, 10.0) as redis:
        registrations, verdicts = RedisRegistrations(redis, keys), RedisVerdictLog(redis, keys, 1000)
        log = RedisObservationLog(redis, keys, 10_000, 2**20, horizon=100)
        models = RegisteredModels(registrations, time.monotonic)
        fitted = InterruptedModels(registrations, CapacityLimiter(1), HOST)
        metrics, tracing = Metrics(10, 10), Tracing("0", export=False)
        register = RegisterModel(registrations, models, fitted, log, now, optional_engines=False)
        evaluate = EvaluateWindow(
            registrations,
            fitted,
            log,
            verdicts,
            now,
            metrics,
            tracing,
            Tuning(CapacityLimiter(1), 100, time.monotonic, 100),
        )
        await register.reference(MODEL, SentColumns(rows(1, 500), FEATURES))
        await register.plan(MODEL, PLAN)
        await log.append(MODEL, Batch("one", rows(1, 20), now(), revision=2))
        fitted.meanwhile = Meanwhile(registrations, register, again)
        await evaluate(MODEL)
        assert await verdicts.newest(MODEL) is None
        assert not await evaluate(MODEL)
        tracing.close()


def now() -> datetime:
    return datetime.now(UTC)
