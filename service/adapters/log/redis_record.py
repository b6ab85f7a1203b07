"""A model's record of retraining as one Redis stream, each entry under its own number, as the line that is hashed."""

from collections.abc import Sequence

from service.adapters.store import Client, Keys, add_numbered, number_of, stream_entries
from service.adapters.store import Entry as StreamEntry
from service.adapters.store_formats import FORMAT, FORMAT_1, refuse_newer
from service.domain.errors import CorruptedState
from service.domain.models import ModelName
from service.domain.retraining.record import Entry, Line, read, written

_LINE = b"e"


class RedisRetrainingRecord:
    """`service.ports.RetrainingRecord` on Redis >= 6.2 or Valkey."""

    def __init__(self, redis: Client, keys: Keys, keep: int) -> None:
        self._redis = redis
        self._keys = keys
        self._keep = keep

    async def append(self, entry: Entry, /) -> bool:
        fields = {FORMAT: FORMAT_1, _LINE: written(entry).text}
        return await add_numbered(self._redis, self._keys.retraining(entry.model), entry.number, fields, self._keep)

    async def newest(self, model: ModelName, /) -> Line | None:
        entries = await stream_entries(self._redis.xrevrange(self._keys.retraining(model), count=1))
        return _line(model, entries[0]) if entries else None

    async def page(self, model: ModelName, after: int, limit: int, /) -> Sequence[Line]:
        key = self._keys.retraining(model)
        entries = await stream_entries(self._redis.xrange(key, min=f"{after + 1}-0", count=limit))
        return [_line(model, entry) for entry in entries]


def _line(model: ModelName, stored: StreamEntry) -> Line:
    position, fields = stored
    what = f"entry {position.decode()} of the record of retraining of model {model}"
    refuse_newer(fields, what)
    if _LINE not in fields:
        raise CorruptedState(f"{what} cannot be read: its line is missing")
    try:
        line = read(fields[_LINE])
    except CorruptedState as error:
        raise CorruptedState(f"{what} cannot be read") from error
    if line.entry.model != model or line.entry.number != number_of(position):
        raise CorruptedState(f"{what} is another's")
    return line
