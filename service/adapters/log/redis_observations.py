"""A model's observations as one Redis stream: append is one command, and one event-loop turn is one round trip."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
from redis.asyncio import Redis

from detectors import codec
from detectors.errors import InvalidDocument
from service.adapters.store import Entry, Keys, answer, in_our_words, store_errors, stream_entries
from service.domain.errors import Overloaded, StoreUnavailable
from service.domain.models import LOG_START, Batch, BatchPosition, LoggedBatch, ModelName

BATCH_KIND = "batch"
_IDENTIFIER, _OBSERVED, _TRACE, _DOCUMENT = b"i", b"o", b"t", b"d"
_RETRY_AFTER_SECONDS = 5.0
_MAXIMUM_IN_FLIGHT = 4_096
_NO_ROWS = np.empty((0, 0))


@dataclass(slots=True)
class _Waiting:
    key: str
    fields: dict[bytes, bytes]
    position: asyncio.Future[bytes] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class RedisObservationLog:
    """`service.ports.ObservationLog` on Redis >= 6.2 or Valkey."""

    def __init__(self, redis: Redis, keys: Keys, max_batches: int) -> None:
        self._redis = redis
        self._keys = keys
        self._max_batches = max_batches
        self._full: set[str] = set()
        """Streams that were at their limit when last looked at."""
        self._waiting: list[_Waiting] = []
        self._flushes: set[asyncio.Task[None]] = set()
        self._in_flight = 0

    async def append(self, model: ModelName, batch: Batch, /) -> BatchPosition:
        key = self._keys.observations(model)
        if key in self._full:
            await self._refuse_while_full(model, key)
        if self._in_flight >= _MAXIMUM_IN_FLIGHT:
            raise Overloaded("too many batches wait for the store's answer", _RETRY_AFTER_SECONDS)
        waiting = _Waiting(key, _encode(batch))
        self._waiting.append(waiting)
        self._in_flight += 1
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_soon(self._flush)
        try:
            # Shielded: a caller that goes away must not take the others' shared answer with it.
            return BatchPosition((await asyncio.shield(waiting.position)).decode())
        finally:
            self._in_flight -= 1

    async def read(self, model: ModelName, after: BatchPosition, limit: int, /) -> Sequence[LoggedBatch]:
        start = f"({after}"
        entries = await stream_entries(self._redis.xrange(self._keys.observations(model), min=start, count=limit))
        return [_decode(entry) for entry in entries]

    async def recent_identifiers(self, model: ModelName, until: BatchPosition, limit: int, /) -> Sequence[str]:
        if until == LOG_START or limit == 0:
            return []
        entries = await stream_entries(self._redis.xrevrange(self._keys.observations(model), max=until, count=limit))
        # Decoded like any other read: an entry that cannot be read must go by the same name here as there.
        return [_decode(entry).batch.identifier for entry in reversed(entries)]

    async def newest_position(self, model: ModelName, /) -> BatchPosition:
        entries = await stream_entries(self._redis.xrevrange(self._keys.observations(model), count=1))
        return BatchPosition(entries[0][0].decode()) if entries else LOG_START

    async def forget_before(self, model: ModelName, position: BatchPosition, keep: int, /) -> None:
        key = self._keys.observations(model)
        oldest_kept = await stream_entries(self._redis.xrevrange(key, max=position, count=keep + 1))
        if len(oldest_kept) == keep + 1:
            await answer(self._redis.xtrim(key, minid=oldest_kept[-1][0], approximate=True))

    async def _refuse_while_full(self, model: ModelName, key: str) -> None:
        if await answer(self._redis.xlen(key)) >= self._max_batches:
            message = f"{self._max_batches} batches of model {model} wait to be tested; no more are taken for now"
            raise Overloaded(message, _RETRY_AFTER_SECONDS)
        self._full.discard(key)

    def _flush(self) -> None:
        batch, self._waiting = self._waiting, []
        task = asyncio.get_running_loop().create_task(self._write(batch))
        self._flushes.add(task)
        task.add_done_callback(self._flushes.discard)

    async def _write(self, batch: Sequence[_Waiting]) -> None:
        """One pipeline for everything that arrived in one turn of the event loop (group commit)."""
        keys = list(dict.fromkeys(waiting.key for waiting in batch))
        try:
            with store_errors():
                pipeline = self._redis.pipeline(transaction=False)
                for waiting in batch:
                    pipeline.xadd(waiting.key, waiting.fields)  # type: ignore[arg-type]
                for key in keys:
                    pipeline.xlen(key)
                replies = await pipeline.execute(raise_on_error=False)
        except Exception as error:  # noqa: BLE001 - whatever it is, callers must not wait for ever
            replies = [error] * (len(batch) + len(keys))
        for waiting, reply in zip(batch, replies, strict=False):
            _settle(waiting.position, reply)
        for key, length in zip(keys, replies[len(batch) :], strict=True):
            if isinstance(length, int) and length >= self._max_batches:
                self._full.add(key)


def _settle(position: asyncio.Future[bytes], reply: object) -> None:
    if position.cancelled():
        return
    if isinstance(reply, bytes):
        position.set_result(reply)
        return
    error = reply if isinstance(reply, Exception) else StoreUnavailable("the store gave no position")
    position.set_exception(in_our_words(error))
    position.exception()  # looked at, in case the caller has gone away


def _encode(batch: Batch) -> dict[bytes, bytes]:
    fields = {
        _IDENTIFIER: batch.identifier.encode(),
        _OBSERVED: b"%d" % round(batch.observed_at.timestamp() * 1000),
        _DOCUMENT: codec.encode(BATCH_KIND, {"rows": batch.rows}),
    }
    if batch.traceparent is not None:
        fields[_TRACE] = batch.traceparent.encode()
    return fields


def _decode(entry: Entry) -> LoggedBatch:
    position, fields = entry
    place = BatchPosition(position.decode())
    try:
        rows = codec.decode(fields[_DOCUMENT], kind=BATCH_KIND).arrays["rows"]
        batch = Batch(
            identifier=fields[_IDENTIFIER].decode(),
            rows=rows if rows.ndim == 2 and rows.dtype == np.float64 else _NO_ROWS,
            observed_at=datetime.fromtimestamp(int(fields[_OBSERVED]) / 1000, UTC),
            traceparent=fields[_TRACE].decode() if _TRACE in fields else None,
        )
    except (InvalidDocument, KeyError, ValueError, OverflowError, OSError):
        # An entry that was damaged, or written by something else, must not stop the log: it fits no reference, so the
        # window that passes over it counts it as a misfit.
        batch = Batch(f"unreadable {place}", _NO_ROWS, datetime.fromtimestamp(0, UTC))
    return LoggedBatch(place, batch)
