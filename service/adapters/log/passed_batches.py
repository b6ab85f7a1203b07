"""What a model's log has been read past: the identifiers and sizes of its batches, without their rows.

A stream beside the log, each entry under the position of its batch. With it, an evaluator that begins learns which
identifiers were counted before, and how far the log may be trimmed, from a few bytes a batch. Without it, both would
take reading again the rows of every batch within the horizon. It reaches back to the horizon before the oldest rows
that are retained, so that these can be read again as they were judged.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from service.adapters.store import Client, Entry, Keys, store_errors, stream_entries
from service.adapters.store_formats import FORMAT, FORMAT_1, format_of, refuse_newer
from service.domain.models import BatchPosition, LoggedBatch, ModelName, is_after, just_after

_IDENTIFIER, _BYTES = b"i", b"n"
OVERHEAD_BYTES = 200
"""What the store takes for an entry besides its rows."""
_STRETCH_BATCHES = 50
_STRETCHES = 64
"""A stretch has at most one part in so many of the bytes that are retained."""
_BEYOND = 200
"""Identifiers reach further back than rows by more than either is trimmed at once: where rows begin then says whether
others were before them."""
_PAGE = 1_000


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
        times = 0 if batch.times is None else batch.times.nbytes
        size = batch.rows.nbytes + times + len(batch.panes or b"")
        return cls(logged.position, batch.identifier, size + OVERHEAD_BYTES)


@dataclass(slots=True)
class _Stretch:
    """Batches that follow one another, about as many as the store drops at once."""

    first: BatchPosition
    batches: int = 0
    size: int = 0


class _Tail:
    """The latest of what is written here, as far back as rows are retained: it need not be read after every window."""

    def __init__(self, batches: Iterable[Passed], largest_stretch: int) -> None:
        self._largest_stretch = largest_stretch
        self._stretches: deque[_Stretch] = deque()
        self._newest: BatchPosition | None = None
        self._bytes = 0
        self.batches = 0
        self.extend(batches)

    def ends_at(self, position: BatchPosition) -> bool:
        return self._newest == position

    def extend(self, batches: Iterable[Passed]) -> None:
        for passed in batches:
            last = self._stretches[-1] if self._stretches else None
            if last is None or last.batches == _STRETCH_BATCHES or last.size + passed.size > self._largest_stretch:
                last = _Stretch(passed.position)
                self._stretches.append(last)
            last.batches += 1
            last.size += passed.size
            self.batches += 1
            self._bytes += passed.size
            self._newest = passed.position

    def oldest_kept(self, batches: int, size: int) -> BatchPosition | None:
        """Forget what is more than so many batches or bytes back; the first that stays, if anything is here."""
        while self._stretches:
            first = self._stretches[0]
            if self.batches - first.batches < batches and self._bytes - first.size < size:
                break
            self.batches -= first.batches
            self._bytes -= first.size
            self._stretches.popleft()
        return self._stretches[0].first if self._stretches else None


class PassedBatches:
    """Written when windows have been committed, in the order of the log and without gaps."""

    def __init__(self, redis: Client, keys: Keys, horizon: int) -> None:
        """Kept are so many behind the oldest batch whose rows are."""
        self._redis = redis
        self._keys = keys
        self._keep = horizon + _BEYOND
        self._read: dict[ModelName, deque[Passed]] = {}
        """Batches that this process has read and not written here yet ..."""
        self._follow: dict[ModelName, BatchPosition] = {}
        """... and the one that the first of these follows."""
        self._tails: dict[ModelName, _Tail] = {}

    def have_read(self, model: ModelName, after: BatchPosition, batches: Sequence[Passed]) -> None:
        """These follow `after` in the log."""
        read = self._read.setdefault(model, deque())
        while read and is_after(read[-1].position, after):  # they are read again: what came of it was lost
            read.pop()
        if read and read[-1].position != after:  # it begins anew, at a later place
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
        keep = None if tail is None else self._keep + tail.batches
        with store_errors():
            pipeline = self._redis.pipeline(transaction=False)
            for passed in written:
                fields = {FORMAT: FORMAT_1, _IDENTIFIER: passed.identifier.encode(), _BYTES: b"%d" % passed.size}
                pipeline.xadd(key, fields, id=passed.position, maxlen=keep, approximate=True)  # type: ignore[arg-type]
            # An entry that is not newer than the newest is refused: it is there already.
            await pipeline.execute(raise_on_error=False)

    async def oldest_kept(
        self, model: ModelName, until: BatchPosition, batches: int, size: int
    ) -> BatchPosition | None:
        """Where the log may be trimmed to, if about so many batches or bytes of it are kept up to `until`.

        With nothing to be kept it is just behind the newest that is written here.
        """
        if not (batches and size):
            self._tails[model] = _Tail((), 0)
            newest = await self.latest(model, until, 1)
            return just_after(newest[0].position) if newest else None
        tail = self._tails.get(model)
        if tail is None or not tail.ends_at(until):  # it begins, or others have judged meanwhile
            found = await self._reaching_back(model, until, batches, size)
            tail = self._tails[model] = _Tail(reversed(found), size // _STRETCHES)
        return tail.oldest_kept(batches, size)

    async def _reaching_back(self, model: ModelName, until: BatchPosition, batches: int, size: int) -> list[Passed]:
        """Newest first, a page at a time: there may be many."""
        found: list[Passed] = []
        newest: str = until
        while len(found) < batches and size > 0:
            page = await self.latest(model, newest, _PAGE)
            found += page
            size -= sum(passed.size for passed in page)
            if len(page) < _PAGE:
                break
            newest = f"({page[-1].position}"
        return found

    async def latest(self, model: ModelName, until: str, limit: int) -> Sequence[Passed]:
        """The latest `limit` up to and including `until` (before it, with a parenthesis), newest first."""
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
