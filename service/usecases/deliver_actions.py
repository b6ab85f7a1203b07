"""The outbox: what verdicts and people ask for is decided once, and what passes the gate is started until it is there.

Everything that is decided is an entry of the record of retraining, and its newest entry says how to go on; so replicas
may do this for the same model at the same time, and be ended between any two steps (ADR 24). Deliveries are how far the
verdicts are settled, and what is shown beside them. What is kept in memory spares reading, and nothing rests on it.
"""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from opentelemetry.trace import Span
from opentelemetry.util.types import AttributeValue

from service.domain.errors import TriggerRejected, TriggerUnavailable, VettingUnavailable, VettingUnderWay
from service.domain.models import (
    Cursor,
    Delivery,
    ModelName,
    RetrainRequest,
    TriggerOutcome,
    TriggerReceipt,
    Verdict,
)
from service.domain.retraining.drift_event import alarm_of
from service.domain.retraining.gate import Evidence, Refusal
from service.domain.retraining.pace import quiet_until
from service.domain.retraining.record import Line, Phase, RetrainingState, Underway
from service.domain.retraining.response_plan import ResponsePlan
from service.domain.retraining.run import Order
from service.domain.retraining.transitions import forgotten, permitted, refused, started, state_of
from service.domain.sharing import Outlook
from service.ports import Clock, DeliveryLog, RetrainingRecord, Trigger, VerdictLog
from service.telemetry.metrics import Metrics
from service.telemetry.tracing import Tracing
from service.usecases.retraining_gate import Case, RetrainingGate

PAGE = 100
LOOKED_BACK = 200
"""Entries in which a decision is looked for whose delivery nobody got to record."""
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Outbox:
    """What this process knows of one model's outbox."""

    scanned: int
    """Verdicts up to this number hold no action that is not settled."""
    end: Cursor | None = None
    """Cursor of that verdict, once it has been seen: another verdict of its number has another."""
    failures: int = 0
    not_before: float = 0.0
    """On the monotonic clock: the back-off."""


@dataclass(frozen=True, slots=True)
class BackOff:
    """How long to wait after a failed delivery, in seconds; doubles with every failure."""

    first: float
    longest: float

    def after(self, failures: int, asked: float | None) -> float:
        """At least what the target asked for, within the longest."""
        own = self.first * 2.0 ** min(failures - 1, 30)
        return min(self.longest, max(own, asked or 0.0))


@dataclass(frozen=True, slots=True)
class Kept:
    """Where what is decided is kept."""

    verdicts: VerdictLog
    deliveries: DeliveryLog
    record: RetrainingRecord


@dataclass(frozen=True, slots=True)
class Triggers:
    """What starts runs, and what only shows what would be started."""

    real: Trigger
    rehearsal: Trigger


