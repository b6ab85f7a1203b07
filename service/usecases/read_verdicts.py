"""Show a model's verdicts, newest first, each with what became of its action."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from service.domain.models import Delivery, Finding, ModelName, Verdict
from service.ports import DeliveryLog, VerdictLog
from service.usecases.registered_models import RegisteredModels

MOST_LOOKED_AT = 2_000
"""Verdicts that one question reads, however few of them it is about."""
_A_TIME = 200


@dataclass(frozen=True, slots=True)
class JudgedWindow:
    """A verdict and the delivery of its action, if it has one and it has been delivered."""

    verdict: Verdict
    delivery: Delivery | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which verdicts; what is None does not matter."""

    finding: Finding | None = None
    acted: bool | None = None
    """Whether it set an action off."""
    since: datetime | None = None
    """Windows that ended then or later ..."""
    until: datetime | None = None
    """... and began before then."""

    def takes(self, verdict: Verdict) -> bool:
        """Whether it is one of them."""
        return (
            self.finding in {None, verdict.decision.finding}
            and self.acted in {None, verdict.action is not None}
            and (self.since is None or verdict.ended_at >= self.since)
            and (self.until is None or verdict.started_at < self.until)
        )


@dataclass(frozen=True, slots=True)
class Page:
    """Newest first."""

    windows: Sequence[JudgedWindow]
    before: int | None
    """Ask for those before this number next; None: there are no more."""


class ReadVerdicts:
    """Reads only."""

    def __init__(self, models: RegisteredModels, verdicts: VerdictLog, deliveries: DeliveryLog) -> None:
        self._models = models
        self._verdicts = verdicts
        self._deliveries = deliveries

    async def __call__(self, model: ModelName, limit: int, before: int | None, wanted: Wanted = Wanted()) -> Page:
        """At most `limit` verdicts with numbers below `before`; fewer where many had to be passed over.

        Raises `UnknownModel`, `StoreUnavailable`.
        """
        await self._models.current(model)
        found, looked_at = list[Verdict](), 0
        while len(found) < limit and looked_at < MOST_LOOKED_AT:
            some = await self._verdicts.latest(model, min(limit, _A_TIME), before)
            looked_at += len(some)
            for verdict in some:
                before = verdict.number
                if wanted.takes(verdict):
                    found.append(verdict)
                    if len(found) == limit:
                        break
            if len(some) < min(limit, _A_TIME) and len(found) < limit:
                before = None
                break
        more = before if before is not None and before > 1 else None
        return Page(await self._with_deliveries(model, found), more)

    async def _with_deliveries(self, model: ModelName, verdicts: Sequence[Verdict]) -> Sequence[JudgedWindow]:
        acting = [verdict.number for verdict in verdicts if verdict.action is not None]
        found = await self._deliveries.page(model, min(acting), max(acting)) if acting else ()
        deliveries = {delivery.verdict_number: delivery for delivery in found}
        return [JudgedWindow(verdict, deliveries.get(verdict.number)) for verdict in verdicts]
