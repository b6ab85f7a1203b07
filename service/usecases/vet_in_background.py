"""Whoever starts runs is not held up while a dataset is read: it asks again until the answer is there.

An answer is for one request, and is given once.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from service.domain.errors import VettingUnavailable, VettingUnderWay
from service.domain.models import RetrainRequest
from service.domain.retraining.gate import Evidence, Refusal
from service.ports import Vetting

PATIENCE_SECONDS = 0.5
"""In which most datasets are read; waited for once, so that many that take longer hold nobody up."""
MAXIMUM_LOOKS = 100
"""Under way, or waiting to be asked for."""


@dataclass(slots=True)
class _Look:
    task: asyncio.Task[Evidence | Refusal | VettingUnavailable]
    ended: float | None = None
    """On the monotonic clock."""


class VetInBackground:
    """A `service.ports.Vetting` in front of another one; raises `VettingUnderWay` until the answer is there."""

    def __init__(
        self,
        vetting: Vetting,
        monotonic: Callable[[], float],
        fresh_seconds: float,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        """`fresh_seconds`: an answer that nobody has asked for in that time is not given any more."""
        self._vetting = vetting
        self._monotonic = monotonic
        self._fresh_seconds = fresh_seconds
        self._patience_seconds = patience_seconds
        self._looks: dict[tuple[str, int | None], _Look] = {}

    async def vet(self, request: RetrainRequest, used_version: int | None, /) -> Evidence | Refusal:
        self._forget_old()
        key = (request.name, used_version)
        look = self._looks.get(key)
        if look is None:
            if len(self._looks) >= MAXIMUM_LOOKS:
                raise VettingUnderWay(f"{MAXIMUM_LOOKS} runs are being vetted already")
            look = self._looks[key] = self._begun(request, used_version)
            await asyncio.wait({look.task}, timeout=self._patience_seconds)
        if not look.task.done():
            raise VettingUnderWay("what the run would be made from is still being read")
        del self._looks[key]
        found = look.task.result()
        if isinstance(found, VettingUnavailable):
            raise found
        return found

    def close(self) -> None:
        """Nobody will ask any more."""
        for look in self._looks.values():
            look.task.cancel()
        self._looks.clear()

    def _begun(self, request: RetrainRequest, used_version: int | None) -> _Look:
        async def outcome() -> Evidence | Refusal | VettingUnavailable:
            try:
                return await self._vetting.vet(request, used_version)
            except VettingUnavailable as error:
                return error
            finally:
                look.ended = self._monotonic()

        look = _Look(asyncio.create_task(outcome()))
        return look

    def _forget_old(self) -> None:
        now = self._monotonic()
        for key, look in list(self._looks.items()):
            if look.ended is not None and now - look.ended > self._fresh_seconds:
                del self._looks[key]
