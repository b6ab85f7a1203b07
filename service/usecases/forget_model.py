"""Take a model off the watch, and what the store holds of it with it."""

from contextlib import suppress

import anyio

from service.domain.companion import companion_of, is_companion
from service.domain.errors import CorruptedState, UnknownModel
from service.domain.models import ModelName
from service.domain.retraining.record import Step
from service.domain.retraining.transitions import forgotten
from service.ports import Clock, Registrations, RetrainingRecord
from service.usecases.registered_models import FRESH_SECONDS, RegisteredModels


class ForgetModel:
    """Other replicas may take rows for as long as they trust what they remember; what they append is forgotten too."""

    def __init__(
        self, registrations: Registrations, known: RegisteredModels, record: RetrainingRecord, clock: Clock
    ) -> None:
        self._registrations = registrations
        self._known = known
        self._record = record
        self._clock = clock

    async def __call__(self, model: ModelName, by: str = "") -> None:
        """With its companion; of its retraining the record stays. Takes a second; whoever goes away may ask again.

        Raises `UnknownModel`, `CompanionModel`, `StoreUnavailable`.
        """
        await self._known.refuse_companion(model)
        # The companion first: whoever is ended in between finds it by its model.
        models = [*await self._companions(model), model]
        was_there = False
        for each in models:
            was_there = await self._registrations.forget(each)
            self._known.forget(each)
            await self._write_down(each, by)
        if was_there:
            await anyio.sleep(FRESH_SECONDS)
        gone = await self._registrations.newest(model) is None
        for each in models:
            newest = await self._registrations.newest(each)
            # Nobody has registered it again meanwhile; or who was still registering the model has, its companion alone.
            if newest is None or (gone and is_companion(newest)):
                await self._registrations.forget(each)
        if not was_there:
            raise UnknownModel.here(model)

    async def _write_down(self, model: ModelName, by: str) -> None:
        """That its verdicts will count from 1 again, behind the deletion: before it they could be followed anew."""
        with suppress(CorruptedState):  # nothing can be added to what cannot be read
            while (newest := await self._record.newest(model)) is not None and newest.entry.step is not Step.FORGOTTEN:
                await self._record.append(forgotten(newest, self._clock(), by))

    async def _companions(self, model: ModelName) -> list[ModelName]:
        """Of a registration that cannot be read nothing is known: its companion is then deleted by itself."""
        with suppress(CorruptedState):
            registration = await self._registrations.newest(model)
            if registration is not None and registration.plan.performance is not None:
                newest = await self._registrations.newest(companion_of(model))
                # Another's under that name is no companion: it came while this model was being registered.
                return [companion_of(model)] if newest is None or is_companion(newest) else []
        return []
