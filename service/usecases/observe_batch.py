"""Take a batch of observations: check it against the registration, append it to the log, and say so.

Where the plan keeps no rows, what is appended are summaries of them: made here, or by the sender.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

import numpy as np
from anyio import to_thread
from numpy.typing import NDArray

from detectors.errors import InvalidDocument, ReferenceMismatch
from service.domain.companion import predictions_in
from service.domain.errors import DriftwardenError, Fault, InvalidBatch, OutdatedSummaries
from service.domain.fitted_plan import FittedPlan
from service.domain.matching import NO_MISMATCHES, Matched, match
from service.domain.models import Batch, BatchPosition, ModelName
from service.domain.registration import Registration
from service.domain.schema import Mismatches
from service.domain.sent_columns import SentColumns, Texts, cell
from service.domain.summaries import Pane, decode_panes, encode_panes, panes_of
from service.domain.windows import NO_ROWS, event_times, moment
from service.ports import Appends, Clock
from service.telemetry.metrics import Metrics
from service.telemetry.tracing import Tracing, current_traceparent
from service.usecases.fitted_models import FittedModels
from service.usecases.registered_models import RegisteredModels

MATCHED_ON_THE_LOOP = 8_192
"""Values. Handing fewer to a thread costs more than matching them."""
Notify = Callable[[ModelName], None]


@dataclass(frozen=True, slots=True)
class Observations:
    """A batch as it came in, before it is known to fit."""

    rows: NDArray[np.float64]
    """Shape (rows, columns), NaN where a value is missing, otherwise finite."""
    features: Sequence[str] | None
    """Names of the columns, if the sender gave them; they may be in any order."""
    observed_at: datetime | None
    times: NDArray[np.int64] | None = None
    """Event time of each row, if the sender gave them."""
    texts: Mapping[int, Texts] = field(default_factory=dict)
    """These, and what follows, are those of `SentColumns`."""
    place: Callable[[int, int], str] = cell
    matched: frozenset[str] | None = None

    @property
    def columns(self) -> SentColumns:
        """Without times."""
        return SentColumns(self.rows, self.features, self.texts, self.place, self.matched)


@dataclass(frozen=True, slots=True)
class Taken:
    """A batch that is acknowledged."""

    rows: int
    position: BatchPosition | None
    """Its place in the log; None where it was acknowledged before it had one."""


_Make = Callable[[Registration], Awaitable[tuple[Batch, int, Mismatches]]]
"""Of what came, the batch to append under a registration, its rows, and what of it does not match the schema."""


class ObserveBatch:
    """Returns when the batch is as safe as its acknowledgement promises; never waits for a test."""

    def __init__(
        self,
        models: RegisteredModels,
        fitted: FittedModels,
        log: Appends,
        notify: Notify,
        clock: Clock,
        metrics: Metrics,
        tracing: Tracing,
    ) -> None:
        self._models = models
        self._fitted = fitted
        self._log = log
        self._notify = notify
        self._clock = clock
        self._metrics = metrics
        self._tracing = tracing

    async def keeps_text(self, model: ModelName) -> bool:
        """Whether text in a batch of this model has to be read. Raises `UnknownModel`, `StoreUnavailable`."""
        return (await self._models.current(model)).keeps_text

    async def __call__(
        self,
        model: ModelName,
        identifier: str,
        observations: Observations,
        traceparent: str | None = None,
        digest: bytes | None = None,
        sender: bytes | None = None,
    ) -> BatchPosition | None:
        """`digest` is the body's, under an identifier of the sender's; `sender` says whose that is.

        Raises `UnknownModel`, `InvalidBatch`, `ConflictingBatch`, `Overloaded`, `StoreUnavailable`.
        """

        async def make(registration: Registration) -> tuple[Batch, int, Mismatches]:
            rows, mismatches, times = observations.rows, NO_MISMATCHES, observations.times
            if not is_as_it_is_kept(observations, registration):
                matched = await matched_rows(observations, registration)
                rows, mismatches = matched.rows, matched.mismatches
                times = times if matched.times is None else matched.times
            observed_at = observations.observed_at or self._clock()
            trace = current_traceparent(traceparent)
            batch = Batch(
                identifier,
                rows,
                observed_at,
                trace,
                registration.revision,
                times,
                mismatches=mismatches.total,
                sender=sender,
            )
            return await self._without_rows(batch, registration), len(rows), mismatches

        return (await self._taken(model, make, traceparent, digest)).position

    async def summarised(
        self,
        model: ModelName,
        identifier: str,
        document: bytes,
        traceparent: str | None = None,
        digest: bytes | None = None,
    ) -> Taken:
        """The same for panes of a sender's own making.

        Raises `UnknownModel`, `InvalidBatch`, `OutdatedSummaries`, `ConflictingBatch`, `Overloaded`,
        `StoreUnavailable`.
        """

        async def make(registration: Registration) -> tuple[Batch, int, Mismatches]:
            if registration.plan.window.keep == "rows":
                message = "this model's plan keeps rows: send observations, or set its window.keep to summaries"
                raise InvalidBatch(Fault("", message))
            fitted = await self._fitted.fitted(registration)
            panes = await to_thread.run_sync(_panes, fitted, document)
            trace = current_traceparent(traceparent)
            begins = moment(min(pane.begins_ms for pane in panes))
            batch = Batch(identifier, NO_ROWS, begins, trace, registration.revision, panes=document)
            return batch, sum(pane.summaries.rows for pane in panes), NO_MISMATCHES

        return await self._taken(model, make, traceparent, digest)

    async def _taken(self, model: ModelName, make: _Make, traceparent: str | None, digest: bytes | None) -> Taken:
        with self._tracing.span("observe_batch", parent=traceparent, attributes={"driftwarden.model": model}) as span:
            await self._models.refuse_companion(model)
            registration = await self._models.current(model)
            label = self._metrics.model(model)
            try:
                batch, rows, mismatches = await make(registration)
                if digest is not None and registration.plan.performance is not None:
                    batch = replace(batch, predictions=predictions_in(registration, batch.rows))
                position = await self._log.append(model, batch, digest)
            except DriftwardenError as error:
                self._metrics.batches.labels(label, type(error).__name__).inc()
                raise
            span.set_attribute("driftwarden.rows", rows)
            self._metrics.batches.labels(label, "accepted").inc()
            self._metrics.rows.labels(label).inc(rows)
            if mismatches is not NO_MISMATCHES:
                self._metrics.count_mismatches(label, mismatches)
            self._notify(model)
            return Taken(rows, position)

    async def _without_rows(self, batch: Batch, registration: Registration) -> Batch:
        """The batch itself, where the plan keeps rows."""
        if registration.plan.window.keep == "rows" or not len(batch.rows):
            return batch
        fitted = await self._fitted.fitted(registration)
        return await to_thread.run_sync(_summarised, fitted, batch)


def is_as_it_is_kept(observations: Observations, registration: Registration) -> bool:
    """Numbers without holes under a schema of numbers, in its order: the rule, and nothing has to be matched."""
    schema, rows, names = registration.schema, observations.rows, observations.features
    fits = schema.is_plain and not observations.texts and rows.shape[1] == len(schema.features)
    fits = fits and not observations.matched  # codes are no numbers
    return fits and (names is None or tuple(names) == schema.features) and not np.isnan(rows).any()


async def matched_rows(observations: Observations, registration: Registration, *, refuses: bool = True) -> Matched:
    """The rows as the log holds them; where much has to be looked at, on a thread. Raises `InvalidBatch`.

    `refuses` False: missing values are taken, whatever the plan says.
    """
    plan, schema = registration.plan, registration.schema
    refuses_missing = refuses and plan.missing_values == "refuse"
    if observations.rows.size <= MATCHED_ON_THE_LOOP:
        return match(observations.columns, schema, plan.schema_mismatch, refuses_missing=refuses_missing)
    matching = partial(match, observations.columns, schema, plan.schema_mismatch, refuses_missing=refuses_missing)
    return await to_thread.run_sync(matching)


def row_times(observations: Observations, matched: Matched) -> NDArray[np.int64] | None:
    """Event times, by what the sender says; None where nothing is said."""
    if matched.times is not None or observations.times is not None or observations.observed_at is None:
        return observations.times if matched.times is None else matched.times
    return np.full(len(matched.rows), round(observations.observed_at.timestamp() * 1000), dtype=np.int64)


def _summarised(fitted: FittedPlan, batch: Batch) -> Batch:
    panes = panes_of(fitted, batch.rows, event_times(batch), fitted.plan.window.every_ms)
    return replace(batch, rows=NO_ROWS, times=None, panes=encode_panes(panes))


def _panes(fitted: FittedPlan, document: bytes) -> Sequence[Pane]:
    try:
        panes = decode_panes(fitted, document)
    except ReferenceMismatch as error:
        message = "the summaries are of another reference or plan than the model's current one: fetch it, and summarise"
        raise OutdatedSummaries(f"{message} the same rows anew") from error
    except InvalidDocument as error:
        raise InvalidBatch(Fault("", f"these are no summaries: {error}")) from error
    every_ms = fitted.plan.window.every_ms
    faults = [
        Fault(f"panes[{place}]", "crosses the boundary of a window: begin a new pane at every multiple of its length")
        for place, pane in enumerate(panes)
        if every_ms is not None and pane.crosses(every_ms)
    ]
    if faults:
        raise InvalidBatch(*faults[:20])
    return panes
