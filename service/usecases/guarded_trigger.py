"""Actions wait while what they are made from is not what it should be."""

from collections.abc import Callable

from service.domain.errors import IntegrityLost, TriggerUnavailable
from service.domain.models import TriggerReceipt
from service.domain.retraining.run import Order
from service.ports import Trigger


class GuardedTrigger:
    """A `service.ports.Trigger` in front of another one."""

    def __init__(self, trigger: Trigger, guard: Callable[[], None]) -> None:
        """`guard` raises `IntegrityLost`."""
        self._trigger = trigger
        self._guard = guard

    async def fire(self, order: Order, /) -> TriggerReceipt:
        try:
            self._guard()
        except IntegrityLost as error:
            raise TriggerUnavailable(f"the template is not to be relied on: {error}") from error
        return await self._trigger.fire(order)
