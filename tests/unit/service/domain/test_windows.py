"""However rows are split into batches, repeated and resumed: the same windows, row for row."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from service.domain.models import Batch, BatchPosition, Cursor, LoggedBatch, Window
from service.domain.windows import MAXIMUM_TRACEPARENTS, RecentIdentifiers, WindowCutter

FEATURES = 2
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Sent:
    """One entry of a log, as hypothesis thinks it up."""

    identifier: str
    rows: int
    fits: bool


sent = st.builds(
    Sent,
    identifier=st.sampled_from([*"abcdef", *(f"unique-{i}" for i in range(40))]),
    rows=st.integers(1, 9),
    fits=st.booleans() | st.just(value=True),
)


def logged(entries: Sequence[Sent]) -> list[LoggedBatch]:
    """Rows carry a number of their own, repeated batches too: a row counted twice or out of order is seen."""
    log, next_row = [], 0
    for index, entry in enumerate(entries, 1):
        numbers = np.arange(next_row, next_row + entry.rows, dtype=np.float64)
        next_row += entry.rows
        columns = FEATURES if entry.fits else FEATURES + 1
        batch = Batch(entry.identifier, np.column_stack([numbers] * columns), NOON + timedelta(seconds=index))
        log.append(LoggedBatch(BatchPosition(f"{index}-0"), batch))
    return log


def counted_rows(entries: Sequence[Sent], horizon: int) -> list[float]:
    """The law, said without windows or cursors: fitting batches not among the `horizon` before them, in order."""
    rows: list[float] = []
    for index, logged_batch in enumerate(logged(entries)):
        before = [entry.identifier for entry in entries[max(0, index - horizon) : index]]
        if entries[index].identifier not in before and entries[index].fits:
            rows.extend(logged_batch.batch.rows[:, 0].tolist())
    return rows


def cutter_at(log: Sequence[LoggedBatch], cursor: Cursor, window_rows: int, horizon: int) -> WindowCutter:
    """What an evaluator that has just started makes of the log."""
    until = sum(1 for entry in log if _place(entry.position) <= _place(cursor.position))
    seen = [entry.batch.identifier for entry in log[max(0, until - horizon) : until]] if horizon else []
    return WindowCutter(window_rows, FEATURES, cursor, RecentIdentifiers(horizon, seen))


def _place(position: BatchPosition) -> int:
    return int(position.partition("-")[0])


def windows(log: Sequence[LoggedBatch], window_rows: int, horizon: int, resume_after: frozenset[int]) -> list[Window]:
    """All windows; after those in `resume_after` a fresh evaluator takes over from the cursor alone."""
    cutter = cutter_at(log, Cursor(), window_rows, horizon)
    found: list[Window] = []
    while True:
        window = cutter.cut()
        if window is not None:
            found.append(window)
            if len(found) in resume_after:
                cutter = cutter_at(log, window.end, window_rows, horizon)
            continue
        after = _place(cutter.position)
        if after == len(log):
            return found
        cutter.feed(log[after])


@given(
    entries=st.lists(sent, max_size=60),
    window_rows=st.integers(1, 12),
    horizon=st.sampled_from([0, 1, 2, 5, 1000]),
    resume_after=st.frozensets(st.integers(1, 40)),
)
@example(  # the repeated `a` must not be remembered longer by one evaluator than by another
    entries=[Sent(name, 1, fits=True) for name in "abaca"], window_rows=1, horizon=2, resume_after=frozenset({2})
)
def test_windows_do_not_depend_on_batches_repetitions_or_restarts(
    entries: list[Sent], window_rows: int, horizon: int, resume_after: frozenset[int]
) -> None:
    found = windows(logged(entries), window_rows, horizon, resume_after)
    expected = counted_rows(entries, horizon)
    whole = len(expected) // window_rows
    assert [len(window.rows) for window in found] == [window_rows] * whole
    assert [row for window in found for row in window.rows[:, 0].tolist()] == expected[: whole * window_rows]


@given(st.lists(sent, max_size=40), st.integers(1, 12))
def test_splitting_into_single_rows_changes_no_window(entries: list[Sent], window_rows: int) -> None:
    fitting = [Sent(str(index), entry.rows, fits=True) for index, entry in enumerate(entries)]
    singly = [Sent(f"{entry.identifier}/{row}", 1, fits=True) for entry in fitting for row in range(entry.rows)]
    by_batch, by_row = (windows(logged(each), window_rows, 1000, frozenset()) for each in (fitting, singly))
    assert [window.rows.tolist() for window in by_batch] == [window.rows.tolist() for window in by_row]


@given(st.lists(sent, max_size=60), st.integers(1, 12))
def test_what_was_dropped_is_counted_in_exactly_one_window(entries: list[Sent], window_rows: int) -> None:
    closing = Sent("closing", window_rows, fits=True)  # so that the last dropped batch is in a window, too
    log = logged([*entries, closing, Sent("closing again", window_rows, fits=True)])
    found = windows(log, window_rows, 1000, frozenset())
    identifiers = [entry.identifier for entry in entries]
    first = [entry for index, entry in enumerate(entries) if entry.identifier not in identifiers[:index]]
    assert sum(window.duplicates for window in found) == len(entries) - len(first)
    assert sum(window.misfits for window in found) == sum(not entry.fits for entry in first)


def test_a_window_that_ends_inside_a_batch_says_where() -> None:
    log = logged([Sent("a", 3, fits=True), Sent("a", 3, fits=True), Sent("b", 5, fits=True)])
    first, second = windows(log, 4, 10, frozenset())
    third = BatchPosition("3-0")
    assert first.end == Cursor(BatchPosition("2-0"), 1, third)  # past the repeated batch, one row into the third
    assert second.end == Cursor(third, 0, third)
    assert second.start == first.end


def test_a_window_spans_the_times_of_its_batches() -> None:
    log = logged([Sent("a", 2, fits=True), Sent("b", 2, fits=True), Sent("c", 2, fits=True)])
    first, _ = windows(log, 3, 10, frozenset())
    assert (first.started_at, first.ended_at) == (NOON + timedelta(seconds=1), NOON + timedelta(seconds=2))


def test_traceparents_of_a_window_are_bounded() -> None:
    rows = np.zeros((1, FEATURES))
    cutter = WindowCutter(50, FEATURES, Cursor(), RecentIdentifiers(100))
    for index in range(1, 51):
        batch = Batch(str(index), rows, NOON, traceparent=f"trace {index}")
        cutter.feed(LoggedBatch(BatchPosition(f"{index}-0"), batch))
    window = cutter.cut()
    assert window is not None
    assert window.traceparents == tuple(f"trace {index}" for index in range(51 - MAXIMUM_TRACEPARENTS, 51))


def test_waiting_rows_are_those_that_no_window_has() -> None:
    cutter = WindowCutter(4, FEATURES, Cursor(), RecentIdentifiers(100))
    cutter.feed(logged([Sent("a", 6, fits=True)])[0])
    assert cutter.waiting_rows == 6
    assert cutter.cut() is not None
    assert cutter.waiting_rows == 2
    assert cutter.cut() is None
