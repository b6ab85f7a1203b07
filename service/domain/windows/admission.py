"""From entries of the log to rows that count: each batch once, of the right width, none of them judged before.

Where rows are not kept, panes of them take their place: none is divided.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from service.domain.models import (
    NONE_FLAGGED,
    Batch,
    BatchPosition,
    Cursor,
    FlaggedRows,
    LoggedBatch,
    arrival,
    is_after,
)
from service.domain.summaries import Pane
from service.domain.windows.identifiers import RecentIdentifiers

MAXIMUM_AHEAD_MS = 24 * 3600 * 1000
"""A row that claims to be of a later moment than its arrival by more than this is dropped: it must move no window."""
NO_ROWS: NDArray[np.float64] = np.empty((0, 0))
"""Fit no reference: what stands for a batch that cannot be read as rows of these features."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """The rows of one batch that count; or its panes, each of which stands where a row would."""

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
    panes: tuple[Pane, ...] = ()
    """Instead of rows, which then have no columns."""

    def count(self, chosen: NDArray[np.bool_]) -> int:
        """How many observations those are."""
        if not self.panes:
            return int(chosen.sum())
        return sum(pane.summaries.rows for pane, is_chosen in zip(self.panes, chosen, strict=True) if is_chosen)


@dataclass(frozen=True, slots=True)
class Dropped:
    """What did not count, or not as it was sent."""

    duplicates: int = 0
    misfits: int = 0
    future: int = 0
    mismatches: int = 0
    """See `Batch.mismatches`."""
    flagged: FlaggedRows = NONE_FLAGGED
    """See `Batch.flagged`."""

    def and_these(self, *, duplicates: int = 0, misfits: int = 0, future: int = 0, mismatches: int = 0) -> "Dropped":
        """More of them."""
        return replace(
            self,
            duplicates=self.duplicates + duplicates,
            misfits=self.misfits + misfits,
            future=self.future + future,
            mismatches=self.mismatches + mismatches,
        )

    def and_flagged(self, flagged: FlaggedRows) -> "Dropped":
        """More of those."""
        return replace(self, flagged=self.flagged + flagged)


class Admission:
    """Takes the entries after the start cursor, in the log's order.

    `features` None: what counts is panes.
    """

    def __init__(self, features: int | None, start: Cursor, recent: RecentIdentifiers, *, by_time: bool) -> None:
        self._features = features
        self._recent = recent
        self._start = start
        self._by_time = by_time
        self._dropped = Dropped()
        self.read = start.position
        """The last entry taken."""

    def take(self, logged: LoggedBatch, panes: Sequence[Pane] | None = None) -> Admitted | None:
        """Its rows, or its panes; None if there are none that count."""
        before, self.read = self.read, logged.position
        repeated = self._recent.is_repeated(logged.batch.identifier)
        if repeated or not self._fits(logged.batch, panes):
            if is_after(logged.position, self._start.read):
                self._dropped = self._dropped.and_these(duplicates=repeated, misfits=not repeated)
            return None
        if logged.batch.mismatches and is_after(logged.position, self._start.read):
            self._dropped = self._dropped.and_these(mismatches=logged.batch.mismatches)
        if logged.batch.flagged is not NONE_FLAGGED and is_after(logged.position, self._start.read):
            self._dropped = self._dropped.and_flagged(logged.batch.flagged)
        if panes is not None:
            return self._admitted(logged, before, panes)
        first = self._start.offset if before == self._start.position else 0
        times = event_times(logged.batch)[first:]
        kept, ahead = self._kept(logged.position, times)
        self._drop_future(logged.position, int(ahead.sum()))
        rows, places = logged.batch.rows[first:], np.arange(first, len(logged.batch.rows))
        if not kept.all():
            rows, times, places = rows[kept], times[kept], places[kept]
        if not len(rows):
            return None
        batch = logged.batch
        return Admitted(logged.position, before, batch.identifier, batch.traceparent, rows, times, places)

    def _admitted(self, logged: LoggedBatch, before: BatchPosition, panes: Sequence[Pane]) -> Admitted | None:
        ends = np.array([pane.ends_ms for pane in panes], dtype=np.int64)
        kept, ahead = self._kept(logged.position, ends)
        self._drop_future(
            logged.position, sum(pane.summaries.rows for pane, is_ahead in zip(panes, ahead, strict=True) if is_ahead)
        )
        places = np.flatnonzero(kept)
        if not len(places):
            return None
        rows, chosen, batch = np.empty((len(places), 0)), tuple(panes[int(place)] for place in places), logged.batch
        return Admitted(logged.position, before, batch.identifier, batch.traceparent, rows, ends[kept], places, chosen)

    def dropped(self) -> Dropped:
        """Since it was asked before; what earlier windows have counted is left out."""
        dropped, self._dropped = self._dropped, Dropped()
        return dropped

    def _fits(self, batch: Batch, panes: Sequence[Pane] | None) -> bool:
        if self._features is None or panes is not None:
            return self._features is None and panes is not None
        times_fit = batch.times is None or batch.times.shape == (len(batch.rows),)
        return batch.rows.shape[1] == self._features and times_fit

    def _kept(self, position: BatchPosition, times: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which count, and which are of a moment too far ahead."""
        kept, ahead = np.ones(len(times), dtype=np.bool_), np.zeros(len(times), dtype=np.bool_)
        judged = self._judged(position)
        if judged is not None:
            kept &= times >= judged
        if self._by_time:
            ahead = times > arrival(position) + MAXIMUM_AHEAD_MS
            kept &= ~ahead
        return kept, ahead

    def _judged(self, position: BatchPosition) -> int | None:
        return None if is_after(position, self._start.closed_at) else self._start.until

    def _drop_future(self, position: BatchPosition, rows: int) -> None:
        start = self._start
        if self._judged(position) is None and (start.ends is None or is_after(position, start.read)):
            self._dropped = self._dropped.and_these(future=rows)


def not_judged(logged: LoggedBatch, before: BatchPosition, start: Cursor) -> Batch:
    """The batch without the rows that windows up to `start` have had: those alone are left to be summarised.

    `before` is the entry before it in the log; the batch has as many times as rows.
    """
    batch = logged.batch
    times = event_times(batch)
    kept = np.arange(len(times)) >= (start.offset if before == start.position else 0)
    if start.until is not None and not is_after(logged.position, start.closed_at):
        kept &= times >= start.until
    return batch if kept.all() else replace(batch, rows=batch.rows[kept], times=times[kept])


def event_times(batch: Batch) -> NDArray[np.int64]:
    """Of each row, in milliseconds since the epoch."""
    if batch.times is not None:
        return batch.times
    return np.full(len(batch.rows), round(batch.observed_at.timestamp() * 1000), dtype=np.int64)
