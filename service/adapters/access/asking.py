"""Questions to somebody who may be slow or away: each asked once, a bounded number at a time, for a bounded time."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from service.domain.errors import AccessUndecided

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Asking(Generic[K, T]):
    """Those who want to know the same at the same time share one question."""

    def __init__(self, at_a_time: int, waiting: int, seconds: float) -> None:
        """`waiting` more questions than are asked at a time may wait; `seconds` is for waiting and asking together."""
        self._turns = asyncio.Semaphore(at_a_time)
        self._most = at_a_time + waiting
        self._seconds = seconds
        self._under_way: dict[K, asyncio.Task[T]] = {}

    async def __call__(self, key: K, question: Callable[[], Awaitable[T]]) -> T:
        """Its answer; raises `AccessUndecided`, and what the question raises."""
        task = self._under_way.get(key)
        if task is None:
            if len(self._under_way) >= self._most:
                raise AccessUndecided("as many callers are being looked up as this process looks up at once")
            task = asyncio.create_task(self._in_turn(question))
            self._under_way[key] = task
            task.add_done_callback(lambda done: self._forget(key, done))
        # Whoever asked first may hang up; the others still want to know.
        return await asyncio.shield(task)

    async def _in_turn(self, question: Callable[[], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(self._seconds), self._turns:
                return await question()
        except TimeoutError:
            raise AccessUndecided("whoever knows the caller did not answer in time") from None

    def _forget(self, key: K, done: asyncio.Task[T]) -> None:
        del self._under_way[key]
        if not done.cancelled():
            done.exception()  # perhaps nobody waits for it any more

    def stop(self) -> None:
        """Give up what is under way."""
        for task in self._under_way.values():
            task.cancel()
