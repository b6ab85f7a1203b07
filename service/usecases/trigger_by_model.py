"""Each model's runs are started from what the operator has named for it."""

from collections.abc import Mapping

from service.domain.errors import TriggerRejected
from service.domain.models import TriggerReceipt
from service.domain.retraining.run import Order
from service.domain.retraining.sources import of_model
from service.ports import Trigger


class TriggerByModel:
    """A `service.ports.Trigger` in front of others."""

    def __init__(self, triggers: Mapping[str, Trigger]) -> None:
        """By model, or for all others."""
        self._triggers = triggers

    async def fire(self, order: Order, /) -> TriggerReceipt:
        trigger = of_model(self._triggers, order.request.model)
        if trigger is None:
            raise TriggerRejected("the retrainings file names no template for this model, nor for all others (*)")
        return await trigger.fire(order)
