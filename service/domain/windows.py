"""Cutting a log of batches into windows, exactly at the row, with repeated batches counted once."""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.domain.models import Batch, BatchPosition, Cursor, LoggedBatch, Window

MAXIMUM_TRACEPARENTS = 8
NO_ROWS: NDArray[np.float64] = np.empty((0, 0))
"""Fit no reference: what stands for a batch that cannot be read as rows of these features."""


class RecentIdentifiers:
    """Batch identifiers within a horizon: the log's own memory of what it has already counted.

    The horizon is counted in entries of the log, repeated ones included, so that an evaluator that begins anywhere
    remembers exactly what one that has read all along does.
    """

    def __init__(self, horizon: int, identifiers: Iterable[str] = ()) -> None:
        self._horizon = horizon
        self._latest: deque[str] = deque()
        self._occurrences: Counter[str] = Counter()
        for identifier in identifiers:
            self.is_repeated(identifier)

    def is_repeated(self, identifier: str) -> bool:
        """Whether it was seen within the horizon; remembers it either way."""
        repeated = identifier in self._occurrences
        self._latest.append(identifier)
        self._occurrences[identifier] += 1
        if len(self._latest) > self._horizon:
            forgotten = self._latest.popleft()
            self._occurrences[forgotten] -= 1
            if not self._occurrences[forgotten]:
                del self._occurrences[forgotten]
        return repeated


@dataclass(slots=True)
class _Pending:
    batch: Batch
    before: BatchPosition
    """The entry just before it in the log, counted or not."""
    position: BatchPosition
    taken: int
    """Rows of it that earlier windows have."""

    @property
    def remaining(self) -> NDArray[np.float64]:
        return self.batch.rows[self.taken :]

    @property
    def end(self) -> Cursor:
        if self.taken == len(self.batch.rows):
            return Cursor(self.position)
        return Cursor(self.before, self.taken)


class WindowCutter:
    """Takes the batches after the start cursor in log order, gives windows; knows where the next one begins.

    Holds no more than one window's rows and one batch, if it is asked for windows after each batch.
    """

    def __init__(self, window_rows: int, features: int, start: Cursor, recent: RecentIdentifiers) -> None:
        self._window_rows = window_rows
        self._features = features
        self._recent = recent
        self._read = start.position
        self._skip = start.offset
        self._pending: deque[_Pending] = deque()
        self._rows = 0
        self._duplicates = 0
        self._misfits = 0

    @property
    def position(self) -> BatchPosition:
        """The last batch handed in; read the log after it."""
        return self._read

    @property
    def waiting_rows(self) -> int:
        """Rows handed in that no window has yet."""
        return self._rows

    def feed(self, logged: LoggedBatch) -> None:
        """Hand in the next batch of the log."""
        before, self._read = self._read, logged.position
        taken, self._skip = self._skip, 0
        if self._recent.is_repeated(logged.batch.identifier):
            self._duplicates += 1
        elif logged.batch.rows.shape[1] != self._features:
            self._misfits += 1
        else:
            self._pending.append(_Pending(logged.batch, before, logged.position, taken))
            self._rows += len(logged.batch.rows) - taken

    def cut(self) -> Window | None:
        """The next window, if its rows are there."""
        if self._rows < self._window_rows:
            return None
        pieces: list[NDArray[np.float64]] = []
        touched: list[_Pending] = []
        needed = self._window_rows
        while needed:
            pending = self._pending[0]
            piece = pending.remaining[:needed]
            pending.taken += len(piece)
            needed -= len(piece)
            pieces.append(piece)
            touched.append(pending)
            if pending.taken == len(pending.batch.rows):
                self._pending.popleft()
        self._rows -= self._window_rows
        window = self._window(np.concatenate(pieces), touched)
        self._duplicates = self._misfits = 0
        return window

    def _window(self, rows: NDArray[np.float64], touched: list[_Pending]) -> Window:
        times = [pending.batch.observed_at for pending in touched]
        traceparents = [pending.batch.traceparent for pending in touched if pending.batch.traceparent is not None]
        return Window(
            rows=rows,
            end=touched[-1].end,
            started_at=min(times),
            ended_at=max(times),
            batches=len(touched),
            duplicates=self._duplicates,
            misfits=self._misfits,
            traceparents=tuple(traceparents[-MAXIMUM_TRACEPARENTS:]),
        )
