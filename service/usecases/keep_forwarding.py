"""The loops of a sidecar: each model's panes go out one after another, and registrations are asked for now and then."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import anyio
from anyio import to_thread
from anyio.abc import TaskGroup

from service.domain.errors import CentralRefused, CentralUnavailable, DriftwardenError, UnknownModel
from service.domain.models import ModelName
from service.ports import Registrations
from service.telemetry.metrics import Metrics
from service.usecases.backlog import Backlog
from service.usecases.deliver_actions import BackOff
from service.usecases.fetched_models import FetchedModels
from service.usecases.forward_observations import ForwardObservations

AT_ONCE = 4
"""Models that are forwarded side by side; each holds one pane in memory meanwhile."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pacing:
    """How long to wait for what."""

    back_off: BackOff
    refresh_seconds: float
    flush_seconds: float
    """At the end of the process, for what waits still."""
    jitter: Callable[[], float]
    """Between 0 and 1, another every time: sidecars that failed together do not come back together."""
    tidy: Callable[[], None]
    """To be called now and then, on a thread."""


class KeepForwarding:
    """What goes wrong with one model stays with it, and is tried again until it is well."""

    def __init__(
        self,
        registrations: Registrations,
        models: FetchedModels,
        backlog: Backlog,
        forward: ForwardObservations,
        pacing: Pacing,
        metrics: Metrics,
    ) -> None:
        self._registrations = registrations
        self._models = models
        self._backlog = backlog
        self._forward = forward
        self._pacing = pacing
        self._metrics = metrics
        self._slots = anyio.CapacityLimiter(AT_ONCE)
        self._followed: dict[ModelName, anyio.Event] = {}
        """Models that have a loop, and what ends when it does."""
        self._tasks: TaskGroup | None = None
        self._ending = anyio.Event()

    def rows_came(self, model: ModelName) -> None:
        """See that somebody is at it; called for every batch, so it must cost nothing."""
        if model not in self._followed:
            self._begin(model, at_once=False)

    def _begin(self, model: ModelName, *, at_once: bool) -> None:
        if self._tasks is not None:
            self._followed[model] = anyio.Event()
            self._tasks.start_soon(self._follow, model, at_once)

    async def run(self) -> None:
        """Until cancelled."""
        async with anyio.create_task_group() as self._tasks:
            begun = False
            while True:
                for model in tuple(self._followed) if begun else ():
                    await self._refresh(model)
                await to_thread.run_sync(self._pacing.tidy)
                begun = begun or await self._begin_with_what_is_kept()
                await anyio.sleep(self._pacing.refresh_seconds if begun else self._pacing.back_off.first)

    async def flush(self) -> None:
        """No more rows come in: forward what waits, within the time for it, and say what had to be left."""
        self._ending.set()
        self._backlog.hurry()
        with anyio.move_on_after(self._pacing.flush_seconds) as time:
            for ended in tuple(self._followed.values()):
                await ended.wait()
        if time.cancelled_caught:
            _log.warning(
                "rows that were not forwarded stay in this sidecar's store, and go out when it is started again"
            )

    async def _begin_with_what_is_kept(self) -> bool:
        try:
            await self._backlog.measure()
            for model in await self._registrations.models():
                if model not in self._followed:
                    self._begin(model, at_once=True)
        except DriftwardenError as error:
            _log.error("forwarding cannot begin, and is tried again: %s", error)
            return False
        return True

    async def _follow(self, model: ModelName, at_once: bool) -> None:
        failures = 0
        if not at_once:
            await self._backlog.due(model)
        while True:
            self._backlog.begin(model)
            wait = await self._attempt(model, failures)
            if wait is None:
                failures = 0
            elif wait > 0:
                failures += 1
                with anyio.move_on_after(wait):
                    await self._ending.wait() if not self._ending.is_set() else await anyio.sleep_forever()
            elif self._ending.is_set() and self._backlog.is_empty(model):
                self._followed[model].set()
                return
            else:
                failures = 0
                await self._backlog.due(model)

    async def _attempt(self, model: ModelName, failures: int) -> float | None:
        """Forward one pane. Seconds until the next attempt; 0: when the next pane is due; None: at once."""
        label = self._metrics.model(model)
        asked = None
        try:
            await self._backlog.measure()
            async with self._slots:
                more = await self._forward(model)
            await self._backlog.measure()
        except CentralRefused as error:
            self._metrics.refused_panes.labels(label).inc()
            self._say(failures, "the central service refuses rows of model %s, which wait: %s", model, error)
        except CentralUnavailable as error:
            asked = error.retry_after
            self._say(failures, "rows of model %s wait for the central service: %s", model, error)
        except UnknownModel as error:
            self._say(failures, "rows of model %s wait: %s", model, error)
        except Exception as error:  # noqa: BLE001 - the loop must outlive every fault of one model
            expected = isinstance(error, DriftwardenError)
            if not failures:
                _log.error("rows of model %s are not forwarded: %s", model, error, exc_info=not expected)
        else:
            if failures:
                _log.info("forwarding works again for model %s", model)
            return None if more else 0.0
        self._metrics.forward_failures.labels(label).inc()
        return self._pacing.back_off.after(failures + 1, asked) * (1.0 - self._pacing.jitter() / 2)

    def _say(self, failures: int, message: str, *arguments: object) -> None:
        """Once, not once an attempt."""
        if not failures:
            _log.warning(message, *arguments)

    async def _refresh(self, model: ModelName) -> None:
        try:
            await self._models.refresh(model)
        except DriftwardenError as error:
            _log.debug("the registration of model %s is not asked for anew: %s", model, error)
