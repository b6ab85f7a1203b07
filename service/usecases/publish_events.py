"""Tell others what has happened: in order, one after another, and again until somebody has taken it."""

import asyncio
import logging
from collections import deque

import anyio

from service.domain.errors import SinkRefused, SinkUnavailable
from service.domain.events import Event
from service.ports import EventSink
from service.telemetry.metrics import Metrics

MOST_WAITING = 256
"""Beyond these the oldest are dropped: what is newest matters most."""
LONGEST_RETRY_SECONDS = 60.0
_log = logging.getLogger(__name__)


class PublishEvents:
    """One instance a process. Without a sink nothing waits, and nothing is told."""

    def __init__(self, sink: EventSink | None, metrics: Metrics, first_retry_seconds: float = 0.5) -> None:
        self._sink = sink
        self._metrics = metrics
        self._first_retry = first_retry_seconds
        self._waiting: deque[Event] = deque()
        self._news = asyncio.Event()

    def announce(self, event: Event) -> None:
        """Returns at once. To be called on the event loop."""
        if self._sink is None:
            return
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft()
            self._count("dropped")
        self._waiting.append(event)
        self._news.set()

    async def run(self) -> None:
        """Until cancelled; what waits then is lost."""
        while self._sink is not None:
            self._news.clear()
            if self._waiting:
                await self._tell(self._sink, self._waiting[0])
            else:
                await self._news.wait()

    async def _tell(self, sink: EventSink, event: Event) -> None:
        pause = self._first_retry
        while event is next(iter(self._waiting), None):  # or it was dropped meanwhile
            try:
                await sink.send(event)
            except SinkUnavailable as error:
                self._count("unavailable")
                _log.warning("an event waits: %s", error, extra={"event": event.type})
                await anyio.sleep(pause)
                pause = min(2 * pause, LONGEST_RETRY_SECONDS)
                continue
            except SinkRefused as error:
                self._count("refused")
                _log.error("an event is lost: %s", error, extra={"event": event.type})
            except Exception:  # noqa: BLE001 - models are judged whatever is wrong with who is told
                self._count("refused")
                _log.exception("an event is lost", extra={"event": event.type})
            else:
                self._count("sent")
            if self._waiting and self._waiting[0] is event:
                self._waiting.popleft()

    def _count(self, outcome: str) -> None:
        self._metrics.published_events.labels(outcome).inc()
