"""The acknowledge level `memory`: batches that are answered for before the store has them, in a bounded buffer."""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

from service.adapters.log.group_commit import MAXIMUM_GROUP, Appending, GroupCommit
from service.domain.errors import DriftwardenError, Overloaded

_log = logging.getLogger(__name__)
_RETRY_AFTER_SECONDS = 2.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.05, 2.0


class MemoryBuffer:
    """Hands on in order, and again and again while the store does not take it."""

    def __init__(self, commit: GroupCommit, max_bytes: int) -> None:
        self._commit = commit
        self._max_bytes = max_bytes
        self._held: deque[Appending] = deque()
        self._bytes = 0
        self._came = asyncio.Event()
        self._empty = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None

    def put(self, appending: Appending) -> None:
        """Raises `Overloaded` where it is full: the store has not kept up, or is away."""
        if self._bytes + appending.size > self._max_bytes:
            raise Overloaded("the buffer in front of the store is full", _RETRY_AFTER_SECONDS)
        self._held.append(appending)
        self._bytes += appending.size
        self._came.set()
        self._empty.clear()
        if self._writer is None:
            self._writer = asyncio.get_running_loop().create_task(self._write())

    async def flush(self, seconds: float) -> int:
        """Hand on what is held, for so long at the most; how many batches are lost because it was too long."""
        if self._writer is None:
            return 0
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._empty.wait()
        self._writer.cancel()
        await asyncio.wait([self._writer])
        return len(self._held)

    async def _write(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while True:
            if not self._held:
                self._came.clear()
                self._empty.set()
                await self._came.wait()
            await asyncio.sleep(0)  # what else this turn of the loop brings goes along
            if await self._hand_on([self._held[place] for place in range(min(len(self._held), MAXIMUM_GROUP))]):
                pause = _FIRST_PAUSE_SECONDS
                continue
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def _hand_on(self, group: Sequence[Appending]) -> bool:
        """False: some must be tried again, all before them in the order are through."""
        for each in group:
            each.position = asyncio.get_running_loop().create_future()
            self._commit.put(each)
        answers = await asyncio.gather(*(each.position for each in group), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, Exception) and getattr(answer, "retryable", True):
                return False
            if isinstance(answer, DriftwardenError):
                _log.warning("a batch was acknowledged from memory and then refused: %s", answer)
            self._bytes -= self._held.popleft().size
        return True