class DeliverActions:
    """One instance a process."""

    def __init__(
        self,
        kept: Kept,
        gate: RetrainingGate,
        triggers: Triggers,
        clock: Clock,
        monotonic: Callable[[], float],
        back_off: BackOff,
        metrics: Metrics,
        tracing: Tracing,
    ) -> None:
        self._verdicts = kept.verdicts
        self._deliveries = kept.deliveries
        self._record = kept.record
        self._gate = gate
        self._triggers = triggers
        self._clock = clock
        self._monotonic = monotonic
        self._back_off = back_off
        self._metrics = metrics
        self._tracing = tracing
        self._outboxes: dict[ModelName, _Outbox] = {}

    async def __call__(self, model: ModelName) -> Outlook:
        """Settle what is due for one model. Raises `StoreUnavailable`, `CorruptedState`."""
        if await self._gate.plan(model) is None:  # a run of it may still be told of
            self.forget(model)
            return Outlook.NOTHING
        outbox = await self._outbox(model)
        outlook = await self._go_on(model, await self._begun_anew(model), outbox)
        if outlook is Outlook.NOTHING:
            outlook = await self._settle_events(model, outbox)
        self._metrics.pending_actions.labels(self._metrics.model(model)).set(outlook is not Outlook.NOTHING)
        return outlook

    def forget(self, model: ModelName) -> None:
        """It is not watched any more."""
        self._outboxes.pop(model, None)

    async def follow(self, model: ModelName) -> None:
        """Show what another process has done: what waits is that one's to show."""
        self._metrics.show_retraining(model, state_of(await self._record.newest(model)))
        self._metrics.pending_actions.labels(self._metrics.model(model)).set(0)

    async def _outbox(self, model: ModelName) -> _Outbox:
        """What is known of it; nothing, if the store holds another history than the one that it is known of."""
        outbox = self._outboxes.get(model)
        if outbox is None or await self._is_of_another_history(model, outbox):
            outbox = self._outboxes[model] = _Outbox(scanned=await self._deliveries.last(model))
        return outbox

    async def _is_of_another_history(self, model: ModelName, outbox: _Outbox) -> bool:
        """Whether the store was emptied, or restored from an earlier copy, since the outbox was scanned."""
        if outbox.scanned == 0:
            return False
        found = await self._verdicts.page(model, outbox.scanned - 1, 1)
        if not found:  # its newest number is lower
            return True
        same_number = found[0].number == outbox.scanned  # a higher one: the retention has dropped it
        return same_number and outbox.end is not None and found[0].cursor != outbox.end

    async def _begun_anew(self, model: ModelName) -> Line | None:
        """The newest entry. If somebody who deleted the model was ended before saying so, verdicts count from 1."""
        newest = await self._record.newest(model)
        if newest is None or not (state := newest.entry.state).decided_until:
            return newest
        found = await self._verdicts.page(model, state.decided_until - 1, 1)
        if found and found[0].number > state.decided_until:  # the retention has dropped it
            return newest
        if found and found[0].action is not None and found[0].action.name == state.decided_run:
            return newest
        await self._record.append(forgotten(newest, self._clock(), ""))
        return await self._record.newest(model)

    async def _go_on(self, model: ModelName, newest: Line | None, outbox: _Outbox) -> Outlook:
        """With what somebody asked for and with what is permitted, until neither is there."""
        while True:
            state = state_of(newest)
            self._metrics.show_retraining(model, state)
            permitted_run = state.underway if state.underway and state.underway.phase is Phase.PERMITTED else None
            if newest is None or (state.asked is None and permitted_run is None):
                return Outlook.NOTHING
            plan = await self._gate.plan(model)
            if plan is None:
                return Outlook.NOTHING
            if state.asked is not None:
                outlook = await self._decide(newest, self._gate.asked(state.asked, plan), outbox)
            elif permitted_run is not None:
                outlook = await self._start(newest, permitted_run, plan, outbox)
            if outlook is not Outlook.MORE:
                return outlook
            newest = await self._record.newest(model)

    async def _settle_events(self, model: ModelName, outbox: _Outbox) -> Outlook:
        while verdicts := await self._verdicts.page(model, outbox.scanned, PAGE):
            for verdict in verdicts:
                if verdict.action is not None:
                    outlook = await self._settle(verdict, verdict.action, outbox)
                    if outlook is not Outlook.NOTHING:
                        return outlook
                outbox.scanned, outbox.end = verdict.number, verdict.cursor
        return Outlook.NOTHING

    async def _settle(self, verdict: Verdict, action: RetrainRequest, outbox: _Outbox) -> Outlook:
        """Decide one event, and start what it is permitted; nothing waits then."""
        model, number = verdict.model, verdict.number
        while await self._deliveries.last(model) < number:
            newest = await self._record.newest(model)
            if state_of(newest).decided_until >= number:
                outlook = await self._go_on(model, newest, outbox)
                if outlook is Outlook.NOTHING:
                    await self._deliver_late(model, number, action)
                    return outlook
            else:
                case = await self._gate.event(verdict, action)
                if case is None:  # the model is just being deleted
                    return Outlook.LATER
                outlook = await self._decide(newest, case, outbox)
            if outlook is not Outlook.MORE:
                return outlook
        return Outlook.NOTHING  # another replica was here

    async def _decide(self, newest: Line | None, case: Case, outbox: _Outbox) -> Outlook:
        """Write down a permission or a refusal; `MORE` also where another replica was first."""
        state, now = state_of(newest), self._clock()
        found: Refusal | Evidence | Outlook | None = self._gate.refusal(case, state, now)
        if found is None and case.is_waiting(now):
            return Outlook.LATER
        found = found or await self._vetted(case, state, outbox)
        if isinstance(found, Outlook):
            return found
        alarm = None if case.verdict is None else alarm_of(case.verdict)
        if isinstance(found, Refusal):
            if await self._record.append(refused(newest, case.request, found, self._clock(), alarm=alarm)):
                await self._deliver(case.request, _receipt_of_refusal(case.request, found))
            return Outlook.MORE
        suspended = case.plan.approval == "manual"
        at = self._clock()
        permission = permitted(newest, case.request, found, at, alarm=alarm, suspended=suspended, dry_run=case.dry_run)
        await self._record.append(self._gate.signed(permission))
        return Outlook.MORE

    async def _vetted(self, case: Case, state: RetrainingState, outbox: _Outbox) -> Evidence | Refusal | Outlook:
        """The outlook, while there is no answer."""
        if self._monotonic() < outbox.not_before:
            return Outlook.FAILED
        with self._span("vet_retraining", case.request):
            try:
                found = await self._gate.vet(case, state)
            except VettingUnderWay:
                return Outlook.LATER  # by this very process, which has begun to read: another would begin anew
            except VettingUnavailable as error:
                self._wait(outbox, case.request, error, None)
                return Outlook.FAILED
        outbox.failures = 0
        return found

    async def _start(self, newest: Line, run: Underway, plan: ResponsePlan, outbox: _Outbox) -> Outlook:
        if run.request.verdict_number and quiet_until(plan, self._clock()) is not None:
            return Outlook.LATER  # they began while the target was away
        if self._monotonic() < outbox.not_before:
            return Outlook.FAILED
        receipt = await self._fire(run, outbox)
        if receipt is None:
            return Outlook.FAILED
        outbox.failures = 0
        if await self._record.append(started(newest, receipt, self._clock())):
            await self._deliver(run.request, receipt)
        return Outlook.MORE

    async def _fire(self, run: Underway, outbox: _Outbox) -> TriggerReceipt | None:
        request = run.request
        trigger = self._triggers.rehearsal if run.dry_run else self._triggers.real
        with self._span("fire_trigger", request) as span:
            try:
                self._gate.refuse_foreign(run)
                receipt = await trigger.fire(Order(request, run.evidence, run.suspended))
            except TriggerUnavailable as error:
                self._wait(outbox, request, error, error.retry_after)
                return None
            except TriggerRejected as error:
                extra = {"model": request.model, "verdict": request.verdict_number}
                _log.error("action refused for good: %s", error, extra=extra)
                receipt = TriggerReceipt(TriggerOutcome.REJECTED, request.name, None, "", str(error))
            span.set_attribute("driftwarden.outcome", receipt.outcome.value)
            return receipt

    def _wait(self, outbox: _Outbox, request: RetrainRequest, error: Exception, asked: float | None) -> None:
        outbox.failures += 1
        wait = self._back_off.after(outbox.failures, asked)
        outbox.not_before = self._monotonic() + wait
        self._metrics.delivery_failures.labels(self._metrics.model(request.model)).inc()
        extra = {"model": request.model, "verdict": request.verdict_number, "retry_in_seconds": round(wait, 1)}
        _log.warning("action not delivered: %s", error, extra=extra)

    async def _deliver(self, request: RetrainRequest, receipt: TriggerReceipt) -> None:
        """Show beside the verdict what became of its action."""
        if not request.verdict_number:
            return
        if await self._deliveries.record(request.model, Delivery(request.verdict_number, receipt, self._clock())):
            self._metrics.count_action(request.model, receipt.outcome)
            extra = {"model": request.model, "verdict": request.verdict_number, "object": receipt.name}
            _log.info("action %s", receipt.outcome.value, extra=extra)

    async def _deliver_late(self, model: ModelName, number: int, action: RetrainRequest) -> None:
        """Whoever decided it was ended before it was delivered."""
        newest = await self._record.newest(model)
        if newest is None or await self._deliveries.last(model) >= number:
            return
        lines = await self._record.page(model, max(0, newest.entry.number - LOOKED_BACK), LOOKED_BACK)
        for entry in (line.entry for line in reversed(lines) if line.entry.run == action.name):
            receipt = entry.receipt if entry.refusal is None else _receipt_of_refusal(action, entry.refusal)
            if receipt is not None:
                await self._deliver(action, receipt)
                return

    def _span(self, name: str, request: RetrainRequest) -> AbstractContextManager[Span]:
        attributes: dict[str, AttributeValue] = {
            "driftwarden.model": request.model,
            "driftwarden.verdict": request.verdict_number,
        }
        return self._tracing.span(name, parent=request.traceparent, attributes=attributes)


def _receipt_of_refusal(request: RetrainRequest, refusal: Refusal) -> TriggerReceipt:
    said = f"{refusal.check}: {refusal.reason}: {refusal.detail}"
    return TriggerReceipt(TriggerOutcome.REFUSED, request.name, None, "", said)
