"""Take a model off the watch, and what the store holds of it with it."""

from contextlib import suppress

import anyio

from service.domain.companion import companion_of, is_companion
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
        # The companion first: whoever is ended in between finds it by its model.
        models = [*await self._companions(model), model]
        was_there = False
        for each in models:
            was_there = await self._registrations.forget(each)
            self._known.forget(each)
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

    async def _companions(self, model: ModelName) -> list[ModelName]:
        """Of a registration that cannot be read nothing is known: its companion is then deleted by itself."""
        with suppress(CorruptedState):
            registration = await self._registrations.newest(model)
            if registration is not None and registration.plan.performance is not None:
                newest = await self._registrations.newest(companion_of(model))
                # Another's under that name is no companion: it came while this model was being registered.
                return [companion_of(model)] if newest is None or is_companion(newest) else []
        return []
