"""What a model's log has been read past: the identifiers and sizes of its batches, without their rows.

A stream beside the log, each entry under the position of its batch. With it, an evaluator that begins learns which
identifiers were counted before, and how far the log may be trimmed, from a few bytes a batch. Without it, both would
take reading again the rows of every batch within the horizon.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from redis.asyncio import Redis

from service.adapters.store import Entry, Keys, store_errors, stream_entries
from service.domain.models import BatchPosition, LoggedBatch, ModelName, is_after

_IDENTIFIER, _BYTES = b"i", b"n"
OVERHEAD_BYTES = 200
"""What the store takes for an entry besides its rows."""


@dataclass(frozen=True, slots=True)
class Passed:
    """One batch of the log, whatever became of it."""

    position: BatchPosition
    identifier: str
    size: int
    """Bytes in the store, about."""

    @classmethod
    def of(cls, logged: LoggedBatch) -> "Passed":
        return cls(logged.position, logged.batch.identifier, logged.batch.rows.nbytes + OVERHEAD_BYTES)


class PassedBatches:
    """Written when windows have been committed, in the order of the log and without gaps."""

    def __init__(self, redis: Redis, keys: Keys, keep: int) -> None:
        self._redis = redis
        self._keys = keys
        self._keep = keep + 1  # one more than are kept says how far to trim
        self._read: dict[ModelName, deque[Passed]] = {}
        """Batches that this process has read and not written here yet."""

    def have_read(self, model: ModelName, after: BatchPosition, batches: Sequence[Passed]) -> None:
        """These follow `after` in the log."""
        read = self._read.setdefault(model, deque())
        if read and read[-1].position != after:  # it begins anew, at an earlier or a later place
            read.clear()
        read.extend(batches)

    async def write(self, model: ModelName, until: BatchPosition) -> None:
        """Everything read up to here is judged; what is written already, by another evaluator too, stays as it is."""
        read = self._read.get(model, deque())
        written = []
        while read and not is_after(read[0].position, until):
            written.append(read.popleft())
        if not written:
            return
        key = self._keys.passed(model)
        with store_errors():
            pipeline = self._redis.pipeline(transaction=False)
            for passed in written:
                fields = {_IDENTIFIER: passed.identifier.encode(), _BYTES: b"%d" % passed.size}
                pipeline.xadd(key, fields, id=passed.position, maxlen=self._keep, approximate=True)  # type: ignore[arg-type]
            # An entry that is not newer than the newest is refused: it is there already.
            await pipeline.execute(raise_on_error=False)

    async def latest(self, model: ModelName, until: BatchPosition, limit: int) -> Sequence[Passed]:
        """The latest `limit` up to and including `until`, newest first."""
        entries = await stream_entries(self._redis.xrevrange(self._keys.passed(model), max=until, count=limit))
        return [_passed(entry) for entry in entries]


def _passed(entry: Entry) -> Passed:
    position, fields = entry
    place = position.decode()
    try:
        return Passed(BatchPosition(place), fields[_IDENTIFIER].decode(), int(fields[_BYTES]))
    except (KeyError, ValueError):  # damaged: a batch of that name is not noticed as repeated, and nothing else
        return Passed(BatchPosition(place), f"unreadable {place}", OVERHEAD_BYTES)
