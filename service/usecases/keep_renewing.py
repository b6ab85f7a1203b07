"""The loop that makes new references, beside the deliveries, which must not wait while one is fitted."""

from collections.abc import Awaitable, Callable

import anyio

from service.domain.models import ModelName
from service.domain.sharing import Outlook
from service.usecases.attempts import Attempts


class KeepRenewing:
    """Of the models that it is told of, until there is nothing to do for them."""

    def __init__(
        self, renew: Callable[[ModelName], Awaitable[Outlook]], attempt: Attempts, poll_seconds: float
    ) -> None:
        self._renew = renew
        self._attempt = attempt
        self._poll_seconds = poll_seconds
        self._models: dict[ModelName, None] = {}
        """A set in the order in which they came."""
        self._woken = anyio.Event()

    def came(self, model: ModelName) -> None:
        """A reference is to be made for it, now or later."""
        if model not in self._models:
            self._models[model] = None
            self._woken.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._woken = anyio.Event()
            if not await self._round():
                with anyio.move_on_after(self._poll_seconds if self._models else None):
                    await self._woken.wait()

    async def _round(self) -> bool:
        """One step for each; whether there is more to do at once."""
        more = False
        for model in list(self._models):
            outlook = await self._attempt("renewing the reference of", model, self._renew(model))
            if outlook is Outlook.NOTHING:
                del self._models[model]
            more |= outlook is Outlook.MORE
        return more
