"""What a model's log has been read past: the identifiers and sizes of its batches, without their rows.

A stream beside the log, each entry under the position of its batch. With it, an evaluator that begins learns which
identifiers were counted before, and how far the log may be trimmed, from a few bytes a batch. Without it, both would
take reading again the rows of every batch within the horizon.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from service.adapters.store import Client, Entry, Keys, store_errors, stream_entries
from service.adapters.store_formats import FORMAT, FORMAT_1, format_of, refuse_newer
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
        batch = logged.batch
        return cls(logged.position, batch.identifier, batch.rows.nbytes + len(batch.panes or b"") + OVERHEAD_BYTES)


class _Tail:
    """The latest of what is written here, as far back as the log is kept: it need not be read after every window."""

    def __init__(self, batches: Iterable[Passed]) -> None:
        self._batches = deque(batches)
        self._bytes = sum(passed.size for passed in self._batches)

    def ends_at(self, position: BatchPosition) -> bool:
        return bool(self._batches) and self._batches[-1].position == position

    def extend(self, batches: Sequence[Passed]) -> None:
        self._batches.extend(batches)
        self._bytes += sum(passed.size for passed in batches)

    def oldest_kept(self, batches: int, size: int) -> BatchPosition | None:
        """Forget what is more than so many batches or bytes back; the first that stays, if anything lies before it."""
        while len(self._batches) > batches + 1 or (self._batches and self._bytes - self._batches[0].size > size):
            self._bytes -= self._batches.popleft().size
        enough = len(self._batches) > batches or self._bytes > size
        return self._batches[0].position if enough and self._batches else None


class PassedBatches:
    """Written when windows have been committed, in the order of the log and without gaps."""

    def __init__(self, redis: Client, keys: Keys, keep: int) -> None:
        self._redis = redis
        self._keys = keys
        self._keep = keep + 1  # one more than are kept says how far to trim
        self._read: dict[ModelName, deque[Passed]] = {}
        """Batches that this process has read and not written here yet ..."""
        self._follow: dict[ModelName, BatchPosition] = {}
        """... and the one that the first of these follows."""
        self._tails: dict[ModelName, _Tail] = {}

    def have_read(self, model: ModelName, after: BatchPosition, batches: Sequence[Passed]) -> None:
        """These follow `after` in the log."""
        read = self._read.setdefault(model, deque())
        if read and read[-1].position != after:  # it begins anew, at an earlier or a later place
            read.clear()
        if not read:
            self._follow[model] = after
        read.extend(batches)

    async def write(self, model: ModelName, until: BatchPosition) -> None:
        """Everything read up to here is judged; what is written already, by another evaluator too, stays as it is."""
        read = self._read.get(model, deque())
        written = []
        while read and not is_after(read[0].position, until):
            written.append(read.popleft())
        if not written:
            return
        tail = self._tails.get(model)
        if tail is not None and tail.ends_at(self._follow[model]):
            tail.extend(written)
        self._follow[model] = written[-1].position
        key = self._keys.passed(model)
        with store_errors():
            pipeline = self._redis.pipeline(transaction=False)
            for passed in written:
                fields = {FORMAT: FORMAT_1, _IDENTIFIER: passed.identifier.encode(), _BYTES: b"%d" % passed.size}
                pipeline.xadd(key, fields, id=passed.position, maxlen=self._keep, approximate=True)  # type: ignore[arg-type]
            # An entry that is not newer than the newest is refused: it is there already.
            await pipeline.execute(raise_on_error=False)

    async def oldest_kept(
        self, model: ModelName, until: BatchPosition, batches: int, size: int
    ) -> BatchPosition | None:
        """Where the log may be trimmed to, if so many batches or bytes of it are kept up to `until`."""
        tail = self._tails.get(model)
        if tail is None or not tail.ends_at(until):  # it begins, or others have judged meanwhile
            tail = self._tails[model] = _Tail(reversed(await self.latest(model, until, batches + 1)))
        return tail.oldest_kept(batches, size)

    async def latest(self, model: ModelName, until: BatchPosition, limit: int) -> Sequence[Passed]:
        """The latest `limit` up to and including `until`, newest first."""
        entries = await stream_entries(self._redis.xrevrange(self._keys.passed(model), max=until, count=limit))
        return [_passed(entry) for entry in entries]


def _passed(entry: Entry) -> Passed:
    position, fields = entry
    place = position.decode()
    if format_of(fields) is not None:
        refuse_newer(fields, f"entry {place} of batches passed")
    try:
        return Passed(BatchPosition(place), fields[_IDENTIFIER].decode(), int(fields[_BYTES]))
    except (KeyError, ValueError):  # damaged: a batch of that name is not noticed as repeated, and nothing else
        return Passed(BatchPosition(place), f"unreadable {place}", OVERHEAD_BYTES)
