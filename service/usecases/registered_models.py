"""What is registered, remembered for a moment, so that ingest need not ask the store for every batch."""

from collections.abc import Callable

from service.domain.companion import watched_by
from service.domain.errors import CompanionModel, UnknownModel
from service.domain.models import ModelName
from service.domain.registration import Registration
from service.ports import Registrations

FRESH_SECONDS = 1.0
"""How long a registration that another replica has replaced may still be used to check incoming batches."""


class RegisteredModels:
    """Reads through to the store. Unknown names are not remembered, so that nobody can fill the memory with them."""

    def __init__(self, registrations: Registrations, monotonic: Callable[[], float]) -> None:
        self._registrations = registrations
        self._monotonic = monotonic
        self._known: dict[ModelName, tuple[float, Registration]] = {}

    async def current(self, model: ModelName) -> Registration:
        """Raises `UnknownModel`."""
        known = self._known.get(model)
        if known is not None and self._monotonic() - known[0] < FRESH_SECONDS:
            return known[1]
        registration = await self._registrations.newest(model)
        if registration is None:
            self._known.pop(model, None)
            raise UnknownModel.here(model)
        self.remember(registration)
        return registration

    async def refuse_companion(self, model: ModelName) -> None:
        """Raise `CompanionModel` if it is that of a model whose plan asks for performance."""
        watched = watched_by(model)
        if watched is None:
            return
        try:
            asked = (await self.current(watched)).plan.performance
        except UnknownModel:
            return
        if asked is not None:
            message = f"{model!r} follows from the plan of {watched!r}: change that one, or send its labels"
            raise CompanionModel(message)

    def forget(self, model: ModelName) -> None:
        """Ask the store again."""
        self._known.pop(model, None)

    def remember(self, registration: Registration) -> None:
        """Use this one from now on."""
        self._known[registration.model] = (self._monotonic(), registration)
