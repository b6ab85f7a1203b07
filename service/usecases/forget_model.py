"""Take a model off the watch, and what the store holds of it with it."""

import anyio

from service.domain.errors import UnknownModel
from service.domain.models import ModelName
from service.ports import Registrations
from service.usecases.registered_models import FRESH_SECONDS, RegisteredModels


class ForgetModel:
    """Other replicas may take rows for as long as they trust what they remember; what they append is forgotten too."""

    def __init__(self, registrations: Registrations, known: RegisteredModels) -> None:
        self._registrations = registrations
        self._known = known

    async def __call__(self, model: ModelName) -> None:
        """Raises `UnknownModel`, `StoreUnavailable`. Takes a second; whoever goes away meanwhile may ask again."""
        was_there = await self._registrations.forget(model)
        self._known.forget(model)
        if was_there:
            await anyio.sleep(FRESH_SECONDS)
        if await self._registrations.newest(model) is None:  # nobody has registered it again meanwhile
            await self._registrations.forget(model)
        if not was_there:
            raise UnknownModel.here(model)
