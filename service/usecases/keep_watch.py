"""The two loops of a process: judge windows as they fill, deliver actions until they are off our hands."""

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from service.domain.errors import DriftwardenError
from service.domain.models import ModelName
from service.ports import Registrations
from service.telemetry.metrics import Metrics

_log = logging.getLogger(__name__)
T = TypeVar("T")

TOGETHER_SECONDS = 0.02
"""After the first sign of new rows, wait for those just behind: one look at the log instead of one a batch."""


class KeepWatch:
    """Every model gets one window a round, so that a busy one cannot hold up the others."""

    def __init__(
        self,
        registrations: Registrations,
        evaluate: Callable[[ModelName], Awaitable[bool]],
        deliver: Callable[[ModelName], Awaitable[None]],
        poll_seconds: float,
        metrics: Metrics,
    ) -> None:
        self._registrations = registrations
        self._evaluate = evaluate
        self._deliver = deliver
        self._poll_seconds = poll_seconds
        self._metrics = metrics
        self._rows_came = anyio.Event()
        self._verdicts_came = anyio.Event()
        self._troubled: set[str] = set()

    def rows_came(self, model: ModelName) -> None:  # noqa: ARG002 - the loop looks at every model anyway
        """Wake the evaluation; called for every batch, so it must cost nothing."""
        self._rows_came.set()

    async def run(self) -> None:
        """Until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._evaluate_all)
            tasks.start_soon(self._deliver_all)

    async def _evaluate_all(self) -> None:
        while True:
            self._rows_came = anyio.Event()
            more = False
            for model in await self._models():
                more = await self._attempt("evaluation", model, self._evaluate(model)) is True or more
            if more:
                self._verdicts_came.set()
                continue
            await self._wait(self._rows_came)

    async def _deliver_all(self) -> None:
        while True:
            self._verdicts_came = anyio.Event()
            for model in await self._models():
                await self._attempt("delivery", model, self._deliver(model))
            await self._wait(self._verdicts_came)

    async def _wait(self, event: anyio.Event) -> None:
        with anyio.move_on_after(self._poll_seconds):
            await event.wait()
            await anyio.sleep(TOGETHER_SECONDS)

    async def _models(self) -> list[ModelName]:
        models = await self._attempt("listing of models", ModelName(""), self._registrations.models())
        return list(models) if models is not None else []

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
            # Faults may come at once and for ever (a corrupted reference): never spin.
            await anyio.sleep(min(self._poll_seconds, 0.2))
            return None
        if trouble in self._troubled:
            self._troubled.discard(trouble)
            _log.info("%s works again", trouble.strip())
        return result
