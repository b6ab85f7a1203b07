"""Take what a logger copied of an inference: its request is observed and, where features are outputs, joined by the
response."""

from collections.abc import Callable
from enum import StrEnum

from service.domain.models import ModelName
from service.domain.pairing import Found, Half, Pairs, Side, alone, joined, named, wants
from service.domain.schema import Role
from service.telemetry.metrics import Metrics
from service.usecases.observe_batch import Observations, ObserveBatch
from service.usecases.registered_models import RegisteredModels


class Outcome(StrEnum):
    """What became of an event."""

    OBSERVED = "observed"
    WAITS = "waits"
    """For its other half."""
    IGNORED = "ignored"
    """Nothing of it is a feature of the model."""


class ObserveEvent:
    """Holds what waits for its other half: a request and its response meet only in the same process."""

    def __init__(
        self,
        models: RegisteredModels,
        observe: ObserveBatch,
        pairs: Pairs,
        monotonic: Callable[[], float],
        metrics: Metrics,
    ) -> None:
        self._models = models
        self._observe = observe
        self._pairs = pairs
        self._monotonic = monotonic
        self._metrics = metrics

    async def keeps_text(self, model: ModelName) -> bool:
        """Whether text in a half has to be read. Raises `UnknownModel`, `StoreUnavailable`."""
        return (await self._models.current(model)).keeps_text

    async def __call__(self, model: ModelName, identifier: str, half: Half) -> Outcome:
        """Raises `UnknownModel`, `InvalidBatch`, `ConflictingBatch`, `Overloaded`, `StoreUnavailable`."""
        schema = (await self._models.current(model)).schema
        features = schema.names(Role.FEATURE, Role.PREDICTION)
        predictions = schema.names(Role.PREDICTION)
        if half.side is Side.REQUEST:
            half = named(schema, half)
        self._count_unpaired(self._pairs.give_up(self._monotonic()))
        other = self._pairs.take(model, identifier, half.side.other)
        if half.side is Side.REQUEST:
            found = alone(features, half)
            if found is None and other is not None:
                found = joined(features, half, other, predictions)
            request = half
        else:
            if other is None and not wants(features, half, predictions):
                return Outcome.IGNORED
            found = None if other is None else joined(features, other, half, predictions)
            request = half if other is None else other
        if found is None:
            self._count_unpaired(self._pairs.keep(model, identifier, half, self._monotonic()))
            return Outcome.WAITS
        await self._append(model, identifier, features, found, request)
        return Outcome.OBSERVED

    async def _append(
        self, model: ModelName, identifier: str, features: tuple[str, ...], found: Found, request: Half
    ) -> None:
        """Under the request's name, however it was completed: sent again, it counts once."""
        # With names, so that a registration that has changed meanwhile is noticed.
        observations = Observations(found.rows, features, request.observed_at, texts=found.texts)
        name = f"{identifier}:{Side.REQUEST}"
        await self._observe(model, name, observations, request.traceparent, request.digest)

    def _count_unpaired(self, gone: int) -> None:
        if gone:
            self._metrics.unpaired_events.inc(gone)
