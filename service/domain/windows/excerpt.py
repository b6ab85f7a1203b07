"""A judged window's rows again: which rows of the log it had, batch after batch, without holding any of them.

A cutter holds a window's rows, or a sample of them. Where a window begins, and what its verdict says of its size and
of where the next one begins, is enough to find all of them again, and to prove that they are all there: a log that has
been trimmed meanwhile gives another number of rows, or ends the window elsewhere.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from service.domain.models import Cursor, LoggedBatch, Verdict
from service.domain.plan import WindowPlan
from service.domain.windows.admission import Admission
from service.domain.windows.identifiers import RecentIdentifiers


@dataclass(frozen=True, slots=True)
class Extent:
    """What a verdict says of its window's place in the log."""

    start: Cursor
    end: Cursor
    """Where the next window begins; and, as `read`, the last entry that this one needed."""
    rows: int
    step: int
    """Rows from its first one to that of the next window."""

    @classmethod
    def of(cls, verdict: Verdict) -> "Extent | None":
        """None where the verdict does not say where its window began."""
        if verdict.start is None:
            return None
        next_row = verdict.first_row + verdict.rows if verdict.next_row is None else verdict.next_row
        return cls(verdict.start, verdict.cursor, verdict.rows, next_row - verdict.first_row)


@dataclass(frozen=True, slots=True)
class WindowRows:
    """What a window has of one batch, in the batch's order."""

    identifier: str
    rows: NDArray[np.float64]
    times: NDArray[np.int64]
    """Event time of each row, in milliseconds since the epoch."""
    places: NDArray[np.intp]
    """Of each row in its batch, ascending."""

    def only(self, chosen: NDArray[np.bool_]) -> "WindowRows":
        """Some of them."""
        return WindowRows(self.identifier, self.rows[chosen], self.times[chosen], self.places[chosen])


class Excerpt(Protocol):
    """Takes the batches after its extent's start, up to the last that the window needed, in the log's order."""

    def take(self, logged: LoggedBatch) -> WindowRows | None:
        """The batch's rows that the window has; None without any."""
        ...

    @property
    def over(self) -> bool:
        """Whether nothing that follows has rows of the window."""
        ...

    @property
    def whole(self) -> bool:
        """Whether what was given are all rows of the window and no others."""
        ...


def excerpt(plan: WindowPlan, features: int, extent: Extent, recent: RecentIdentifiers) -> Excerpt:
    """For a window that was cut by this plan; `recent` as for its cutter, up to the extent's start."""
    if plan.rows is not None:
        admission = Admission(features, extent.start, recent, by_time=plan.every_seconds is not None)
        return RunExcerpt(extent, admission)
    assert plan.every_ms is not None  # noqa: S101 - a plan with neither is refused
    return IntervalExcerpt(extent, Admission(features, extent.start, recent, by_time=True), plan.every_ms)


class RunExcerpt:
    """Windows by count, also those that time ended before: the first rows that follow their start."""

    def __init__(self, extent: Extent, admission: Admission) -> None:
        self._extent = extent
        self._admission = admission
        self._seen = 0
        self._next_begins: tuple[str, int] | None = None
        """Position and offset."""

    def take(self, logged: LoggedBatch) -> WindowRows | None:
        admitted = self._admission.take(logged)
        if admitted is None or self.over:
            return None
        rows, to_next = len(admitted.rows), self._extent.step - self._seen
        if 0 < to_next < rows:
            self._next_begins = (admitted.before, int(admitted.places[to_next]))
        elif to_next == rows:
            self._next_begins = (admitted.position, 0)
        taken = min(rows, self._extent.rows - self._seen)
        self._seen += taken
        return WindowRows(admitted.identifier, admitted.rows[:taken], admitted.times[:taken], admitted.places[:taken])

    @property
    def over(self) -> bool:
        return self._seen == self._extent.rows

    @property
    def whole(self) -> bool:
        # A log is trimmed at its old end: rows that are missing are the first ones, and move everything behind them.
        end = self._extent.end
        return self.over and self._next_begins == (end.position, end.offset)


class IntervalExcerpt:
    """Windows by time: what came for their interval until it was over."""

    def __init__(self, extent: Extent, admission: Admission, every_ms: int) -> None:
        assert extent.end.until is not None  # noqa: S101 - by time, cursors say until when
        self._rows = extent.rows
        self._until = extent.end.until
        self._since = max(self._until - every_ms, extent.start.until or 0)
        self._admission = admission
        self._seen = 0

    def take(self, logged: LoggedBatch) -> WindowRows | None:
        admitted = self._admission.take(logged)
        if admitted is None:
            return None
        chosen = (admitted.times >= self._since) & (admitted.times < self._until)
        self._seen += int(chosen.sum())
        if not chosen.any():
            return None
        rows, times, places = admitted.rows[chosen], admitted.times[chosen], admitted.places[chosen]
        return WindowRows(admitted.identifier, rows, times, places)

    @property
    def over(self) -> bool:
        return False  # until the last entry that the window needed, any may have rows of it

    @property
    def whole(self) -> bool:
        return self._seen == self._rows
