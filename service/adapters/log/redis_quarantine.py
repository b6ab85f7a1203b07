"""Flagged rows of a model: a stream beside the log, whose entries have the positions of their batches."""

from collections.abc import Sequence

import msgspec

from service.adapters.store import Client, Entry, Keys, add_at, stream_entries
from service.adapters.store_formats import FORMAT, FORMAT_1, document
from service.domain.models import BatchPosition, ModelName
from service.domain.quarantine import QuarantinedBatch

KEPT_BATCHES = 1_000
"""With flagged rows; a few megabytes at the most."""
_DOCUMENT = b"q"
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(QuarantinedBatch).decode


class RedisQuarantine:
    """`service.ports.Quarantine` on Redis >= 6.2 or Valkey."""

    def __init__(self, redis: Client, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    async def keep(self, model: ModelName, batch: QuarantinedBatch, /) -> bool:
        fields = {FORMAT: FORMAT_1, _DOCUMENT: _encode(batch)}
        return await add_at(self._redis, self._keys.quarantine(model), batch.position, fields, KEPT_BATCHES)

    async def latest(
        self, model: ModelName, limit: int, before: BatchPosition | None = None, /
    ) -> Sequence[QuarantinedBatch]:
        newest = "+" if before is None else f"({before}"
        entries = await stream_entries(self._redis.xrevrange(self._keys.quarantine(model), max=newest, count=limit))
        return [_batch(model, entry) for entry in entries]


def _batch(model: ModelName, entry: Entry) -> QuarantinedBatch:
    return document(entry[1], _DOCUMENT, _decode, f"quarantined batch {entry[0].decode()} of model {model}")
