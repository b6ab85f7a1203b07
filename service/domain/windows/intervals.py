"""Windows by time: the rows (or panes) whose event times lie in one interval, aligned to its length since the epoch.

An interval is judged when an entry of the log moves the watermark (the largest event time so far, less the allowed
lateness) to its end or beyond. What comes for it after that entry is late. Intervals without rows are passed over.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from service.domain.models import BatchPosition, Cursor, LoggedBatch, Window, earliest
from service.domain.summaries import Pane, Summaries
from service.domain.windows.admission import NO_ROWS, Admission, Admitted
from service.domain.windows.cutter import MAXIMUM_TRACEPARENTS, moment, some_of
from service.domain.windows.identifiers import RecentIdentifiers
from service.domain.windows.sample import RowSample, ranks


class _Held(Protocol):
    """What is kept of an interval until it is judged."""

    def add(self, of: Admitted, chosen: NDArray[np.bool_]) -> None: ...

    def rows(self) -> tuple[NDArray[np.float64], NDArray[np.int64] | None]: ...

    def summaries(self) -> Summaries | None: ...


class _HeldRows:
    def __init__(self, most_rows: int, key: bytes) -> None:
        self._sample = RowSample(most_rows)
        self._key = key

    def add(self, of: Admitted, chosen: NDArray[np.bool_]) -> None:
        rank = ranks(self._key, of.identifier, of.places[chosen])
        self._sample.add(rank, of.times[chosen], of.rows[chosen])

    def rows(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        return self._sample.rows_and_times()

    def summaries(self) -> None:
        return None


class _HeldSummaries:
    def __init__(self) -> None:
        self._sum: Summaries | None = None

    def add(self, of: Admitted, chosen: NDArray[np.bool_]) -> None:
        # What few rows are, merged with one another first: the sum of many is copied whenever something is added to it.
        found = reduce(add, [of.panes[place].summaries for place in np.flatnonzero(chosen)])
        self._sum = found if self._sum is None else self._sum + found

    def rows(self) -> tuple[NDArray[np.float64], None]:
        return NO_ROWS, None

    def summaries(self) -> Summaries | None:
        return self._sum


@dataclass(slots=True)
class _Interval:
    """One that is not judged yet."""

    held: _Held
    before: BatchPosition
    """The entry just before the first that has rows of it ..."""
    position: BatchPosition
    """... and that one."""
    seen: int = 0
    batches: int = 0
    first: int | None = None
    last: int | None = None
    traceparents: deque[str | None] = field(default_factory=lambda: deque(maxlen=MAXIMUM_TRACEPARENTS))

    def add(self, of: Admitted, chosen: NDArray[np.bool_]) -> None:
        times = of.times[chosen]
        self.held.add(of, chosen)
        self.seen += of.count(chosen)
        self.batches += 1
        first, last = int(times.min()), int(times.max())
        if of.panes:
            first = min(of.panes[place].begins_ms for place in np.flatnonzero(chosen))
        self.first = first if self.first is None else min(first, self.first)
        self.last = last if self.last is None else max(last, self.last)
        if of.traceparent is not None:
            self.traceparents.append(of.traceparent)


class IntervalCutter:
    """A `Cutter`. `features` None: of panes.

    Holds at most twice the sample and one batch (of panes: their sum) for each open interval, of which there are as
    many as the lateness has lengths, two more, and those that the latest batch alone has rows of.
    """

    def __init__(
        self,
        every_ms: int,
        lateness_ms: int,
        most_rows: int,
        features: int | None,
        start: Cursor,
        recent: RecentIdentifiers,
        *,
        key: bytes = b"",
    ) -> None:
        self._every_ms = every_ms
        self._lateness_ms = lateness_ms
        self._most_rows = most_rows
        self._key = key
        self._of_panes = features is None
        self._admission = Admission(features, start, recent, by_time=True)
        self._begun = self._start = start
        self._open: dict[int, _Interval] = {}
        self._newest: int | None = None
        """The largest event time so far."""
        self._late = 0

    @property
    def position(self) -> BatchPosition:
        """The last batch handed in; read the log after it."""
        return self._admission.read

    @property
    def waiting_rows(self) -> int:
        """Rows handed in that no window has had yet."""
        return sum(interval.seen for interval in self._open.values())

    @property
    def oldest_waiting(self) -> BatchPosition | None:
        """Of the batches handed in, the first that has rows for a window to come."""
        return earliest(interval.position for interval in self._open.values()) if self._open else None

    @property
    def patience_ms(self) -> int | None:
        """After so long a silence, rows for an open interval would be late in any case."""
        return self._every_ms + self._lateness_ms

    def feed(self, logged: LoggedBatch, panes: Sequence[Pane] | None = None) -> None:
        """Hand in the next batch of the log."""
        admitted = self._admission.take(logged, panes)
        if admitted is None:
            return
        late = admitted.times < self._judged_until()
        self._late += admitted.count(late)
        numbers = admitted.times // self._every_ms
        for number in np.unique(numbers[~late]).tolist():
            interval = self._open.get(number)
            if interval is None:
                held = _HeldSummaries() if self._of_panes else _HeldRows(self._most_rows, self._key)
                interval = self._open[number] = _Interval(held, admitted.before, admitted.position)
            interval.add(admitted, (numbers == number) & ~late)
        newest = int(admitted.times.max())
        self._newest = newest if self._newest is None else max(newest, self._newest)

    def _judged_until(self) -> int:
        """Rows from before it are late."""
        passed = 0 if self._newest is None else (self._newest - self._lateness_ms) // self._every_ms * self._every_ms
        return max(passed, self._start.until or 0)

    def cut(self) -> Window | None:
        """The oldest interval that has rows, if the watermark is past it."""
        if not self._open or (min(self._open) + 1) * self._every_ms > self._judged_until():
            return None
        return self.close()

    def close(self) -> Window | None:
        """The oldest interval that has rows, as it stands."""
        if not self._open:
            return None
        number = min(self._open)
        interval = self._open.pop(number)
        start, self._start = self._start, self._after(number)
        dropped, late, self._late = self._admission.dropped(), self._late, 0
        rows, times = interval.held.rows()
        assert interval.first is not None  # noqa: S101 - an interval is opened by a row
        assert interval.last is not None  # noqa: S101
        return Window(
            rows=rows,
            seen=interval.seen,
            step=interval.seen,
            start=start,
            end=self._start,
            started_at=moment(interval.first),
            ended_at=moment(interval.last),
            batches=interval.batches,
            duplicates=dropped.duplicates,
            misfits=dropped.misfits,
            late=late,
            future=dropped.future,
            mismatches=dropped.mismatches,
            flagged=dropped.flagged,
            traceparents=some_of(interval.traceparents),
            summaries=interval.held.summaries(),
            times=times,
        )

    def _after(self, number: int) -> Cursor:
        """Just before the earliest entry that still has a row to be judged."""
        read = self._admission.read
        position = earliest(interval.before for interval in self._open.values()) if self._open else read
        offset = self._begun.offset if position == self._begun.position else 0
        return Cursor(position, offset, read, (number + 1) * self._every_ms, read)
