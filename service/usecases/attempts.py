"""One step of a loop that must outlive every fault of one model."""

import logging
from collections.abc import Awaitable
from typing import TypeVar

from service.domain.errors import DriftwardenError
from service.domain.models import ModelName
from service.telemetry.metrics import Metrics

_log = logging.getLogger(__name__)
T = TypeVar("T")


class Attempts:
    """Whatever goes wrong with one model stays with it, and is tried again in the next round."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._troubled: set[str] = set()

    async def __call__(self, what: str, model: ModelName, doing: Awaitable[T]) -> T | None:
        """None: it went wrong, which is counted, and said once."""
        trouble = f"{what} {model}"
        try:
            result = await doing
        except Exception as error:  # noqa: BLE001 - see above
            label = self._metrics.model(model) if model else ""
            self._metrics.evaluation_failures.labels(label, type(error).__name__).inc()
            if trouble not in self._troubled:  # once, not once a round
                expected = isinstance(error, DriftwardenError)
                _log.error("%s fails and will be tried again: %s", trouble.strip(), error, exc_info=not expected)
                self._troubled.add(trouble)
            return None
        if trouble in self._troubled:
            self._troubled.discard(trouble)
            _log.info("%s works again", trouble.strip())
        return result
