"""From entries of the log to rows that count: each batch once, of the right width, none of them judged before."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.domain.models import Batch, BatchPosition, Cursor, LoggedBatch, arrival, is_after
from service.domain.windows.identifiers import RecentIdentifiers

MAXIMUM_AHEAD_MS = 24 * 3600 * 1000
"""A row that claims to be of a later moment than its arrival by more than this is dropped: it must move no window."""
NO_ROWS: NDArray[np.float64] = np.empty((0, 0))
"""Fit no reference: what stands for a batch that cannot be read as rows of these features."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """The rows of one batch that count."""

    position: BatchPosition
    before: BatchPosition
    """The entry just before it in the log, counted or not."""
    identifier: str
    traceparent: str | None
    rows: NDArray[np.float64]
    times: NDArray[np.int64]
    """Of each row, in milliseconds since the epoch."""
    places: NDArray[np.intp]
    """Of each row in its batch, ascending."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """What did not count."""

    duplicates: int = 0
    misfits: int = 0
    future: int = 0

    def and_these(self, *, duplicates: int = 0, misfits: int = 0, future: int = 0) -> "Dropped":
        """More of them."""
        return Dropped(self.duplicates + duplicates, self.misfits + misfits, self.future + future)


class Admission:
    """Takes the entries after the start cursor, in the log's order."""

    def __init__(self, features: int, start: Cursor, recent: RecentIdentifiers, *, by_time: bool) -> None:
        self._features = features
        self._recent = recent
        self._start = start
        self._by_time = by_time
        self._dropped = Dropped()
        self.read = start.position
        """The last entry taken."""

    def take(self, logged: LoggedBatch) -> Admitted | None:
        """Its rows; None if there are none that count."""
        before, self.read = self.read, logged.position
        repeated = self._recent.is_repeated(logged.batch.identifier)
        if repeated or not self._fits(logged.batch):
            if is_after(logged.position, self._start.read):
                self._dropped = self._dropped.and_these(duplicates=repeated, misfits=not repeated)
            return None
        first = self._start.offset if before == self._start.position else 0
        times = _times(logged.batch)[first:]
        kept = self._kept(logged.position, times)
        rows, places = logged.batch.rows[first:], np.arange(first, len(logged.batch.rows))
        if not kept.all():
            rows, times, places = rows[kept], times[kept], places[kept]
        if not len(rows):
            return None
        batch = logged.batch
        return Admitted(logged.position, before, batch.identifier, batch.traceparent, rows, times, places)

    def dropped(self) -> Dropped:
        """Since it was asked before; what earlier windows have counted is left out."""
        dropped, self._dropped = self._dropped, Dropped()
        return dropped

    def _fits(self, batch: Batch) -> bool:
        times_fit = batch.times is None or batch.times.shape == (len(batch.rows),)
        return batch.rows.shape[1] == self._features and times_fit

    def _kept(self, position: BatchPosition, times: NDArray[np.int64]) -> NDArray[np.bool_]:
        kept = np.ones(len(times), dtype=np.bool_)
        start = self._start
        judged = None if is_after(position, start.closed_at) else start.until
        if judged is not None:
            kept &= times >= judged
        if self._by_time:
            ahead = times > arrival(position) + MAXIMUM_AHEAD_MS
            kept &= ~ahead
            if judged is None and (start.ends is None or is_after(position, start.read)):
                self._dropped = self._dropped.and_these(future=int(ahead.sum()))
        return kept


def _times(batch: Batch) -> NDArray[np.int64]:
    if batch.times is not None:
        return batch.times
    return np.full(len(batch.rows), round(batch.observed_at.timestamp() * 1000), dtype=np.int64)
