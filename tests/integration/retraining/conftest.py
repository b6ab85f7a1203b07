"""Retraining on a real store, with a clock that the test moves and a target that fails where it is told to."""

import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest

from service.adapters.embedded_store import embedded_store
from service.adapters.log import RedisDeliveryLog, RedisRetrainingRecord, RedisVerdictLog
from service.adapters.reference_store import RedisRegistrations
from service.adapters.store import Client, Keys, connection
from service.domain.errors import TriggerRejected, TriggerUnavailable
from service.domain.models import Delivery, RetrainRequest, TriggerOutcome, TriggerReceipt, Verdict
from service.domain.registration import Registration
from service.domain.retraining.gate import Evidence, Refusal
from service.domain.retraining.record import Asked, Entry, Phase, RetrainingState, first_break
from service.domain.retraining.response_plan import ResponsePlan
from service.domain.retraining.run import Order, Progress, RunSeen
from service.domain.retraining.transitions import asked, ended, state_of
from service.domain.sharing import Outlook
from service.telemetry.metrics import Metrics
from service.telemetry.tracing import Tracing
from service.usecases.deliver_actions import BackOff, DeliverActions, Kept, Triggers
from service.usecases.retraining_gate import RetrainingGate
from service.usecases.tell_retraining import TellRetraining, ToldRecord
from tests.conformance.ports.documents import MODEL, NOON
from tests.conformance.ports.documents import reference as reference_rows
from tests.processes.drift_events import drifted, registered


