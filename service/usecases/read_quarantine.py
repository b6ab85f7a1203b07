"""Show the rows of a model that were flagged lately."""

from collections.abc import Sequence

from service.domain.models import BatchPosition, ModelName
from service.domain.quarantine import QuarantinedBatch
from service.ports import Quarantine
from service.usecases.registered_models import RegisteredModels


class ReadQuarantine:
    """Reads only."""

    def __init__(self, models: RegisteredModels, quarantine: Quarantine) -> None:
        self._models = models
        self._quarantine = quarantine

    async def __call__(self, model: ModelName, limit: int, before: BatchPosition | None) -> Sequence[QuarantinedBatch]:
        """Newest first, those of lower positions than `before`. Raises `UnknownModel`, `StoreUnavailable`."""
        await self._models.current(model)
        return await self._quarantine.latest(model, limit, before)
