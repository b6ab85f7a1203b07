"""Join labels that come late with the predictions of their batches; what comes of it goes into the companion's log."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import anyio
import numpy as np
from numpy.typing import NDArray

from service.domain.companion import companion_of, is_companion, label_faults, outcomes
from service.domain.errors import ConflictingBatch, DriftwardenError, Fault, InvalidLabels, UnknownModel
from service.domain.models import Batch, KeptPredictions, ModelName
from service.domain.performance import PerformancePlan
from service.ports import Appends, Predictions
from service.telemetry.metrics import Metrics
from service.telemetry.tracing import Tracing, current_traceparent
from service.usecases.registered_models import RegisteredModels

_MAXIMUM_FAULTS = 20
_AT_ONCE = 64
Notify = Callable[[ModelName], None]


@dataclass(frozen=True, slots=True)
class BatchLabels:
    """What was true, of each row of one batch."""

    identifier: str
    """The name that the batch was sent under."""
    values: NDArray[np.float64]
    """NaN: of that row it is not known."""


@dataclass(frozen=True, slots=True)
class Joined:
    """What became of them; places are of the batches' labels, from 0."""

    batches: int
    rows: int
    """Labels that were joined with a prediction."""
    unknown: tuple[int, ...]
    """No predictions are kept under these names: not yet, or not any more."""
    conflicting: tuple[int, ...]
    """Others were joined with these batches before; those count."""


class JoinLabels:
    """Sent again, labels count once: their batch has the same name in the companion's log as in the model's."""

    def __init__(
        self,
        models: RegisteredModels,
        predictions: Predictions,
        log: Appends,
        notify: Notify,
        metrics: Metrics,
        tracing: Tracing,
    ) -> None:
        self._models = models
        self._predictions = predictions
        self._log = log
        self._notify = notify
        self._metrics = metrics
        self._tracing = tracing

    async def __call__(self, model: ModelName, labels: Sequence[BatchLabels], traceparent: str | None = None) -> Joined:
        """All of them, or, where something is wrong with any, none.

        Raises `UnknownModel`, `InvalidLabels`, `Overloaded`, `StoreUnavailable`: then they are to be sent again.
        """
        with self._tracing.span("join_labels", parent=traceparent, attributes={"driftwarden.model": model}):
            asked = (await self._models.current(model)).plan.performance
            if asked is None:
                raise InvalidLabels(Fault("", "this model's plan does not ask for performance: put that in first"))
            companion = await self._companion(model)
            _refuse(_value_faults(asked, labels))
            kept = await self._predictions.of(model, [each.identifier for each in labels])
            _refuse(_length_faults(labels, kept))
            unknown = tuple(place for place, each in enumerate(labels) if each.identifier not in kept)
            made = [
                (place, _batch(asked, each, kept[each.identifier]))
                for place, each in enumerate(labels)
                if each.identifier in kept
            ]
            told = [(place, batch) for place, batch in made if len(batch.rows)]
            conflicting = await self._append(companion, told)
        joined = [batch for place, batch in told if place not in conflicting]
        self._count(model, len(joined), len(unknown), len(conflicting))
        if joined:
            self._notify(companion)
        return Joined(len(joined), sum(len(batch.rows) for batch in joined), unknown, tuple(sorted(conflicting)))

    async def _companion(self, model: ModelName) -> ModelName:
        companion = companion_of(model)
        try:
            if is_companion(await self._models.current(companion)):
                return companion
        except UnknownModel as error:
            raise UnknownModel(f"model {model!r} has no companion yet: PUT its plan again") from error
        raise InvalidLabels(Fault("", f"another model has the name {companion!r}, which this one's companion needs"))

    async def _append(self, companion: ModelName, batches: Sequence[tuple[int, Batch]]) -> set[int]:
        """Places of those that conflict with others. Some at once, so that the store gets them together."""
        conflicting, failed = set[int](), list[DriftwardenError]()

        async def append(place: int, batch: Batch) -> None:
            try:
                await self._log.append(companion, batch, hashlib.sha256(batch.rows.tobytes()).digest())
            except ConflictingBatch:
                conflicting.add(place)
            except DriftwardenError as error:
                failed.append(error)

        for first in range(0, len(batches), _AT_ONCE):
            async with anyio.create_task_group() as tasks:
                for place, batch in batches[first : first + _AT_ONCE]:
                    tasks.start_soon(append, place, batch)
            if failed:
                raise failed[0]
        return conflicting

    def _count(self, model: ModelName, joined: int, unknown: int, conflicting: int) -> None:
        label = self._metrics.model(model)
        for outcome, batches in (("joined", joined), ("unknown", unknown), ("conflicting", conflicting)):
            self._metrics.labels.labels(label, outcome).inc(batches)


def _batch(asked: PerformancePlan, labels: BatchLabels, kept: KeptPredictions) -> Batch:
    rows = outcomes(asked, kept.values, labels.values)
    return Batch(labels.identifier, rows, kept.observed_at, current_traceparent())


def _value_faults(asked: PerformancePlan, labels: Sequence[BatchLabels]) -> list[Fault]:
    faults, seen = list[Fault](), set[str]()
    for place, each in enumerate(labels):
        if each.identifier in seen:
            faults.append(Fault(f"labels[{place}].id", "is named before: send a batch's labels together"))
        seen.add(each.identifier)
        faults += label_faults(asked, each.values, f"labels[{place}].values")
    return faults


def _length_faults(labels: Sequence[BatchLabels], kept: Mapping[str, KeptPredictions]) -> list[Fault]:
    return [
        Fault(f"labels[{place}].values", "must be as many as the batch has rows: null where one is not known")
        for place, each in enumerate(labels)
        if each.identifier in kept and len(kept[each.identifier].values) != len(each.values)
    ]


def _refuse(faults: Sequence[Fault]) -> None:
    if faults:
        raise InvalidLabels(*faults[:_MAXIMUM_FAULTS])
