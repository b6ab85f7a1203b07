"""Show which models are watched, and by what: registrations, plans, and references as they are stored."""

from bisect import bisect_right
from collections.abc import Sequence

from anyio import to_thread

from service.domain.errors import UnknownModel
from service.domain.models import ModelName
from service.domain.registration import Registration, encode_reference
from service.ports import Registrations
from service.usecases.fitted_models import FittedModels, readiness
from service.usecases.register_model import Registered


class ReadRegistrations:
    """Reads only, and always the store's newest: who asks has perhaps just been told that something has changed."""

    def __init__(self, registrations: Registrations, fitted: FittedModels) -> None:
        self._registrations = registrations
        self._fitted = fitted

    async def page(self, limit: int, after: str | None) -> tuple[Sequence[ModelName], bool]:
        """At most `limit` names after that one, in order, and whether there are more. Raises `StoreUnavailable`."""
        models = await self._registrations.models()
        first = 0 if after is None else bisect_right(models, after)
        return models[first : first + limit], len(models) > first + limit

    async def registration(self, model: ModelName) -> Registration:
        """Raises `UnknownModel`, `StoreUnavailable`, `CorruptedState`."""
        registration = await self._registrations.newest(model)
        if registration is None:
            raise UnknownModel.here(model)
        return registration

    async def registered(self, registration: Registration) -> Registered:
        """With what its reference and plan can do together, which takes fitting them if nobody has yet."""
        fitted = await self._fitted.fitted(registration)
        return Registered(registration, readiness(fitted), changed=False)

    async def reference(self, registration: Registration) -> bytes:
        """The very bytes that its digest is of. Raises `CorruptedState` where they are not there any more."""
        reference = await self._registrations.reference(registration)
        # A document has one spelling, so that writing it again gives what was read, and verified.
        return await to_thread.run_sync(encode_reference, reference)
