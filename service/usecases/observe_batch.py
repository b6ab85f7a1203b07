"""Take a batch of observations: check it against the registration, append it to the log, and say so."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from service.domain.errors import DriftwardenError, Fault, InvalidBatch
from service.domain.models import Batch, BatchPosition, ModelName
from service.ports import Clock, ObservationLog
from service.telemetry.metrics import Metrics
from service.telemetry.tracing import Tracing, current_traceparent
from service.usecases.registered_models import RegisteredModels

Notify = Callable[[ModelName], None]


@dataclass(frozen=True, slots=True)
class Observations:
    """A batch as it came in, before it is known to fit."""

    rows: NDArray[np.float64]
    """Shape (rows, columns), finite."""
    features: Sequence[str] | None
    """Names of the columns, if the sender gave them; they may be in any order."""
    observed_at: datetime | None
    times: NDArray[np.int64] | None = None
    """Event time of each row, if the sender gave them."""


class ObserveBatch:
    """Returns when the batch is as safe as its acknowledgement promises; never waits for a test."""

    def __init__(
        self,
        models: RegisteredModels,
        log: ObservationLog,
        notify: Notify,
        clock: Clock,
        metrics: Metrics,
        tracing: Tracing,
    ) -> None:
        self._models = models
        self._log = log
        self._notify = notify
        self._clock = clock
        self._metrics = metrics
        self._tracing = tracing

    async def __call__(
        self,
        model: ModelName,
        identifier: str,
        observations: Observations,
        traceparent: str | None = None,
        digest: bytes | None = None,
    ) -> BatchPosition | None:
        """`digest` is the body's, under an identifier of the sender's.

        Raises `UnknownModel`, `InvalidBatch`, `ConflictingBatch`, `Overloaded`, `StoreUnavailable`.
        """
        with self._tracing.span("observe_batch", parent=traceparent, attributes={"driftwarden.model": model}) as span:
            registration = await self._models.current(model)
            label = self._metrics.model(model)
            try:
                rows = fitting_rows(observations, registration.features)
                observed_at = observations.observed_at or self._clock()
                trace, times = current_traceparent(traceparent), observations.times
                batch = Batch(identifier, rows, observed_at, trace, registration.revision, times)
                position = await self._log.append(model, batch, digest)
            except DriftwardenError as error:
                self._metrics.batches.labels(label, type(error).__name__).inc()
                raise
            span.set_attribute("driftwarden.rows", len(rows))
            self._metrics.batches.labels(label, "accepted").inc()
            self._metrics.rows.labels(label).inc(len(rows))
            self._notify(model)
            return position


def fitting_rows(observations: Observations, features: tuple[str, ...]) -> NDArray[np.float64]:
    """The rows with their columns in the registration's order; raises `InvalidBatch`."""
    rows = observations.rows
    if observations.features is None:
        if rows.shape[1] != len(features):
            message = f"each row has {rows.shape[1]} values; this model has {len(features)} features"
            raise InvalidBatch(Fault("rows", message))
        return rows
    named = tuple(observations.features)
    if named == features and rows.shape[1] == len(named):
        return rows
    return _reordered(rows, named, features)


def _reordered(rows: NDArray[np.float64], named: tuple[str, ...], features: tuple[str, ...]) -> NDArray[np.float64]:
    if rows.shape[1] != len(named):
        message = f"each row has {rows.shape[1]} values, but {len(named)} features are named"
        raise InvalidBatch(Fault("rows", message))
    column_of = {name: column for column, name in enumerate(named)}
    faults = [Fault("features", f"feature {name!r} is missing") for name in features if name not in column_of]
    # By place, not by name: what the sender called it is the sender's data.
    faults += [
        Fault(f"features[{column}]", "is not a feature of this model, or is named twice")
        for column, name in enumerate(named)
        if name not in features or column_of[name] != column
    ]
    if faults:
        raise InvalidBatch(*faults[:20])
    return np.ascontiguousarray(rows[:, [column_of[name] for name in features]])
