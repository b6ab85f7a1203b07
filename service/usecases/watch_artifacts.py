"""Keep verifying files: when they change, at once; and now and then though nothing seems to.

Every few seconds a target's files are looked at by sizes and times alone. What changes there is read at once, as fast
as can be. What seems to be as it was is read all the same from time to time, at a pace that leaves others their time.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import anyio
from anyio import CapacityLimiter, to_thread

from service.domain.errors import IntegrityLost
from service.domain.integrity.watched import History, State, Target
from service.ports import WatchedArtifact
from service.usecases.paced_reading import CalledOff, PacedReading
from service.usecases.stepping_back import step_back
from service.usecases.tell_integrity import TellIntegrity
from service.usecases.verify_again import marked, verify_again

T = TypeVar("T")
_TELL_SECONDS = 1.0
_JITTER = 0.1


@dataclass(frozen=True, slots=True)
class WhatToWatch:
    """A target, what verifies it, and what is known of it already."""

    target: Target
    artifact: WatchedArtifact
    known: History = field(default_factory=History)


@dataclass(frozen=True, slots=True)
class Shown:
    """A target as it is now."""

    target: Target
    state: State
    history: History
    age_seconds: float | None
    """Of the last success."""


@dataclass(slots=True)
class _Watched:
    target: Target
    artifact: WatchedArtifact
    history: History
    mark: bytes | None = None
    """Of the files, when they were verified last, or were tried to be; None: it could not be told."""
    told: State = State.UNKNOWN
    reading: PacedReading | None = None
    bytes_read: int = 0
    """By one verification, the most so far."""
    limiter: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(1))
    """A file system that hangs holds up its own target only."""

    def state(self, now: float) -> State:
        return self.history.state(now, self.target.bounds)

    def age(self, now: float) -> float | None:
        return None if self.history.last_success is None else now - self.history.last_success


class WatchArtifacts:
    """One instance a process."""

    def __init__(
        self,
        targets: Sequence[WhatToWatch],
        monotonic: Callable[[], float],
        random: Callable[[], float],
        tell: TellIntegrity,
    ) -> None:
        """`random`: from 0 to 1."""
        self._watched = [_Watched(each.target, each.artifact, each.known) for each in targets]
        self._monotonic = monotonic
        self._random = random
        self._tell = tell
        for each in self._watched:
            tell.show(each.target, partial(self._now, each.state), partial(self._now, each.age))

    async def run(self) -> None:
        """Until cancelled."""
        try:
            async with anyio.create_task_group() as tasks:
                for each in self._watched:
                    tasks.start_soon(self._watch, each)
                while self._watched:
                    await anyio.sleep(_TELL_SECONDS)
                    for each in self._watched:  # time alone makes one stale, or ends its grace
                        self._say(each)
        finally:
            for each in self._watched:
                if each.reading is not None:
                    each.reading.call_off()

    def shown(self) -> Sequence[Shown]:
        """Every target, in the order of the configuration."""
        now = self._monotonic()
        return [Shown(each.target, each.state(now), each.history, each.age(now)) for each in self._watched]

    def refuse_unless_verified(self, wanted: Callable[[Target], bool]) -> None:
        """Raises `IntegrityLost` if one of the wanted targets is not verified."""
        lost = [each for each in self.shown() if wanted(each.target) and each.state is not State.VERIFIED]
        if lost:
            raise IntegrityLost([(each.target.name, each.state.value) for each in lost])

    async def _watch(self, each: _Watched) -> None:
        hurried = True
        while True:
            done = await self._verify(each, hurried=hurried)
            changed = not done or await self._changes(each, self._pause(each))
            if changed:
                each.history = each.history.seen_changed(self._monotonic())
            # At its pace, a large model would be read for longer than what remains of the grace.
            hurried = changed or each.history.is_in_grace(self._monotonic(), each.target.bounds)

    def _pause(self, each: _Watched) -> float:
        target = each.target
        # Drawn anew each time, so that the pods of one node do not all read at once.
        pause = target.interval_seconds * (1 + _JITTER * (2 * self._random() - 1))
        pause = min(pause, target.bounds.renewal_seconds(0))
        return pause if each.history.unreadable_since is None else min(pause, target.bounds.retry_seconds)

    async def _verify(self, each: _Watched, *, hurried: bool) -> bool:
        """False: it was called off, because the files changed meanwhile."""
        now = self._monotonic()
        pace = None if hurried else each.history.pace(now, each.target, each.bytes_read)
        each.reading = reading = PacedReading(pace, self._tell.read(each.target), self._monotonic)
        each.mark = await self._mark(each)
        look = partial(verify_again, each.artifact, each.history, each.mark, reading, self._monotonic)
        # What has changed must be known soon, also where others want the processor.
        look = look if hurried else partial(_behind_others, look)
        found = None
        async with anyio.create_task_group() as tasks:
            if not hurried:
                tasks.start_soon(self._call_off_when_changed, each, reading)
            with suppress(CalledOff):
                found = await _on_a_new_thread(look)
            tasks.cancel_scope.cancel()
        if found is None:
            return False
        each.history, outcome = found
        each.bytes_read = max(each.bytes_read, reading.bytes_read)
        self._tell.verified(each.target, outcome, each.history)
        self._say(each)
        return True

    async def _call_off_when_changed(self, each: _Watched, reading: PacedReading) -> None:
        while not await self._changes(each, each.target.interval_seconds):
            pass
        # Not when it has ended: a file system that hangs does not let it.
        each.history = each.history.seen_changed(self._monotonic())
        reading.call_off()

    async def _changes(self, each: _Watched, seconds: float) -> bool:
        """Whether the files change within that time; returns as soon as they do."""
        due = self._monotonic() + seconds
        while (left := due - self._monotonic()) > 0:
            await anyio.sleep(min(each.target.poll_seconds, left))
            if await self._mark(each) != each.mark:
                return True
        return False

    async def _mark(self, each: _Watched) -> bytes | None:
        return await to_thread.run_sync(marked, each.artifact, limiter=each.limiter, abandon_on_cancel=True)

    def _say(self, each: _Watched) -> None:
        before, each.told = each.told, each.state(self._monotonic())
        if each.told is not before:
            self._tell.changed(each.target, before, each.told, each.history)

    def _now(self, ask: Callable[[float], T]) -> T:
        return ask(self._monotonic())


async def _on_a_new_thread(call: Callable[[], T]) -> T:
    """One that was used before may have stepped back for good."""
    threads = ThreadPoolExecutor(1, "verifying")
    try:
        return await asyncio.wrap_future(threads.submit(call))
    finally:
        threads.shutdown(wait=False)


def _behind_others(call: Callable[[], T]) -> T:
    step_back()
    return call()
