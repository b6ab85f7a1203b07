"""What every way of cutting has in common."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol

from service.domain.models import LOG_START, BatchPosition, Cursor, LoggedBatch, Window, is_after
from service.domain.summaries import Pane

MAXIMUM_TRACEPARENTS = 8


class Cutter(Protocol):
    """Takes the batches after its start cursor in the log's order, and gives windows.

    To be asked for windows after each batch, until there is none: then it holds no more than its docstring says, and
    what it gives depends on nothing but the log. A cutter that starts at any window's `end` goes on in the same way.
    """

    @property
    def position(self) -> BatchPosition:
        """The last batch handed in; read the log after it."""
        ...

    @property
    def waiting_rows(self) -> int:
        """Rows handed in that no window has had yet."""
        ...

    @property
    def oldest_waiting(self) -> BatchPosition | None:
        """Of the batches handed in, the first that has rows for a window to come."""
        ...

    @property
    def patience_ms(self) -> int | None:
        """How long the log must have been silent before `close` is in order; None: rows wait for others for ever."""
        ...

    def feed(self, logged: LoggedBatch, panes: Sequence[Pane] | None = None) -> None:
        """Hand in the next batch of the log: its rows, or where rows are not kept its panes; None if it has none."""
        ...

    def cut(self) -> Window | None:
        """The next window, if the log says that it is complete."""
        ...

    def close(self) -> Window | None:
        """The oldest window that has rows, as it stands: the log has fallen silent."""
        ...


def judged_beyond(begun: Cursor, position: BatchPosition) -> tuple[int | None, BatchPosition]:
    """`until` and `closed_at` of a cursor at `position`: what a window by time has judged of the entries after it."""
    if begun.until is None or not is_after(begun.closed_at, position):
        return None, LOG_START
    return begun.until, begun.closed_at


def moment(milliseconds: int) -> datetime:
    """An event time as the rest of the service writes it."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def some_of(traceparents: Sequence[str | None]) -> tuple[str, ...]:
    """The latest of them, bounded."""
    return tuple(each for each in traceparents if each is not None)[-MAXIMUM_TRACEPARENTS:]
