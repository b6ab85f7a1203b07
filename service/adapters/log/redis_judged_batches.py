"""Batches that are judged, read again while their rows are kept, and without a trace in what evaluators remember."""

from collections import defaultdict
from collections.abc import Sequence

from service.adapters.log.passed_batches import PassedBatches
from service.adapters.log.redis_observations import Pace, logged_batch
from service.adapters.store import Client, Keys, stream_entries
from service.domain.models import LOG_START, BatchPosition, LoggedBatch, ModelName, is_after, just_before

_AT_ONCE = 256


class RedisJudgedBatches:
    """`service.ports.JudgedBatches` on Redis >= 6.2 or Valkey."""

    def __init__(self, redis: Client, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._passed = PassedBatches(redis, keys, 0)
        self._paces: defaultdict[str, Pace] = defaultdict(Pace)

    async def dropped_until(self, model: ModelName, /) -> BatchPosition:
        first = await stream_entries(self._redis.xrange(self._keys.observations(model), count=1))
        if not first:
            newest = await self._passed.latest(model, "+", 1)
            return newest[0].position if newest else LOG_START
        place = BatchPosition(first[0][0].decode())
        before = await self._passed.latest(model, f"({place}", 1)
        if before:
            return before[0].position
        # What is written of batches that have passed reaches further back than their rows: if it begins with these, so
        # did the log. If it begins later, nobody knows what was before them.
        oldest = await stream_entries(self._redis.xrange(self._keys.passed(model), count=1))
        known = not oldest or not is_after(BatchPosition(oldest[0][0].decode()), place)
        return LOG_START if known else just_before(place)

    async def read_again(
        self, model: ModelName, after: BatchPosition, until: BatchPosition, limit: int, /
    ) -> Sequence[LoggedBatch]:
        key, found = self._keys.observations(model), list[LoggedBatch]()
        pace = self._paces[key]
        while len(found) < limit and is_after(until, after):
            known, count = pace.known, pace.entries(limit - len(found))
            entries = await stream_entries(self._redis.xrange(key, min=f"({after}", max=until, count=count))
            pace.came(max((sum(map(len, fields.values())) for _, fields in entries), default=0))
            found += [logged_batch(entry) for entry in entries]
            if known or not entries:  # the first entry is read alone, to see how large they are
                break
            after = found[-1].position
        return found

    async def latest_rows(self, model: ModelName, until: BatchPosition, rows: int, /) -> Sequence[LoggedBatch]:
        key, found, newest, left = self._keys.observations(model), list[LoggedBatch](), str(until), rows
        pace = self._paces[key]
        while left > 0 and len(found) < rows:  # a batch may have none
            count = pace.entries(_AT_ONCE)
            entries = await stream_entries(self._redis.xrevrange(key, max=newest, count=count))
            pace.came(max((sum(map(len, fields.values())) for _, fields in entries), default=0))
            for entry in entries:
                if left > 0:
                    found.append(logged_batch(entry))
                    left -= len(found[-1].batch.rows)
            if len(entries) < count:
                break
            newest = f"({found[-1].position}"
        return found[::-1]

    async def identifiers_until(self, model: ModelName, until: BatchPosition, limit: int, /) -> Sequence[str]:
        if until == LOG_START or limit == 0:
            return []
        return [passed.identifier for passed in reversed(await self._passed.latest(model, until, limit))]
