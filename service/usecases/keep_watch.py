"""The two loops of a process: judge windows as they fill, deliver actions until they are off our hands."""

import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import anyio

from service.domain.errors import DriftwardenError
from service.domain.models import ModelName
from service.domain.sharing import Outlook
from service.ports import Registrations
from service.telemetry.metrics import Metrics
from service.usecases.share_work import SharedWork

_log = logging.getLogger(__name__)
T = TypeVar("T")

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
        self._metrics = metrics
        self._troubled: set[str] = set()

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

    async def _attempt(self, what: str, model: ModelName, doing: Awaitable[T]) -> T | None:
        """One step for one model; whatever goes wrong with it stays with it and is tried again in the next round."""
        trouble = f"{what} {model}"
        try:
            result = await doing
        except Exception as error:  # noqa: BLE001 - the loop must outlive every fault of one model
            label = self._metrics.model(model) if model else ""
            self._metrics.evaluation_failures.labels(label, type(error).__name__).inc()
            if trouble not in self._troubled:  # once, not once a round
                expected = isinstance(error, DriftwardenError)
                _log.error("%s fails and will be tried again: %s", trouble.strip(), error, exc_info=not expected)
                self._troubled.add(trouble)
            return None
        if trouble in self._troubled:
            self._troubled.discard(trouble)
            _log.info("%s works again", trouble.strip())
        return result


class _Loop:
    """One kind of work, and what wakes it."""

    def __init__(self, task: Task) -> None:
        self.work = task.work
        self.look = task.look
        self.follow = task.follow
        self.woken = anyio.Event()

    def came(self, model: ModelName) -> None:
        if self.work.came(model):
            self.woken.set()
