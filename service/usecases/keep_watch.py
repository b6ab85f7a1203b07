"""The two loops of a process: judge windows as they fill, deliver actions until they are off our hands."""

from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import anyio

from service.domain.models import ModelName
from service.domain.sharing import Outlook
from service.ports import Registrations
from service.telemetry.metrics import Metrics
from service.usecases.attempts import Attempts
from service.usecases.share_work import SharedWork

TOGETHER_SECONDS = 0.02
"""After the first sign of new rows, wait for those just behind: one look at the log instead of one a batch."""
RENEWALS = 3
"""Times that claims are renewed within their life."""
LEAVING_SECONDS = 1.0
"""Claims that cannot be released in time end by themselves."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often, and how many at once."""

    poll_seconds: float
    claim_seconds: float
    at_once: int
    """Models looked at side by side."""
    monotonic: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Task:
    """One kind of work: what is done for one model, and which models it is done for here."""

    look: Callable[[ModelName], Awaitable[Outlook]]
    follow: Callable[[ModelName], Awaitable[None]]
    """Shows what others have done."""
    work: SharedWork
    beside: Callable[[Callable[[ModelName], None]], Coroutine[Any, Any, None]] | None = None
    """Runs as long as the loop; is told how to have a model looked at soon."""


class KeepWatch:
    """Every model that has work gets one window a round, so that a busy one cannot hold up the others."""

    def __init__(
        self,
        registrations: Registrations,
        evaluation: Task,
        delivery: Task,
        forget: Callable[[ModelName], None],
        pace: Pace,
        metrics: Metrics,
    ) -> None:
        """`forget` gives up what is kept of a model that is watched no more."""
        self._registrations = registrations
        self._evaluation = _Loop(evaluation)
        self._delivery = _Loop(delivery)
        self._forget = forget
        self._watched: frozenset[ModelName] = frozenset()
        self._pace = pace
        self._attempt = Attempts(metrics)

    def rows_came(self, model: ModelName) -> None:
        """Wake the evaluation; called for every batch, so it must cost nothing."""
        self._evaluation.came(model)

    async def run(self) -> None:
        """Until cancelled; then others may go on at once."""
        loops = (self._evaluation, self._delivery)
        try:
            async with anyio.create_task_group() as tasks:
                for loop in loops:
                    tasks.start_soon(self._renew, loop.work)
                    tasks.start_soon(self._rounds, loop)
                    if loop.beside is not None:
                        tasks.start_soon(loop.beside, loop.came)
        finally:
            with anyio.move_on_after(LEAVING_SECONDS, shield=True):
                for loop in loops:
                    await self._attempt(f"leaving {loop.work.work}", ModelName(""), loop.work.leave())

    async def _renew(self, work: SharedWork) -> None:
        while True:
            await anyio.sleep(self._pace.claim_seconds / RENEWALS)
            await self._attempt(f"renewing claims of {work.work}", ModelName(""), work.renew())

    async def _rounds(self, loop: "_Loop") -> None:
        await self._attempt(f"renewing claims of {loop.work.work}", ModelName(""), loop.work.renew())
        next_survey = self._pace.monotonic()
        while True:
            loop.woken = anyio.Event()
            if self._pace.monotonic() >= next_survey:
                await self._survey(loop)
                next_survey = self._pace.monotonic() + self._pace.poll_seconds
            if await self._look(loop, await loop.work.take()):
                continue
            await self._wait(loop.woken, next_survey - self._pace.monotonic())

    async def _survey(self, loop: "_Loop") -> None:
        models = await self._attempt("listing of models", ModelName(""), self._registrations.models())
        if models is None:
            return
        progressed = await self._attempt(f"survey of {loop.work.work}", ModelName(""), loop.work.survey(models))
        if loop is self._evaluation:
            for model in self._watched.difference(models):
                self._forget(model)
            self._watched = frozenset(models)
        for model in progressed or ():
            await self._attempt("following", model, loop.follow(model))

    async def _look(self, loop: "_Loop", models: Sequence[ModelName]) -> bool:
        """Look at each of them once; whether there may be more at once."""
        waiting, more = iter(models), list[ModelName]()
        async with anyio.create_task_group() as tasks:
            for _ in range(min(self._pace.at_once, len(models))):
                tasks.start_soon(self._look_in_turn, loop, waiting, more)
        return bool(more)

    async def _look_in_turn(self, loop: "_Loop", waiting: Iterator[ModelName], more: list[ModelName]) -> None:
        for model in waiting:
            outlook = await self._attempt(loop.work.work, model, loop.look(model))
            # Faults may come at once and for ever (a corrupted reference): the next try is the next round's.
            outlook = outlook if outlook is not None else Outlook.FAILED
            loop.work.looked(model, outlook, self._pace.poll_seconds)
            if outlook is Outlook.MORE:
                more.append(model)
                if loop is self._evaluation:
                    self._delivery.came(model)

    async def _wait(self, event: anyio.Event, seconds: float) -> None:
        with anyio.move_on_after(max(0.0, seconds)):
            await event.wait()
            await anyio.sleep(TOGETHER_SECONDS)


class _Loop:
    """One kind of work, and what wakes it."""

    def __init__(self, task: Task) -> None:
        self.work = task.work
        self.look = task.look
        self.follow = task.follow
        self.beside = task.beside
        self.woken = anyio.Event()

    def came(self, model: ModelName) -> None:
        if self.work.came(model):
            self.woken.set()
