"""Take a model off the watch, and what the store holds of it with it."""

from contextlib import suppress

import anyio

from service.domain.companion import companion_of
from service.domain.errors import CorruptedState, UnknownModel
from service.domain.models import ModelName
from service.ports import Registrations
from service.usecases.registered_models import FRESH_SECONDS, RegisteredModels


class ForgetModel:
    """Other replicas may take rows for as long as they trust what they remember; what they append is forgotten too."""

    def __init__(self, registrations: Registrations, known: RegisteredModels) -> None:
        self._registrations = registrations
        self._known = known

    async def __call__(self, model: ModelName) -> None:
        """With its companion. Takes a second; whoever goes away meanwhile may ask again.

        Raises `UnknownModel`, `CompanionModel`, `StoreUnavailable`.
        """
        await self._known.refuse_companion(model)
        models = [model, *await self._companions(model)]
        was_there = await self._registrations.forget(model)
        for each in models:
            await self._registrations.forget(each)
            self._known.forget(each)
        if was_there:
            await anyio.sleep(FRESH_SECONDS)
        for each in models:
            if await self._registrations.newest(each) is None:  # nobody has registered it again meanwhile
                await self._registrations.forget(each)
        if not was_there:
            raise UnknownModel.here(model)

    async def _companions(self, model: ModelName) -> list[ModelName]:
        """Of a registration that cannot be read nothing is known: its companion is then deleted by itself."""
        with suppress(CorruptedState):
            registration = await self._registrations.newest(model)
            if registration is not None and registration.plan.performance is not None:
                return [companion_of(model)]
        return []