@dataclass
class Time:
    """What the service takes for the time."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now

    def monotonic(self) -> float:
        return (self.now - NOON).total_seconds()

    def pass_by(self, **units: float) -> None:
        self.now += timedelta(**units)


@dataclass
class Target:
    """Objects by name, as an API server has them: a name is taken once."""

    names: list[str] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    away: bool = False
    rejects: bool = False

    async def fire(self, order: Order, /) -> TriggerReceipt:
        if self.away:
            raise TriggerUnavailable("the API server could not be asked")
        if self.rejects:
            raise TriggerRejected("the API server does not take it")
        name = order.request.name
        outcome = TriggerOutcome.ALREADY_EXISTS if name in self.names else TriggerOutcome.CREATED
        if outcome is TriggerOutcome.CREATED:
            self.names.append(name)
            self.orders.append(order)
        return TriggerReceipt(outcome, name, "ml", "Job", uid=f"uid of {name}")


class Rehearsal:
    """Shows, and makes nothing."""

    async def fire(self, order: Order, /) -> TriggerReceipt:
        return TriggerReceipt(TriggerOutcome.DRY_RUN, order.request.name, "ml", "Job", "a manifest")


@dataclass
class Vetter:
    """Says what the test wants it to."""

    answer: Evidence | Refusal | Exception = field(default_factory=lambda: Evidence("sha256:t", dataset_version=3))
    used_version: int | None = None

    async def vet(self, _: RetrainRequest, used_version: int | None, /) -> Evidence | Refusal:
        self.used_version = used_version
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Retraining:
    """One model, its store, and as many replicas as a test wants."""

    def __init__(self, redis: Client, prefix: str, response: ResponsePlan) -> None:
        self.redis, self.keys = redis, Keys(prefix)
        keys = self.keys
        self.time, self.target, self.vetter = Time(), Target(), Vetter()
        self.metrics = Metrics(10, 10)
        self.events: list[object] = []
        self.registrations = RedisRegistrations(redis, keys)
        self.verdicts = RedisVerdictLog(redis, keys, 100_000)
        self.deliveries = RedisDeliveryLog(redis, keys, 100_000)
        self.kept_record = RedisRetrainingRecord(redis, keys, 100_000)
        self.record = ToldRecord(self.kept_record, TellRetraining(self.metrics, self.events.append))
        self.watched: Registration = registered(response)
        self.is_ours = True
        self.deliver = self.replica()

    def replica(self, **instead: object) -> DeliverActions:
        """One more, with something of its own in the place of a port."""
        verdicts = instead.get("verdicts", self.verdicts)
        kept = Kept(verdicts, instead.get("deliveries", self.deliveries), instead.get("record", self.record))
        vetter = instead.get("vetter", self.vetter)
        return DeliverActions(
            kept=kept,
            gate=RetrainingGate(self.registrations, verdicts, vetter, lambda _: self.is_ours),
            triggers=Triggers(instead.get("target", self.target), Rehearsal()),
            clock=self.time,
            monotonic=self.time.monotonic,
            back_off=BackOff(1.0, 60.0),
            metrics=self.metrics,
            tracing=Tracing("0", export=False),
        )

    async def register(self, response: ResponsePlan | None = None) -> None:
        newest = await self.registrations.newest(MODEL)
        revision = 1 if newest is None else newest.revision + 1
        self.watched = registered(response or self.watched.plan.response, revision=revision)
        assert await self.registrations.register(self.watched, reference_rows())

    async def drift(self, history: int = 1) -> Verdict:
        """One more window that drifts."""
        before = await self.verdicts.newest(MODEL)
        made = drifted(before, self.watched, history, self.time.now)
        assert await self.verdicts.commit(made)
        return made

    def made(self, response: ResponsePlan) -> Verdict:
        """The first verdict of somebody who goes by another plan than the one that is registered."""
        verdict = drifted(None, registered(response, revision=self.watched.revision))
        return replace(
            verdict,
            plan_digest=self.watched.plan.digest,
            action=None if verdict.action is None else replace(verdict.action, plan_digest=self.watched.plan.digest),
        )

    async def ask(self, name: str = "retrain-by-hand", *, dry_run: bool = False) -> None:
        newest = await self.record.newest(MODEL)
        request = RetrainRequest(name, MODEL, 0, self.time.now, self.time.now, "sha256:a", "sha256:b", (), None)
        assert await self.record.append(asked(newest, Asked(request, "ana", "why", dry_run), self.time.now))

    async def end(self, progress: Progress = Progress.SUCCEEDED) -> None:
        """The run under way ends."""
        state = await self.state()
        assert state.underway is not None
        seen = RunSeen(MODEL, state.underway.request.name, progress)
        assert await self.record.append(ended(await self.record.newest(MODEL), seen, self.time.now, renews=False))

    async def settle(self) -> Outlook:
        """As often as the loop would look."""
        while (outlook := await self.deliver(MODEL)) is Outlook.MORE:
            pass
        return outlook

    async def state(self) -> RetrainingState:
        return state_of(await self.record.newest(MODEL))

    async def phase(self) -> Phase | None:
        underway = (await self.state()).underway
        return None if underway is None else underway.phase

    async def entries(self) -> list[Entry]:
        """All of them, which are a chain."""
        lines = await self.record.page(MODEL, 0, 100_000)
        assert first_break(lines) is None
        return [line.entry for line in lines]

    async def said(self) -> list[str]:
        """Steps, with the reasons of refusals."""
        return [
            entry.step.value if entry.refusal is None else f"{entry.step.value} {entry.refusal.reason}"
            for entry in await self.entries()
        ]

    async def shown(self) -> list[Delivery]:
        return list(await self.deliveries.page(MODEL, 1, 100_000))


@pytest.fixture(scope="session")
def retraining_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with embedded_store(tmp_path_factory.mktemp("store")) as url:
        yield url


@pytest.fixture
async def retraining(retraining_store: str, request: pytest.FixtureRequest) -> AsyncIterator[Retraining]:
    response = getattr(request, "param", ResponsePlan(confirm=1, out_of=1, cool_down=0))
    async with connection(retraining_store, 10.0) as redis:
        made = Retraining(redis, secrets.token_hex(8), response)
        await made.register()
        yield made
