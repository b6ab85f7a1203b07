"""Take what a logger copied of an inference: its request is observed and, where features are outputs, joined by the
response."""

from collections.abc import Callable
from enum import StrEnum

from service.domain.models import ModelName
from service.domain.pairing import Half, Pairs, Rows, Side, alone, joined, wants
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

    async def __call__(self, model: ModelName, identifier: str, half: Half) -> Outcome:
        """Raises `UnknownModel`, `InvalidBatch`, `ConflictingBatch`, `Overloaded`, `StoreUnavailable`."""
        features = (await self._models.current(model)).features
        self._count_unpaired(self._pairs.give_up(self._monotonic()))
        other = self._pairs.take(model, identifier, half.side.other)
        if half.side is Side.REQUEST:
            rows = alone(features, half)
            if rows is None and other is not None:
                rows = joined(features, half, other)
            request = half
        else:
            if other is None and not wants(features, half):
                return Outcome.IGNORED
            rows = None if other is None else joined(features, other, half)
            request = half if other is None else other
        if rows is None:
            self._count_unpaired(self._pairs.keep(model, identifier, half, self._monotonic()))
            return Outcome.WAITS
        await self._append(model, identifier, features, rows, request)
        return Outcome.OBSERVED

    async def _append(
        self, model: ModelName, identifier: str, features: tuple[str, ...], rows: Rows, request: Half
    ) -> None:
        """Under the request's name, however it was completed: sent again, it counts once."""
        # With names, so that a registration that has changed meanwhile is noticed.
        observations = Observations(rows, features, request.observed_at)
        name = f"{identifier}:{Side.REQUEST}"
        await self._observe(model, name, observations, request.traceparent, request.digest)

    def _count_unpaired(self, gone: int) -> None:
        if gone:
            self._metrics.unpaired_events.inc(gone)
