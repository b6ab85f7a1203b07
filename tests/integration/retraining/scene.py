"""A model that was retrained, on a real store, and what goes on with it: as one replica, or several, do."""

import secrets
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from anyio import CapacityLimiter
from numpy.typing import NDArray

from detectors.arrays import HOST
from service.adapters.log import RedisJudgedBatches, RedisObservationLog, RedisRetrainingRecord
from service.adapters.reference_store import RedisRegistrations
from service.adapters.store import Keys, connection
from service.domain.models import LOG_START, Batch, ModelName, RetrainRequest
from service.domain.plan import DecisionPlan, DetectorPlan, Plan, WindowPlan
from service.domain.registration import Registration
from service.domain.retraining.gate import Evidence
from service.domain.retraining.record import Entry, Phase, RetrainingState, Step, Underway
from service.domain.retraining.response_plan import NewReferencePlan, ResponsePlan
from service.domain.schema import DeclaredColumn
from service.domain.sent_columns import SentColumns
from service.domain.sharing import Outlook
from service.ports import Registrations, RetrainingRecord
from service.usecases.fitted_models import FittedModels
from service.usecases.register_model import RegisterModel
from service.usecases.registered_models import RegisteredModels
from service.usecases.renew_reference import RenewReference

MODEL = ModelName("churn")
RUN, UID = "retrain-churn-1-0123456789", "uid-1"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
WANTED = 1000
PLAN = Plan(
    WindowPlan(20),
    (DetectorPlan("kolmogorov_smirnov"),),
    DecisionPlan(0.05),
    ResponsePlan(new_reference=NewReferencePlan(WANTED, after_seconds=60)),
)
"""Calibrated by 380 rows."""
HORIZON = 10_000
Values = NDArray[np.float64]


def rows(seed: int, count: int, shift: float = 0.0, columns: int = 2) -> Values:
    drawn: Values = np.random.default_rng(seed).normal(shift, 1.0, (count, columns))
    return drawn


@dataclass
class Scene:
    """The store, and what is in it of one model."""

    record: RedisRetrainingRecord
    registrations: RedisRegistrations
    judged: RedisJudgedBatches
    log: RedisObservationLog
    now: datetime = NOON
    sent: int = field(default=0, init=False)

    def clock(self) -> datetime:
        return self.now

    def register_model(self, registrations: Registrations | None = None) -> RegisterModel:
        kept = registrations or self.registrations
        models = RegisteredModels(kept, time.monotonic)
        fitted = FittedModels(kept, CapacityLimiter(1), HOST)
        return RegisterModel(kept, models, fitted, self.log, self.clock, optional_engines=False)

    def replica(
        self, record: RetrainingRecord | None = None, registrations: Registrations | None = None
    ) -> RenewReference:
        """What one process does; `record`, `registrations`: ones that go wrong."""
        fitted = FittedModels(self.registrations, CapacityLimiter(1), HOST)
        return RenewReference(
            record or self.record,
            self.registrations,
            self.log,
            self.judged,
            fitted,
            self.register_model(registrations),
            self.clock,
            HORIZON,
        )

    async def register(
        self,
        values: Values,
        plan: Plan = PLAN,
        declared: tuple[DeclaredColumn, ...] = (),
        texts: Mapping[int, list[str]] | None = None,
    ) -> Registration:
        names = [chr(ord("a") + place) for place in range(values.shape[1])]
        register = self.register_model()
        await register.reference(MODEL, SentColumns(values, names, texts or {}), declared)
        return (await register.plan(MODEL, plan)).registration

    async def begun(self, phase: Phase = Phase.RUNNING, step: Step = Step.STARTED) -> None:
        """Somebody's run is at that point since now."""
        request = RetrainRequest(RUN, MODEL, 1, NOON, NOON, "sha256:r", "sha256:p", (), None)
        run = Underway(request, Evidence("sha256:t"), phase, self.now, uid=UID)
        state = RetrainingState(1, underway=run, starts=(self.now,))
        assert await self.record.append(Entry(1, MODEL, self.now, step, RUN, "", state))

    async def succeeded(self) -> None:
        """And has ended well."""
        await self.begun(Phase.AWAITED, Step.ENDED)

    async def observe(self, values: Values, at_once: int = 100, **said: Any) -> None:
        for first in range(0, len(values), at_once):
            batch = Batch(f"batch {self.sent}", values[first : first + at_once], self.now)
            self.sent += 1
            await self.log.append(MODEL, replace(batch, **said))

    async def judge_all(self) -> None:
        """Read everything that is in the log, as an evaluator does; nothing of it is retained."""
        newest = LOG_START
        while page := await self.log.read(MODEL, newest, 256):
            newest = page[-1].position
        await self.log.forget_before(MODEL, await self.log.newest_position(MODEL), 0)

    async def steps(self) -> list[Step]:
        return [line.entry.step for line in await self.record.page(MODEL, 1, 100)]

    async def newest(self) -> Entry:
        line = await self.record.newest(MODEL)
        assert line is not None
        return line.entry

    async def registration(self) -> Registration:
        found = await self.registrations.newest(MODEL)
        assert found is not None
        return found

    def later(self, seconds: float = 60) -> None:
        self.now += timedelta(seconds=seconds)


async def settled(renew: RenewReference) -> Outlook:
    """As long as there is more to be done at once."""
    while (outlook := await renew(MODEL)) is Outlook.MORE:
        pass
    return outlook


@asynccontextmanager
async def scene(url: str, retained_bytes: int = 2**24) -> AsyncIterator[Scene]:
    async with connection(url, 10) as redis:
        keys = Keys(f"test-{secrets.token_hex(6)}")
        log = RedisObservationLog(redis, keys, 100_000, retained_bytes, HORIZON)
        yield Scene(
            RedisRetrainingRecord(redis, keys, 1000),
            RedisRegistrations(redis, keys),
            RedisJudgedBatches(redis, keys),
            log,
        )
        await log.finish(10)
