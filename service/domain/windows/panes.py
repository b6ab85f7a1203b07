"""Windows by count where rows are not kept: batch after batch until there are rows enough."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add

from service.domain.models import BatchPosition, Cursor, LoggedBatch, Window
from service.domain.summaries import Pane, Summaries
from service.domain.windows.admission import NO_ROWS, Admission
from service.domain.windows.cutter import MAXIMUM_TRACEPARENTS, judged_beyond, moment, some_of
from service.domain.windows.identifiers import RecentIdentifiers


@dataclass(slots=True)
class _Sum:
    """What there is of a window."""

    position: BatchPosition
    summaries: Summaries
    first: int
    last: int
    batches: int = 0
    traceparents: deque[str | None] = field(default_factory=lambda: deque(maxlen=MAXIMUM_TRACEPARENTS))


class PaneCutter:
    """A `Cutter`. Holds one sum. A window has as many rows as it should, and the rest of its last batch."""

    def __init__(self, window_rows: int, start: Cursor, recent: RecentIdentifiers) -> None:
        self._window_rows = window_rows
        self._admission = Admission(None, start, recent, by_time=False)
        self._begun = self._start = start
        self._sum: _Sum | None = None

    @property
    def position(self) -> BatchPosition:
        """The last batch handed in; read the log after it."""
        return self._admission.read

    @property
    def waiting_rows(self) -> int:
        """Rows handed in that no window has had yet."""
        return self._sum.summaries.rows if self._sum is not None else 0

    @property
    def oldest_waiting(self) -> BatchPosition | None:
        """Of the batches handed in, the first that has rows for a window to come."""
        return self._sum.position if self._sum is not None else None

    @property
    def patience_ms(self) -> int | None:
        """None: rows wait for others for ever."""
        return None

    def feed(self, logged: LoggedBatch, panes: Sequence[Pane] | None = None) -> None:
        """Hand in the next batch of the log."""
        admitted = self._admission.take(logged, panes)
        if admitted is None:
            return
        # Merged with one another first: the sum of many rows is copied whenever something is added to it.
        summaries = reduce(add, [pane.summaries for pane in admitted.panes])
        first, last = min(pane.begins_ms for pane in admitted.panes), int(admitted.times.max())
        held = self._sum
        if held is None:
            held = self._sum = _Sum(admitted.position, summaries, first, last)
        else:
            held.summaries += summaries
            held.first, held.last = min(held.first, first), max(held.last, last)
        held.batches += 1
        if admitted.traceparent is not None:
            held.traceparents.append(admitted.traceparent)

    def cut(self) -> Window | None:
        """The next window, if its rows are there."""
        held = self._sum
        if held is None or held.summaries.rows < self._window_rows:
            return None
        self._sum = None
        until, closed_at = judged_beyond(self._begun, self.position)
        start, self._start = self._start, Cursor(self.position, 0, self.position, until, closed_at)
        dropped = self._admission.dropped()
        return Window(
            rows=NO_ROWS,
            seen=held.summaries.rows,
            step=held.summaries.rows,
            start=start,
            end=self._start,
            started_at=moment(held.first),
            ended_at=moment(held.last),
            batches=held.batches,
            duplicates=dropped.duplicates,
            misfits=dropped.misfits,
            late=0,
            future=dropped.future,
            mismatches=dropped.mismatches,
            traceparents=some_of(held.traceparents),
            summaries=held.summaries,
        )

    def close(self) -> Window | None:
        """By count, silence ends nothing."""
        return None
