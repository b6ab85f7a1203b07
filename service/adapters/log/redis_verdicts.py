"""A model's verdicts as one Redis stream, each under its own number: adding one is the compare-and-set."""

from collections.abc import Sequence

import msgspec

from service.adapters.store import Client, Entry, Keys, add_numbered, is_position, number_of, stream_entries
from service.adapters.store_formats import FORMAT, FORMAT_1, document
from service.domain.errors import CorruptedState
from service.domain.models import ModelName, Verdict

_DOCUMENT = b"v"
_encode = msgspec.json.Encoder().encode
_decode_document = msgspec.json.Decoder(Verdict).decode  # fields that a newer release has added are passed over


class RedisVerdictLog:
    """`service.ports.VerdictLog` on Redis >= 6.2 or Valkey."""

    def __init__(self, redis: Client, keys: Keys, keep: int) -> None:
        self._redis = redis
        self._keys = keys
        self._keep = keep

    async def commit(self, verdict: Verdict, /) -> bool:
        fields = {FORMAT: FORMAT_1, _DOCUMENT: _encode(verdict)}
        return await add_numbered(self._redis, self._keys.verdicts(verdict.model), verdict.number, fields, self._keep)

    async def newest(self, model: ModelName, /) -> Verdict | None:
        latest = await self.latest(model, 1)
        return latest[0] if latest else None

    async def page(self, model: ModelName, after: int, limit: int, /) -> Sequence[Verdict]:
        entries = await stream_entries(
            self._redis.xrange(self._keys.verdicts(model), min=f"{after + 1}-0", count=limit)
        )
        return [_verdict(model, entry) for entry in entries]

    async def latest(self, model: ModelName, limit: int, before: int | None = None, /) -> Sequence[Verdict]:
        newest = "+" if before is None else f"({before}-0"
        entries = await stream_entries(self._redis.xrevrange(self._keys.verdicts(model), max=newest, count=limit))
        return [_verdict(model, entry) for entry in entries]


def _verdict(model: ModelName, entry: Entry) -> Verdict:
    position, fields = entry
    what = f"verdict {position.decode()} of model {model}"
    if FORMAT not in fields:  # verdicts have said it from the first on
        raise CorruptedState(f"{what} does not say which format it is of")
    verdict = document(fields, _DOCUMENT, _decode_document, what)
    if verdict.model != model or verdict.number != number_of(position):
        raise CorruptedState(f"{what} is another's")
    if not is_position(verdict.cursor.position) or verdict.cursor.offset < 0:
        raise CorruptedState(f"{what} has a cursor that points nowhere")
    return verdict
