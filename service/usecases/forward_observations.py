"""Forward a model's next rows to the central service: read the log from where it is forwarded, fold, send, note.

What is sent is written down first, so that after any crash the same span goes out again under the same name; what is
acknowledged is written down after, and only then may the log forget it.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from anyio import CapacityLimiter, to_thread

from service.domain.errors import ParcelRefused, ParcelTooLarge
from service.domain.forwarding import (
    Gathered,
    Gathering,
    Parcel,
    Progress,
    Sending,
    keeps_summaries,
    parcel_name,
    room,
    rows_document,
    summaries_document,
)
from service.domain.models import LoggedBatch, ModelName, arrival
from service.domain.registration import Registration, arrangement
from service.domain.windows import NO_ROWS, RecentIdentifiers
from service.ports import Central, ForwardProgress, ObservationLog, Registrations
from service.telemetry.metrics import Metrics
from service.usecases.fetched_models import FetchedModels
from service.usecases.summarising_plans import SummarisingPlans

READ_BATCHES = 256

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is done at once."""

    pane_rows: int
    """Of one pane, at the most."""
    horizon: int
    """Batches within which a repeated one is noticed."""
    limiter: CapacityLimiter
    """Spans that are folded at the same time."""


class ForwardObservations:
    """One instance a process; not to be called for the same model twice at the same time."""

    def __init__(
        self,
        registrations: Registrations,
        models: FetchedModels,
        log: ObservationLog,
        progress: ForwardProgress,
        central: Central,
        plans: SummarisingPlans,
        metrics: Metrics,
        bounds: Bounds,
    ) -> None:
        self._registrations = registrations
        self._models = models
        self._log = log
        self._progress = progress
        self._central = central
        self._plans = plans
        self._metrics = metrics
        self._bounds = bounds
        self._most_rows: dict[ModelName, int] = {}
        """Of models whose parcels were too large for the central service."""

    async def __call__(self, model: ModelName) -> bool:
        """Forward one pane, if there is one; whether there may be more at once.

        Raises `CentralUnavailable`, `UnknownModel`, `StoreUnavailable`, `CorruptedState`: nothing is lost, and the next
        call begins where this one did.
        """
        label = self._metrics.model(model)
        self._metrics.log_batches.labels(label).set(await self._log.length(model))
        progress = await self._progress.of(model)
        registration = await self._registration(model, progress.sending)
        gathered = await self._gather(registration, progress)
        oldest = None if gathered.oldest is None else arrival(gathered.oldest) / 1000
        self._metrics.show_oldest_waiting(model, oldest)
        if gathered.is_nothing:
            return False
        if len(gathered.rows):
            sending = Sending(gathered.end, registration.revision)
            if progress.sending != sending:
                await self._progress.record(model, replace(progress, sending=sending))
            await self._send(registration, gathered, replace(progress, sending=sending))
        await self._progress.record(model, Progress(gathered.end))
        if not gathered.full:  # or else the next call says what waits
            self._metrics.show_oldest_waiting(model, None)
        self._count(model, label, gathered)
        await self._log.forget_before(model, gathered.end.position, 0)
        return gathered.full

    async def _registration(self, model: ModelName, sending: Sending | None) -> Registration:
        """The one under which a span was sent already, or the newest."""
        if sending is not None:
            same = await self._registrations.revision(model, sending.revision)
            if same is not None:
                return same
        newest = await self._registrations.newest(model)
        return newest if newest is not None else await self._models.refresh(model)

    async def _gather(self, registration: Registration, progress: Progress) -> Gathered:
        model, start = registration.model, progress.done
        horizon, planned = self._bounds.horizon, self._bounds.pane_rows
        seen = await self._log.recent_identifiers(model, start.position, horizon)
        most = min(planned, self._most_rows.get(model, planned))
        until = None if progress.sending is None else progress.sending.end
        recent = RecentIdentifiers(horizon, seen)
        gathering = Gathering(len(registration.features), start, recent, room(registration, most), until)
        arranged = _Arranged(self._registrations, registration)
        while not gathering.ended:
            batches = await self._log.read(model, gathering.position, READ_BATCHES)
            if not batches:
                break
            for logged in batches:
                if not gathering.ended:
                    gathering.take(await arranged(logged))
        return gathering.gathered()

    async def _send(self, registration: Registration, gathered: Gathered, progress: Progress) -> None:
        model = registration.model
        kind: Literal["rows", "summaries"] = "summaries" if keeps_summaries(registration) else "rows"
        fold = await self._folding(registration)
        body = await to_thread.run_sync(fold, gathered, limiter=self._bounds.limiter)
        name = parcel_name(await self._progress.identity(), gathered, registration)
        try:
            await self._central.deliver(model, Parcel(name, kind, body, gathered.traceparent))
        except ParcelTooLarge:
            if kind == "rows":  # summaries are as large of a few rows
                # Refused before it was read: nothing of it is there, so that it may be cut anew.
                self._most_rows[model] = max(1, len(gathered.rows) // 2)
                await self._progress.record(model, replace(progress, sending=None))
            raise
        except ParcelRefused:
            await self._prepare_anew(registration, gathered, progress)
            raise

    async def _prepare_anew(self, refused: Registration, gathered: Gathered, progress: Progress) -> None:
        """The same rows, next time as the central service wants them now; nothing changes if it wants them so."""
        newest = await self._models.refresh(refused.model)
        if newest.revision == refused.revision:
            return
        # Rows keep their name, and with it their span. Summaries get another one, and fit another window.
        rows_again = not (keeps_summaries(refused) or keeps_summaries(newest))
        again = Sending(gathered.end, newest.revision) if rows_again else None
        await self._progress.record(refused.model, replace(progress, sending=again))

    async def _folding(self, registration: Registration) -> Callable[[Gathered], bytes]:
        if not keeps_summaries(registration):
            return partial(rows_document, registration)
        return partial(summaries_document, registration, await self._plans.fitted(registration))

    def _count(self, model: ModelName, label: str, gathered: Gathered) -> None:
        if gathered.dropped.misfits:
            message = (
                "%d acknowledged batches of model %s are dropped: the model has other features than when they came"
            )
            _log.warning(message, gathered.dropped.misfits, model)
        self._metrics.dropped_batches.labels(label, "repeated").inc(gathered.dropped.duplicates)
        self._metrics.dropped_batches.labels(label, "misfit").inc(gathered.dropped.misfits)
        if len(gathered.rows):
            self._metrics.forwarded_panes.labels(label).inc()
            self._metrics.forwarded_rows.labels(label).inc(len(gathered.rows))
            self._metrics.forward_last_success.labels(label).set_to_current_time()


class _Arranged:
    """Batches with their columns in one registration's order, by the names under which they came."""

    def __init__(self, registrations: Registrations, wanted: Registration) -> None:
        self._registrations = registrations
        self._wanted = wanted
        self._columns: dict[int, list[int] | None] = {}

    async def __call__(self, logged: LoggedBatch) -> LoggedBatch:
        batch, wanted = logged.batch, self._wanted
        if batch.revision in {0, wanted.revision}:
            return logged
        if batch.revision not in self._columns:
            came_under = await self._registrations.revision(wanted.model, batch.revision)
            self._columns[batch.revision] = arrangement(wanted, came_under)
        columns = self._columns[batch.revision]
        if columns == list(range(batch.rows.shape[1])):
            return logged
        rows = batch.rows[:, columns] if columns is not None else NO_ROWS
        return replace(logged, batch=replace(batch, rows=rows))
