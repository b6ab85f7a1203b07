"""Plans fitted to summarise rows and nothing else: each made once for a reference and a plan, on a thread."""

from collections import OrderedDict
from collections.abc import Callable
from functools import partial

from anyio import CapacityLimiter, to_thread

from service.domain.fitted_plan import FittedPlan, fit
from service.domain.registration import Registration
from service.ports import Registrations

KEPT = 16


class SummarisingPlans:
    """The least recently used goes first, and is fitted again when needed."""

    def __init__(
        self, registrations: Registrations, limiter: CapacityLimiter, give_back_memory: Callable[[], None]
    ) -> None:
        """`give_back_memory`: fitting takes many times the memory that what is fitted keeps."""
        self._registrations = registrations
        self._limiter = limiter
        self._give_back_memory = give_back_memory
        self._kept: OrderedDict[tuple[str, str], FittedPlan] = OrderedDict()

    async def fitted(self, registration: Registration) -> FittedPlan:
        """Raises `StoreUnavailable`, `CorruptedState`, `InvalidReference`, `InvalidPlan`."""
        key = (registration.reference_digest, registration.plan.digest)
        if key not in self._kept:
            reference = await self._registrations.reference(registration)
            # What calm blocks do is for those to know who judge.
            made = partial(fit, registration.plan, reference, calibrates=False)
            self._kept[key] = await to_thread.run_sync(made, limiter=self._limiter)
            del reference, made
            await to_thread.run_sync(self._give_back_memory, limiter=self._limiter)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]
