"""The clock on the wall jumps an hour, forward or back: windows by time neither lack a stretch nor have one twice."""

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from anyio import CapacityLimiter

from detectors.arrays import HOST
from service.adapters.log import RedisObservationLog, RedisVerdictLog
from service.adapters.reference_store import RedisRegistrations
from service.adapters.store import Keys, connection
from service.domain.models import ModelName, Verdict
from service.domain.plan import DetectorPlan, Plan, WindowPlan
from service.domain.sent_columns import SentColumns
from service.telemetry.metrics import Metrics
from service.telemetry.tracing import Tracing
from service.usecases.evaluate_window import EvaluateWindow, Tuning
from service.usecases.fitted_models import FittedModels
from service.usecases.observe_batch import Observations, ObserveBatch
from service.usecases.register_model import RegisterModel
from service.usecases.registered_models import RegisteredModels
from service.usecases.steady_clock import SteadyClock
from tests.processes.traffic import FEATURES, rows

pytestmark = pytest.mark.anyio
MODEL = ModelName("churn")
EVERY, PACE, ROWS = 60, 10, 5
LATENESS = 20
PLAN = Plan(WindowPlan(None, every_seconds=EVERY, lateness_seconds=LATENESS), (DetectorPlan("kolmogorov_smirnov"),))


@dataclass
class Machine:
    """A service on a store that is real and clocks that are set."""

    observe: ObserveBatch
    evaluate: EvaluateWindow
    verdicts: RedisVerdictLog
    clocks: "Clocks"

    async def minutes(self, count: int, *, told: bool) -> None:
        """Traffic at an even pace, each batch looked at at once."""
        for _ in range(count * 60 // PACE):
            self.clocks.seconds += PACE
            observed_at = self.clocks.began + timedelta(seconds=self.clocks.seconds) if told else None
            await self.observe(MODEL, secrets.token_hex(8), Observations(rows(1, ROWS), None, observed_at))
            await self.look()

    async def look(self) -> None:
        while await self.evaluate(MODEL):
            pass

    async def judged(self) -> list[Verdict]:
        return list(await self.verdicts.page(MODEL, 0, 1000))


@dataclass
class Clocks:
    """The wall's may be set, the other one never is."""

    began: datetime = field(default_factory=lambda: datetime.now(UTC).replace(second=0, microsecond=0))
    seconds: float = 0.0
    jump: timedelta = timedelta()

    def wall(self) -> datetime:
        return self.began + timedelta(seconds=self.seconds) + self.jump

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
async def machine(shared_store: str) -> AsyncIterator[Machine]:
    clocks, keys = Clocks(), Keys(secrets.token_hex(8))
    async with connection(shared_store, 10.0) as redis:
        registrations, verdicts = RedisRegistrations(redis, keys), RedisVerdictLog(redis, keys, 1000)
        log = RedisObservationLog(redis, keys, 10_000, 2**20, horizon=100)
        models = RegisteredModels(registrations, clocks.monotonic)
        fitted = FittedModels(registrations, CapacityLimiter(1), HOST)
        metrics, tracing = Metrics(10, 10), Tracing("0", export=False)
        register = RegisterModel(registrations, models, fitted, log, clocks.wall, optional_engines=False)
        await register.reference(MODEL, SentColumns(rows(1, 500), FEATURES))
        await register.plan(MODEL, PLAN)
        stamps = SteadyClock(clocks.wall, clocks.monotonic)
        yield Machine(
            ObserveBatch(models, fitted, log, lambda _: None, stamps, metrics, tracing),
            EvaluateWindow(
                registrations,
                fitted,
                log,
                verdicts,
                clocks.wall,
                metrics,
                tracing,
                Tuning(CapacityLimiter(1), 100, clocks.monotonic, 100),
            ),
            verdicts,
            clocks,
        )
        tracing.close()


@pytest.mark.parametrize("hours", [-1, 1])
@pytest.mark.parametrize("told", [False, True], ids=["stamped", "told by the sender"])
async def test_no_window_is_missed_and_none_is_added(machine: Machine, hours: int, told: bool) -> None:
    await machine.minutes(5, told=told)
    machine.clocks.jump = timedelta(hours=hours)
    await machine.minutes(10, told=told)
    machine.clocks.jump = timedelta()
    await machine.minutes(5, told=told)
    machine.clocks.jump = timedelta(hours=hours)  # and nothing comes any more
    waiting = len(await machine.judged())
    machine.clocks.seconds += EVERY + LATENESS - 1
    await machine.look()
    assert len(await machine.judged()) == waiting, "a jump is no silence"
    machine.clocks.seconds += 1
    await machine.look()
    found = await machine.judged()
    ends = [verdict.cursor.until or 0 for verdict in found]
    assert {later - earlier for earlier, later in pairwise(ends)} == {EVERY * 1000}
    assert sum(verdict.rows for verdict in found) == 20 * 60 // PACE * ROWS
    assert sum(verdict.late + verdict.future for verdict in found) == 0
    most = EVERY // PACE + (0 if told else 1)
    assert all(verdict.batches <= most for verdict in found)
    if told:
        assert [verdict.rows for verdict in found[1:-1]] == [EVERY // PACE * ROWS] * (len(found) - 2)
