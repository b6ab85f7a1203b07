"""Events that have been accepted and are not read yet: worked off one by one while their senders go on.

A logger stands in the way of the inferences that it copies, so its answer waits neither for reading nor for the store.
What has been accepted is in this process only until then, and what is wrong with it is counted and logged.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import partial

from service.domain.errors import DriftwardenError
from service.domain.models import ModelName
from service.domain.pairing import Half, Side
from service.http.bodies import Bodies
from service.http.cloud_events import FEEDBACK, Event
from service.http.errors import BodyTooLarge
from service.http.formats import read_logged
from service.http.formats.table import Payload
from service.telemetry.metrics import Metrics
from service.usecases.observe_event import ObserveEvent, Outcome

SECONDS_BETWEEN_COMPLAINTS = 10.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Accepted:
    """An event with its data as they came."""

    model: ModelName
    event: Event
    body: bytes
    content_encoding: str | None
    traceparent: str | None


class LoggedEvents:
    """Bounded by the room that each event was admitted to, which it holds until it is done with."""

    def __init__(self, observe: ObserveEvent, bodies: Bodies, metrics: Metrics, monotonic: Callable[[], float]) -> None:
        self._observe = observe
        self._bodies = bodies
        self._metrics = metrics
        self._monotonic = monotonic
        self._under_way: set[asyncio.Task[None]] = set()
        self._complained = -SECONDS_BETWEEN_COMPLAINTS

    def take(self, accepted: Accepted, room: AbstractContextManager[object]) -> None:
        """Begin with it; `room` is left when it is done."""
        task = asyncio.get_running_loop().create_task(self._work_off(accepted, room))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def finish(self, seconds: float) -> None:
        """Wait for what is under way; what takes longer is lost, and said to be."""
        if not self._under_way:
            return
        _, late = await asyncio.wait(self._under_way, timeout=seconds)
        if late:
            _log.error("%d logged inferences that were accepted are lost: they were not stored in time", len(late))
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _work_off(self, accepted: Accepted, room: AbstractContextManager[object]) -> None:
        with ExitStack() as stack:
            stack.push(room)
            try:
                outcome = str(await self._outcome(accepted))
            except BodyTooLarge:
                outcome = BodyTooLarge.__name__
                self._complain(accepted, "what it unpacks to is too large")
            except DriftwardenError as error:
                outcome = type(error).__name__
                self._complain(accepted, str(error))
            except Exception:  # noqa: BLE001 - nobody else is there to see it
                outcome = "internal"
                _log.exception("a logged %s of model %s met a defect", accepted.event.kind, accepted.model)
            self._metrics.events.labels(accepted.event.kind, outcome).inc()

    async def _outcome(self, accepted: Accepted) -> Outcome:
        if accepted.event.kind == FEEDBACK:  # labels that come late are not joined yet
            return Outcome.IGNORED
        keeps_text = await self._observe.keeps_text(accepted.model)
        read = partial(_half, accepted, self._bodies.max_bytes, keeps_text)
        half = await self._bodies.read(accepted.model, accepted.content_encoding, accepted.body, read)
        return await self._observe(accepted.model, accepted.event.identifier, half)

    def _complain(self, accepted: Accepted, what: str) -> None:
        """Not for every event: a model that never fits is logged thousands of times a second."""
        now = self._monotonic()
        if now - self._complained >= SECONDS_BETWEEN_COMPLAINTS:
            self._complained = now
            _log.warning("a logged %s of model %s is not observed: %s", accepted.event.kind, accepted.model, what)


def _half(accepted: Accepted, most_bytes: int, keeps_text: bool, body: bytes) -> Half:
    event, side = accepted.event, Side(accepted.event.kind)
    payload = Payload(body, event.head_bytes, most_bytes, keeps_text)
    table = read_logged(event.content_type, payload, outputs=side is Side.RESPONSE)
    return Half(
        side=side,
        rows=table.rows,
        names=table.features,
        observed_at=event.observed_at or table.observed_at,
        traceparent=accepted.traceparent,
        digest=hashlib.sha256(accepted.body).digest(),
        left_out=table.not_numbers,
        texts=table.texts,
    )
