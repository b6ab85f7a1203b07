"""How a run under way is: watched in the target, looked at where watching fails, and written down when it changes.

Every replica watches; whoever looks after the model writes. A run that ended while nobody was there is found all the
same, as the record says which one is under way.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

import anyio

from service.domain.errors import DriftwardenError, TriggerRejected, TriggerUnavailable
from service.domain.models import ModelName
from service.domain.retraining import transitions
from service.domain.retraining.record import Entry, Line, Phase, Underway
from service.domain.retraining.run import Progress, RunSeen
from service.domain.sharing import Outlook
from service.ports import Clock, Registrations, RetrainingRecord, Runs
from service.telemetry.metrics import Metrics

LOOK_SECONDS = 60.0
"""A run of which nothing was told for so long is looked at: what does not come over a watch is not missed for ever."""
RETRY_SECONDS = 2.0
GRACE_SECONDS = 5.0
"""Whoever releases a run through the service has so long to write down who it was, before it is taken to be released
past it."""
KEPT = 10_000
"""Runs of which it is remembered how they were; old ones stay in the target for days."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Known:
    seen: RunSeen | None
    """None: it could not be looked at."""
    at: float
    """On the monotonic clock."""
    since: float
    """When it was first seen to be so."""


class FollowRuns:
    """One instance a process."""

    def __init__(
        self,
        runs: Runs,
        record: RetrainingRecord,
        registrations: Registrations,
        clock: Clock,
        monotonic: Callable[[], float],
        metrics: Metrics,
    ) -> None:
        self._runs = runs
        self._record = record
        self._registrations = registrations
        self._clock = clock
        self._monotonic = monotonic
        self._metrics = metrics
        self._known: OrderedDict[tuple[ModelName, str], _Known] = OrderedDict()
        self._troubled: set[str] = set()

    async def run(self, changed: Callable[[ModelName], None]) -> None:
        """Watch until cancelled; `changed` is to see to it that the model is looked at soon."""

        async def note(seen: RunSeen) -> None:
            self._no_trouble("watched")
            self._note(seen.model, seen.name, seen)
            changed(seen.model)

        while True:
            begun = self._monotonic()
            try:
                await self._runs.watch(note)
            except Exception as error:  # noqa: BLE001 - whatever the target says must not end the process
                if self._monotonic() - begun >= LOOK_SECONDS:
                    self._no_trouble("watched")  # nothing was told, and nothing was wrong until now
                self._trouble("watched", error)
            await anyio.sleep(RETRY_SECONDS)

    async def __call__(self, model: ModelName) -> Outlook:
        """Write down what has changed of one model's run. Raises `StoreUnavailable`, `CorruptedState`."""
        newest = await self._record.newest(model)
        run = transitions.state_of(newest).underway
        if run is None or run.phase not in {Phase.SUSPENDED, Phase.RUNNING}:
            return Outlook.NOTHING
        entry = await self._entry(newest, run)
        if entry is None:
            return Outlook.LATER
        await self._record.append(entry)
        return Outlook.MORE

    async def _entry(self, newest: Line | None, run: Underway) -> Entry | None:
        """What follows; None while the run is as the record says, or nobody can tell."""
        known = await self._how_it_is(run)
        seen = known.seen
        if seen is None:
            return None
        if seen.progress.is_over:
            registration = await self._registrations.newest(run.request.model)
            renews = registration is not None and registration.plan.response.new_reference is not None
            seen = replace(seen, detail=seen.detail[: transitions.MAXIMUM_REASON])
            return transitions.ended(newest, seen, self._clock(), renews=renews)
        goes_on = run.phase is Phase.SUSPENDED and seen.progress is Progress.RUNNING
        if goes_on and self._monotonic() - known.since >= GRACE_SECONDS:
            return transitions.released(newest, seen.name, self._clock(), by="")
        return None

    async def _how_it_is(self, run: Underway) -> _Known:
        model, name = run.request.model, run.request.name
        known = self._known.get((model, name))
        if known is None or self._monotonic() - known.at >= LOOK_SECONDS:
            known = await self._looked(model, name)
        seen = known.seen
        if seen is not None and run.uid and seen.uid and seen.uid != run.uid:
            gone = replace(seen, progress=Progress.GONE, detail="it was deleted, and another object has its name")
            return replace(known, seen=gone)
        return known

    async def _looked(self, model: ModelName, name: str) -> _Known:
        try:
            seen = await self._runs.look(model, name)
        except (TriggerUnavailable, TriggerRejected) as error:
            self._trouble("looked at", error)
            return self._note(model, name, None)
        self._no_trouble("looked at")
        return self._note(model, name, seen)

    def _note(self, model: ModelName, name: str, seen: RunSeen | None) -> _Known:
        now, before = self._monotonic(), self._known.pop((model, name), None)
        since = before.since if before is not None and _progress(before.seen) is _progress(seen) else now
        known = self._known[model, name] = _Known(seen, now, since)
        if len(self._known) > KEPT:
            self._known.popitem(last=False)
        return known

    def _trouble(self, what: str, error: Exception) -> None:
        self._metrics.evaluation_failures.labels("", type(error).__name__).inc()
        if what not in self._troubled:  # once, not once a try
            exc_info = None if isinstance(error, DriftwardenError) else error
            _log.error("runs cannot be %s now, which will be tried again: %s", what, error, exc_info=exc_info)
        self._troubled.add(what)

    def _no_trouble(self, what: str) -> None:
        if what in self._troubled:
            _log.info("runs can be %s again", what)
            self._troubled.discard(what)


def _progress(seen: RunSeen | None) -> Progress | None:
    return None if seen is None else seen.progress
