"""Windows by count: runs of the log, one after another or overlapping; also cut by time, whichever comes first.

Rows follow one another as they do in the log. By count or time, a window ends before the first row that carries the
largest event time so far into the next interval; a row from before that interval is in the window that it comes to.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from service.domain.models import BatchPosition, Cursor, LoggedBatch, Window
from service.domain.summaries import Pane
from service.domain.windows.admission import Admission, Admitted
from service.domain.windows.cutter import judged_beyond, moment, some_of
from service.domain.windows.identifiers import RecentIdentifiers
from service.domain.windows.sample import lowest, ranks


@dataclass(slots=True)
class _Piece:
    """Some rows of one batch that follow one another."""

    of: Admitted
    taken: int
    """Its first row that the next window has."""
    stop: int
    """Its end."""

    @property
    def rows(self) -> int:
        return self.stop - self.taken

    def advance(self, rows: int) -> Cursor:
        """Pass over its first rows; where that leaves the log."""
        self.taken += rows
        if self.taken == len(self.of.rows):
            return Cursor(self.of.position)
        return Cursor(self.of.before, int(self.of.places[self.taken]))


@dataclass(slots=True)
class _Run:
    """Rows of one interval of the log's time; without intervals, all of them."""

    ends: int | None
    pieces: deque[_Piece] = field(default_factory=deque)
    rows: int = 0


class WindowCutter:
    """A `Cutter`. Holds no more than one window's rows and one batch."""

    def __init__(
        self,
        window_rows: int,
        features: int,
        start: Cursor,
        recent: RecentIdentifiers,
        *,
        step: int | None = None,
        every_ms: int | None = None,
        sample_rows: int | None = None,
        key: bytes = b"",
    ) -> None:
        self._window_rows = window_rows
        self._step = step or window_rows
        self._every_ms = every_ms
        self._sample_rows = sample_rows
        self._key = key
        self._admission = Admission(features, start, recent, by_time=every_ms is not None)
        self._begun = self._start = start
        self._runs = deque([_Run(start.ends if every_ms is not None else None)])

    @property
    def position(self) -> BatchPosition:
        """The last batch handed in; read the log after it."""
        return self._admission.read

    @property
    def waiting_rows(self) -> int:
        """Rows handed in that no window has had yet, and those that the next one shares with the last."""
        return sum(run.rows for run in self._runs)

    @property
    def oldest_waiting(self) -> BatchPosition | None:
        """Of the batches handed in, the first that has rows for a window to come."""
        return next((run.pieces[0].of.position for run in self._runs if run.pieces), None)

    @property
    def patience_ms(self) -> int | None:
        """By time, the log's silence ends a window as well."""
        return self._every_ms

    def feed(self, logged: LoggedBatch, panes: Sequence[Pane] | None = None) -> None:
        """Hand in the next batch of the log."""
        admitted = self._admission.take(logged, panes)
        if admitted is None:
            return
        first = 0
        while first < len(admitted.rows):
            stop = self._end_of_interval(admitted.times, first)
            if stop > first:
                self._runs[-1].pieces.append(_Piece(admitted, first, stop))
                self._runs[-1].rows += stop - first
            first = stop

    def _end_of_interval(self, times: NDArray[np.int64], first: int) -> int:
        """The end of the rows that belong to the last run; a new one is begun if not even the first of them does."""
        if self._every_ms is None:
            return len(times)
        run = self._runs[-1]
        if run.ends is None or times[first] >= run.ends:
            ends = int(times[first]) // self._every_ms * self._every_ms + self._every_ms
            if run.rows:
                run = _Run(ends)
                self._runs.append(run)
            run.ends = ends
        over = times[first:] >= run.ends
        return first + int(over.argmax()) if over.any() else len(times)

    def cut(self) -> Window | None:
        """The next window, if its rows are there or its time is over."""
        if self._runs[0].rows >= self._window_rows:
            return self._window(self._window_rows, self._step)
        return self.close() if len(self._runs) > 1 else None

    def close(self) -> Window | None:
        """By time: what there is of the next window."""
        rows = self._runs[0].rows
        return self._window(rows, rows) if rows and self._every_ms is not None else None

    def _window(self, rows: int, step: int) -> Window:
        pieces = self._next(rows)
        times = np.concatenate([piece.of.times[piece.taken : piece.stop] for piece in pieces])
        chosen, moments = self._chosen(pieces, times)
        start, self._start = self._start, self._advanced(step)
        dropped = self._admission.dropped()
        return Window(
            rows=chosen,
            seen=rows,
            step=step,
            start=start,
            end=self._start,
            started_at=moment(int(times.min())),
            ended_at=moment(int(times.max())),
            batches=len(pieces),
            duplicates=dropped.duplicates,
            misfits=dropped.misfits,
            late=0,
            future=dropped.future,
            mismatches=dropped.mismatches,
            flagged=dropped.flagged,
            traceparents=some_of([piece.of.traceparent for piece in pieces]),
            times=moments,
        )

    def _next(self, rows: int) -> Sequence[_Piece]:
        pieces = []
        for piece in self._runs[0].pieces:
            pieces.append(_Piece(piece.of, piece.taken, min(piece.stop, piece.taken + rows)))
            rows -= pieces[-1].rows
            if not rows:
                break
        return pieces

    def _chosen(
        self, pieces: Sequence[_Piece], times: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Rows that are tested, and their times."""
        rows = np.concatenate([piece.of.rows[piece.taken : piece.stop] for piece in pieces])
        if self._sample_rows is None or len(rows) <= self._sample_rows:
            return rows, times
        of = [ranks(self._key, each.of.identifier, each.of.places[each.taken : each.stop]) for each in pieces]
        sample = lowest(np.concatenate(of), self._sample_rows)
        return rows[sample], times[sample]

    def _advanced(self, step: int) -> Cursor:
        run = self._runs[0]
        run.rows -= step
        at = self._start
        while step:
            piece = run.pieces[0]
            rows = min(step, piece.rows)
            at = piece.advance(rows)
            step -= rows
            if not piece.rows:
                run.pieces.popleft()
        if not run.rows and len(self._runs) > 1:
            self._runs.popleft()
        return self._cursor(at)

    def _cursor(self, at: Cursor) -> Cursor:
        until, closed_at = judged_beyond(self._begun, at.position)
        return Cursor(at.position, at.offset, self._admission.read, until, closed_at, self._runs[0].ends)
