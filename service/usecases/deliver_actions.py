"""The outbox: deliver what verdicts ask for, at least once, in order; firing the same action twice starts it once."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from opentelemetry.util.types import AttributeValue

from service.domain.errors import TriggerRejected, TriggerUnavailable
from service.domain.models import Cursor, Delivery, ModelName, RetrainRequest, TriggerOutcome, TriggerReceipt
from service.domain.retraining.gate import Evidence
from service.domain.retraining.run import Order
from service.ports import Clock, DeliveryLog, Trigger, VerdictLog
from service.telemetry.metrics import Metrics
from service.telemetry.tracing import Tracing

PAGE = 100
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Outbox:
    """What this process knows of one model's outbox."""

    scanned: int
    """Verdicts up to this number hold no undelivered action."""
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


class DeliverActions:
    """One instance a process; replicas may deliver the same action, which the target's unique names make harmless."""

    def __init__(
        self,
        verdicts: VerdictLog,
        deliveries: DeliveryLog,
        trigger: Trigger,
        clock: Clock,
        monotonic: Callable[[], float],
        back_off: BackOff,
        metrics: Metrics,
        tracing: Tracing,
    ) -> None:
        self._verdicts = verdicts
        self._deliveries = deliveries
        self._trigger = trigger
        self._clock = clock
        self._monotonic = monotonic
        self._back_off = back_off
        self._metrics = metrics
        self._tracing = tracing
        self._outboxes: dict[ModelName, _Outbox] = {}

    async def __call__(self, model: ModelName) -> bool:
        """Deliver what is due for one model; whether nothing waits. Raises `StoreUnavailable`, `CorruptedState`."""
        outbox = await self._outbox(model)
        if self._monotonic() < outbox.not_before:
            return False
        while verdicts := await self._verdicts.page(model, outbox.scanned, PAGE):
            for verdict in verdicts:
                if verdict.action is not None and not await self._deliver(outbox, verdict.action):
                    return False
                outbox.scanned, outbox.end = verdict.number, verdict.cursor
        self._metrics.pending_actions.labels(self._metrics.model(model)).set(0)
        return True

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

    async def _deliver(self, outbox: _Outbox, action: RetrainRequest) -> bool:
        """Whether it is off our hands."""
        if await self._deliveries.last(action.model) >= action.verdict_number:
            return True  # another replica was here
        receipt = await self._fire(outbox, action)
        if receipt is None:
            self._metrics.pending_actions.labels(self._metrics.model(action.model)).set(1)
            return False
        outbox.failures = 0
        if await self._deliveries.record(action.model, Delivery(action.verdict_number, receipt, self._clock())):
            self._metrics.count_action(action.model, receipt.outcome)
            extra = {"model": action.model, "verdict": action.verdict_number, "object": receipt.name}
            _log.info("action %s", receipt.outcome.value, extra=extra)
        return True

    async def _fire(self, outbox: _Outbox, action: RetrainRequest) -> TriggerReceipt | None:
        attributes: dict[str, AttributeValue] = {
            "driftwarden.model": action.model,
            "driftwarden.verdict": action.verdict_number,
        }
        with self._tracing.span("fire_trigger", parent=action.traceparent, attributes=attributes) as span:
            try:
                receipt = await self._trigger.fire(Order(action, Evidence(template_digest="")))
            except TriggerUnavailable as error:
                outbox.failures += 1
                wait = self._back_off.after(outbox.failures, error.retry_after)
                outbox.not_before = self._monotonic() + wait
                self._metrics.delivery_failures.labels(self._metrics.model(action.model)).inc()
                extra = {"model": action.model, "verdict": action.verdict_number, "retry_in_seconds": round(wait, 1)}
                _log.warning("action not delivered: %s", error, extra=extra)
                return None
            except TriggerRejected as error:
                _log.error(
                    "action refused for good: %s",
                    error,
                    extra={"model": action.model, "verdict": action.verdict_number},
                )
                receipt = TriggerReceipt(TriggerOutcome.REJECTED, action.name, None, "", str(error))
            span.set_attribute("driftwarden.outcome", receipt.outcome.value)
            return receipt
