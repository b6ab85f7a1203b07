"""Show a model's verdicts, newest first, each with what became of its action."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.domain.models import Delivery, ModelName, Verdict
from service.ports import DeliveryLog, VerdictLog
from service.usecases.registered_models import RegisteredModels


@dataclass(frozen=True, slots=True)
class JudgedWindow:
    """A verdict and the delivery of its action, if it has one and it has been delivered."""

    verdict: Verdict
    delivery: Delivery | None


class ReadVerdicts:
    """Reads only."""

    def __init__(self, models: RegisteredModels, verdicts: VerdictLog, deliveries: DeliveryLog) -> None:
        self._models = models
        self._verdicts = verdicts
        self._deliveries = deliveries

    async def __call__(self, model: ModelName, limit: int, before: int | None) -> Sequence[JudgedWindow]:
        """At most `limit` verdicts with numbers below `before`. Raises `UnknownModel`, `StoreUnavailable`."""
        await self._models.current(model)
        verdicts = await self._verdicts.latest(model, limit, before)
        acting = [verdict.number for verdict in verdicts if verdict.action is not None]
        found = await self._deliveries.page(model, min(acting), max(acting)) if acting else ()
        deliveries = {delivery.verdict_number: delivery for delivery in found}
        return [JudgedWindow(verdict, deliveries.get(verdict.number)) for verdict in verdicts]
