"""All that a model's retraining asks for now: start what is due, follow what runs, and renew the reference."""

from collections.abc import Callable

import anyio

from service.domain.models import ModelName
from service.domain.retraining.record import Phase
from service.domain.retraining.transitions import state_of
from service.domain.sharing import Outlook
from service.ports import RetrainingRecord
from service.usecases.deliver_actions import DeliverActions
from service.usecases.follow_runs import FollowRuns
from service.usecases.keep_renewing import KeepRenewing

_BY_URGENCY = (Outlook.MORE, Outlook.FAILED, Outlook.LATER, Outlook.NOTHING)


class LookAfterRetraining:
    """One instance a process."""

    def __init__(
        self, record: RetrainingRecord, deliver: DeliverActions, follow: FollowRuns | None, renewing: KeepRenewing
    ) -> None:
        """`follow` None: nothing is started that could be followed."""
        self._record = record
        self._deliver = deliver
        self._follow = follow
        self._renewing = renewing

    async def run(self, changed: Callable[[ModelName], None]) -> None:
        """Until cancelled: watch runs, and make references. `changed` has a model looked at soon."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._renewing.run)
            if self._follow is not None:
                tasks.start_soon(self._follow.run, changed)

    def forget(self, model: ModelName) -> None:
        """It is not watched any more."""
        self._deliver.forget(model)

    async def __call__(self, model: ModelName) -> Outlook:
        """Raises `StoreUnavailable`, `CorruptedState`."""
        outlook = await self._deliver(model)
        run = state_of(await self._record.newest(model)).underway
        if run is None:
            return outlook
        if run.phase in {Phase.AWAITED, Phase.RENEWING}:
            self._renewing.came(model)
        elif self._follow is not None:
            return min(outlook, await self._follow(model), key=_BY_URGENCY.index)
        return outlook
