"""A model's observations as one Redis stream: append is one command, and one event-loop turn is one round trip."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from detectors import codec
from detectors.errors import InvalidDocument
from service.adapters.log.group_commit import Appending, Durability, GroupCommit, Named
from service.adapters.log.kept_predictions import predictions_beside
from service.adapters.log.memory_buffer import MemoryBuffer
from service.adapters.log.passed_batches import OVERHEAD_BYTES, Passed, PassedBatches
from service.adapters.store import Client, Entry, Keys, answer, stream_entries
from service.adapters.store_formats import FORMAT, FORMAT_1, FORMAT_2, format_of, refuse_newer
from service.domain.errors import Overloaded, StoreFull
from service.domain.models import LATEST_MS, LOG_START, Batch, BatchPosition, LoggedBatch, ModelName, arrival, is_after
from service.domain.windows import NO_ROWS

BATCH_KIND = "batch"
_IDENTIFIER, _OBSERVED, _TRACE, _DOCUMENT, _REVISION, _CONTENT = b"i", b"o", b"t", b"d", b"r", b"c"
_MISMATCHES, _SENDER = b"m", b"s"
_PANES = b"panes"
"""What the document is; nothing: rows."""
_RETRY_AFTER_SECONDS = 5.0
_MAXIMUM_IN_FLIGHT = 4_096
_READ_BYTES = 256 * 1024
"""At once: taking them apart holds the event loop up for about a millisecond."""


@dataclass(slots=True)
class Pace:
    """How many batches are read at once, so that a reply comes in time and fits in memory whatever their size."""

    largest: int = 0
    """Bytes of a batch, by the latest replies; 0: none was read yet."""

    @property
    def known(self) -> bool:
        return self.largest > 0

    def entries(self, limit: int) -> int:
        return max(1, min(limit, _READ_BYTES // self.largest)) if self.known else 1

    def came(self, largest: int) -> None:
        self.largest = max(largest, self.largest // 2)


@dataclass(frozen=True, slots=True)
class Acknowledging:
    """When `append` returns; docs/operations.md says what each promises."""

    level: Literal["memory", "log", "fsync"] = "log"
    memory_bytes: int = 64 * 2**20
    """Of the buffer at the level `memory`."""
    durability: Durability = field(default_factory=lambda: Durability(remembered_seconds=300))


class RedisObservationLog:
    """`service.ports.ObservationLog` on Redis >= 6.2 or Valkey."""

    def __init__(
        self,
        redis: Client,
        keys: Keys,
        max_batches: int,
        retained_bytes: int,
        horizon: int,
        acknowledging: Acknowledging = Acknowledging(),
        retained_seconds: int | None = None,
        prediction_bytes: int = 0,
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._max_batches = max_batches
        self._retained_bytes = retained_bytes
        self._retained_seconds = retained_seconds
        self._prediction_bytes = prediction_bytes
        self._passed = PassedBatches(redis, keys, horizon)
        self._paces: defaultdict[str, Pace] = defaultdict(Pace)
        self._commit = GroupCommit(redis, acknowledging.durability, max_batches)
        in_memory = acknowledging.level == "memory"
        self._memory = MemoryBuffer(self._commit, acknowledging.memory_bytes) if in_memory else None
        self._in_flight = 0
        self._making_room: set[ModelName] = set()

    async def append(self, model: ModelName, batch: Batch, digest: bytes | None = None, /) -> BatchPosition | None:
        stream = self._keys.observations(model)
        if stream in self._commit.full:
            await self._refuse_while_full(model, stream)
        fields = _encode(batch)
        named = None if digest is None else Named(self._keys.batch(model, batch.identifier), digest)
        beside = predictions_beside(self._keys, model, batch, self._prediction_bytes)
        appending = Appending(stream, fields, len(fields[_DOCUMENT]) + OVERHEAD_BYTES, named, beside)
        if self._memory is not None:
            self._memory.put(appending)
            return None
        if self._in_flight >= _MAXIMUM_IN_FLIGHT:
            raise Overloaded("too many batches wait for the store's answer", _RETRY_AFTER_SECONDS)
        self._in_flight += 1
        self._commit.put(appending)
        try:
            return await self._placed(model, appending)
        finally:
            self._in_flight -= 1

    async def _placed(self, model: ModelName, appending: Appending) -> BatchPosition:
        try:
            # Each has a future of its own: a caller that goes away takes nobody else's answer with it.
            return BatchPosition((await appending.position).decode())
        except StoreFull:
            if model not in self._making_room:  # many fail at once
                self._making_room.add(model)
                try:
                    await self.make_room(model)
                finally:
                    self._making_room.discard(model)
            raise

    async def finish(self, seconds: float) -> int:
        """Write what is on its way, for so long at the most; how many acknowledged batches could not be."""
        lost = await self._memory.flush(seconds) if self._memory is not None else 0
        await self._commit.finish()
        return lost

    async def read(self, model: ModelName, after: BatchPosition, limit: int, /) -> Sequence[LoggedBatch]:
        key, batches = self._keys.observations(model), list[LoggedBatch]()
        newest = after
        while len(batches) < limit:
            known = self._paces[key].known
            count = self._paces[key].entries(limit - len(batches))
            entries = await stream_entries(self._redis.xrange(key, min=f"({newest}", count=count))
            batches += self._decoded(key, entries)
            if known or not entries:  # the first entry is read alone, to see how large they are
                break
            newest = batches[-1].position
        self._passed.have_read(model, after, [Passed.of(logged) for logged in batches])
        return batches

    async def recent_identifiers(self, model: ModelName, until: BatchPosition, limit: int, /) -> Sequence[str]:
        if until == LOG_START or limit == 0:
            return []
        passed = list(reversed(await self._passed.latest(model, until, limit)))
        # Up to here it is written down. An evaluator that was ended after its commit leaves the rest to the next one.
        known = passed[-1].position if passed else LOG_START
        if known != until:
            rest = await self._between(model, known, until, limit)
            self._passed.have_read(model, known, rest)
            passed += rest
        return [each.identifier for each in passed[-limit:]]

    async def _between(self, model: ModelName, after: BatchPosition, until: BatchPosition, limit: int) -> list[Passed]:
        """The latest `limit` batches between the two, oldest first, read from the log itself."""
        key, found, newest = self._keys.observations(model), list[Passed](), str(until)
        while len(found) < limit:
            count = self._paces[key].entries(limit - len(found))
            entries = await stream_entries(self._redis.xrevrange(key, max=newest, min=f"({after}", count=count))
            # Decoded like any other read: an entry that cannot be read must go by the same name here as there.
            found += [Passed.of(logged) for logged in self._decoded(key, entries)]
            if len(entries) < count:
                break
            newest = f"({found[-1].position}"
        return found[::-1]

    def _decoded(self, key: str, entries: Sequence[Entry]) -> list[LoggedBatch]:
        self._paces[key].came(max((sum(map(len, fields.values())) for _, fields in entries), default=0))
        return [logged_batch(entry) for entry in entries]

    async def newest_position(self, model: ModelName, /) -> BatchPosition:
        entries = await stream_entries(self._redis.xrevrange(self._keys.observations(model), count=1))
        if entries:
            return BatchPosition(entries[0][0].decode())
        dropped = await self._passed.latest(model, "+", 1)
        return dropped[0].position if dropped else LOG_START

    async def length(self, model: ModelName, /) -> int:
        return await answer(self._redis.xlen(self._keys.observations(model)))

    async def forget_before(self, model: ModelName, position: BatchPosition, keep: int, /) -> None:
        await self._passed.write(model, position)
        oldest = await self._passed.oldest_kept(model, position, keep, self._retained_bytes)
        exactly = not (keep and self._retained_bytes)
        if oldest is not None and self._retained_seconds is not None:
            exactly = True  # a promise; the others spare the store some work
            since = arrival(position) - 1000 * self._retained_seconds
            aged = BatchPosition(f"{max(0, since)}-0")
            oldest = aged if is_after(aged, oldest) else oldest
        if oldest is not None:
            await answer(self._redis.xtrim(self._keys.observations(model), minid=oldest, approximate=not exactly))

    async def make_room(self, model: ModelName, /) -> None:
        for newest in await self._passed.latest(model, "+", 1):  # judged, up to here
            stream = self._keys.observations(model)
            # What takes no memory is allowed to a store that has none left; nodes are dropped whole, so exactly.
            await answer(self._redis.xtrim(stream, minid=newest.position, approximate=False))

    async def _refuse_while_full(self, model: ModelName, key: str) -> None:
        if await answer(self._redis.xlen(key)) >= self._max_batches:
            message = f"{self._max_batches} batches of model {model} wait to be tested; no more are taken for now"
            raise Overloaded(message, _RETRY_AFTER_SECONDS)
        self._commit.full.discard(key)


def _encode(batch: Batch) -> dict[bytes, bytes]:
    fields = {
        FORMAT: FORMAT_1 if batch.panes is None else FORMAT_2,
        _IDENTIFIER: batch.identifier.encode(),
        _OBSERVED: b"%d" % round(batch.observed_at.timestamp() * 1000),
        _DOCUMENT: codec.encode(BATCH_KIND, _arrays(batch)) if batch.panes is None else batch.panes,
        _REVISION: b"%d" % batch.revision,
    }
    if batch.panes is not None:
        fields[_CONTENT] = _PANES
    if batch.traceparent is not None:
        fields[_TRACE] = batch.traceparent.encode()
    if batch.mismatches:
        fields[_MISMATCHES] = b"%d" % batch.mismatches
    if batch.sender is not None:
        fields[_SENDER] = batch.sender
    return fields


def _arrays(batch: Batch) -> dict[str, NDArray[Any]]:
    return {"rows": batch.rows} if batch.times is None else {"rows": batch.rows, "times": batch.times}


def _times(times: NDArray[Any] | None, shape: tuple[int, ...]) -> NDArray[np.int64] | None:
    """Raises `ValueError` for what are no event times of these rows."""
    if times is None:
        return None
    if times.dtype != np.int64 or times.shape != shape or np.any((times < 0) | (times > LATEST_MS)):
        raise ValueError("these are no event times, one for each row")
    return times


def logged_batch(entry: Entry) -> LoggedBatch:
    """What an entry says; raises `CorruptedState` if a newer release wrote it."""
    position, fields = entry
    place = BatchPosition(position.decode())
    if format_of(fields) is None:
        return LoggedBatch(place, _unreadable(place))
    refuse_newer(fields, f"batch {place}", FORMAT_2)
    try:
        of_panes = fields.get(_CONTENT) == _PANES
        rows, times = (NO_ROWS, None) if of_panes else _rows(fields[_DOCUMENT])
        batch = Batch(
            identifier=fields[_IDENTIFIER].decode(),
            rows=rows,
            observed_at=datetime.fromtimestamp(int(fields[_OBSERVED]) / 1000, UTC),
            traceparent=fields[_TRACE].decode() if _TRACE in fields else None,
            revision=int(fields.get(_REVISION, b"0")),
            times=times,
            # Read by whoever knows the plan that they were made for.
            panes=fields[_DOCUMENT] if of_panes else None,
            mismatches=int(fields.get(_MISMATCHES, b"0")),
            sender=fields.get(_SENDER),
        )
    except (InvalidDocument, KeyError, ValueError, OverflowError, OSError):
        batch = _unreadable(place)
    return LoggedBatch(place, batch)


def _rows(document: bytes) -> tuple[NDArray[np.float64], NDArray[np.int64] | None]:
    arrays = codec.decode(document, kind=BATCH_KIND).arrays
    rows = arrays["rows"]
    times = _times(arrays.get("times"), rows.shape[:1])
    return (rows if rows.ndim == 2 and rows.dtype == np.float64 else NO_ROWS), times


def _unreadable(place: BatchPosition) -> Batch:
    """An entry that was damaged, or written by something else, must not stop the log.

    It fits no reference, so the window that passes over it counts it as a misfit.
    """
    return Batch(f"unreadable {place}", NO_ROWS, datetime.fromtimestamp(0, UTC))
