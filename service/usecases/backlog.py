"""What waits in a sidecar's log: bounded in bytes, and how long and how many rows, so that panes are cut in time."""

from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

from service.domain.errors import Overloaded
from service.domain.models import Batch, BatchPosition, ModelName
from service.ports import Appends, ForwardProgress
from service.telemetry.metrics import Metrics

OVERHEAD_BYTES = 400
"""What the store takes for a batch besides its rows."""
MEASURED_EVERY_SECONDS = 0.25
_RETRY_AFTER_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class PaneBounds:
    """When a pane is complete, whichever comes first."""

    seconds: float
    """Since its first row came in."""
    rows: int


@dataclass(slots=True)
class _Waiting:
    rows: int = 0
    since: float | None = None
    """On the monotonic clock: when the first of them came in."""
    changed: anyio.Event = field(default_factory=anyio.Event)


class Backlog:
    """Stands before the log (`service.ports.Appends`). Several models share the bytes."""

    def __init__(
        self,
        log: Appends,
        progress: ForwardProgress,
        bounds: PaneBounds,
        max_bytes: int,
        monotonic: Callable[[], float],
        metrics: Metrics,
    ) -> None:
        self._log = log
        self._progress = progress
        self._bounds = bounds
        self._max_bytes = max_bytes
        self._monotonic = monotonic
        self._metrics = metrics
        self._waiting: dict[ModelName, _Waiting] = {}
        self._bytes = 0
        self._measured_at = float("-inf")
        self._hurry = False

    async def append(self, model: ModelName, batch: Batch, digest: bytes | None = None, /) -> BatchPosition | None:
        """Raises `Overloaded` where so much waits already, and what the log raises."""
        size = batch.rows.nbytes + (0 if batch.times is None else batch.times.nbytes) + OVERHEAD_BYTES
        if self._bytes + size > self._max_bytes and self._monotonic() - self._measured_at > MEASURED_EVERY_SECONDS:
            await self.measure()
        if self._bytes + size > self._max_bytes:
            message = "rows wait for the central service up to the limit; no more are taken until some are forwarded"
            raise Overloaded(message, _RETRY_AFTER_SECONDS)
        self._bytes += size
        position = await self._log.append(model, batch, digest)
        waiting = self._of(model)
        waiting.rows += len(batch.rows)
        if waiting.since is None:
            waiting.since = self._monotonic()
            waiting.changed.set()
        elif waiting.rows >= self._bounds.rows:
            waiting.changed.set()
        return position

    async def measure(self) -> None:
        """See how much there is really: what has been forwarded is gone."""
        self._measured_at = self._monotonic()
        self._bytes = await self._progress.waiting_bytes()
        self._metrics.forward_waiting_bytes.set(self._bytes)

    def begin(self, model: ModelName) -> None:
        """The log is about to be read: what comes from now on waits for the next pane."""
        self._waiting[model] = _Waiting()

    def hurry(self) -> None:
        """From now on everything is due at once: the process ends."""
        self._hurry = True
        for waiting in self._waiting.values():
            waiting.changed.set()

    def is_empty(self, model: ModelName) -> bool:
        """Whether nothing came since the log was read."""
        return self._of(model).since is None

    async def due(self, model: ModelName) -> None:
        """Until a pane is complete."""
        while not self._hurry:
            waiting = self._of(model)
            if waiting.since is None:
                await waiting.changed.wait()
                waiting.changed = anyio.Event()
                continue
            left = waiting.since + self._bounds.seconds - self._monotonic()
            if left <= 0 or waiting.rows >= self._bounds.rows:
                return
            with anyio.move_on_after(left):
                await waiting.changed.wait()
            waiting.changed = anyio.Event()

    def _of(self, model: ModelName) -> _Waiting:
        return self._waiting.setdefault(model, _Waiting())
