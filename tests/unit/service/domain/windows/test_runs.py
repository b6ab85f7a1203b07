"""However rows are split into batches, repeated and resumed: the same windows by count, row for row."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.domain.models import Batch, BatchPosition, Cursor, LoggedBatch
from service.domain.plan import WindowPlan
from service.domain.windows import MAXIMUM_TRACEPARENTS, RecentIdentifiers, WindowCutter
from tests.unit.service.domain.windows.logs import (
    ARRIVAL,
    DAY,
    FEATURES,
    Sent,
    counted,
    cutter_at,
    logged,
    numbers,
    place,
    sent,
    windows,
)

EVERY = 10_000
horizons = st.sampled_from([0, 1, 2, 5, 1000])
logs = st.lists(sent(st.integers(0, 60_000)), max_size=60)
restarts = st.frozensets(st.integers(1, 80))
by_count = st.integers(1, 12).flatmap(
    lambda rows: st.builds(WindowPlan, rows=st.just(rows), step=st.none() | st.integers(1, rows))
)
by_count_or_time = st.builds(WindowPlan, rows=st.integers(1, 12), every_seconds=st.just(EVERY // 1000))


def entries_of(*names: str, rows: int = 1) -> list[Sent]:
    return [Sent(name, (1000 * index,) * rows) for index, name in enumerate(names, 1)]


def counted_numbers(entries: Sequence[Sent], horizon: int) -> list[float]:
    return [number for rows in counted(entries, horizon) for number, _ in rows]


@given(logs, by_count, horizons, restarts)
@example(  # the repeated `a` must not be remembered longer by one evaluator than by another
    entries_of(*"abaca"), WindowPlan(1), 2, frozenset({2})
)
def test_windows_do_not_depend_on_batches_repetitions_or_restarts(
    entries: list[Sent], plan: WindowPlan, horizon: int, resume_after: frozenset[int]
) -> None:
    assert plan.rows is not None
    step, expected = plan.step or plan.rows, counted_numbers(entries, horizon)
    whole = max(0, (len(expected) - plan.rows) // step + 1)
    found = windows(plan, logged(entries), horizon, resume_after)
    assert [numbers(window) for window in found] == [
        expected[first * step : first * step + plan.rows] for first in range(whole)
    ]
    assert all((window.seen, window.step) == (plan.rows, step) for window in found)


@given(logs, by_count | by_count_or_time, horizons, restarts)
def test_a_restart_changes_nothing_that_is_said_of_a_window(
    entries: list[Sent], plan: WindowPlan, horizon: int, resume_after: frozenset[int]
) -> None:
    log = logged(entries)
    once, often = (windows(plan, log, horizon, each) for each in (frozenset[int](), resume_after))
    assert [_said(window) for window in once] == [_said(window) for window in often]
    for window in once:
        assert _said(windows(plan, log, horizon, start=window.start)[0]) == _said(window)


def _said(window: object) -> list[object]:
    values = [getattr(window, name) for name in window.__slots__]  # type: ignore[attr-defined]
    return [value.tolist() if isinstance(value, np.ndarray) else value for value in values]


@given(logs, by_count | by_count_or_time)
def test_splitting_into_single_rows_changes_no_window(entries: list[Sent], plan: WindowPlan) -> None:
    fitting = [Sent(str(index), entry.times) for index, entry in enumerate(entries)]
    singly = [Sent(f"{entry.identifier}/{row}", (time,)) for entry in fitting for row, time in enumerate(entry.times)]
    by_batch, by_row = ([numbers(window) for window in windows(plan, logged(each))] for each in (fitting, singly))
    assert by_batch == by_row


@given(logs, by_count_or_time, horizons, restarts)
def test_by_count_or_time_windows_are_what_the_definition_says(
    entries: list[Sent], plan: WindowPlan, horizon: int, resume_after: frozenset[int]
) -> None:
    assert plan.rows is not None
    rows = [row for each in counted(entries, horizon) for row in each]
    newest = np.maximum.accumulate([time for _, time in rows]) // EVERY if rows else []
    stretches = [
        [number for _, (number, _) in group]
        for _, group in groupby(zip(newest, rows, strict=True), key=lambda each: each[0])
    ]
    expected = [
        stretch[first : first + plan.rows]
        for last, stretch in enumerate(stretches, 1)
        for first in range(0, len(stretch), plan.rows)
        if last < len(stretches) or first + plan.rows <= len(stretch)
    ]
    found = windows(plan, logged(entries), horizon, resume_after)
    assert [numbers(window) for window in found] == expected


@given(logs, by_count, restarts)
def test_what_was_dropped_is_counted_in_exactly_one_window(
    entries: list[Sent], plan: WindowPlan, resume_after: frozenset[int]
) -> None:
    assert plan.rows is not None
    closing = (60_000,) * plan.rows  # so that the last dropped batch is in a window, too
    log = logged([*entries, Sent("closing", closing), Sent("closing again", closing)])
    found = windows(plan, log, 1000, resume_after)
    identifiers = [entry.identifier for entry in entries]
    first = [entry for index, entry in enumerate(entries) if entry.identifier not in identifiers[:index]]
    assert sum(window.duplicates for window in found) == len(entries) - len(first)
    assert sum(window.misfits for window in found) == sum(not entry.fits for entry in first)


def test_a_window_that_ends_inside_a_batch_says_where() -> None:
    log = logged([Sent("a", (1,) * 3), Sent("a", (1,) * 3), Sent("b", (1,) * 5)])
    first, second = windows(WindowPlan(4), log, 10)
    second_entry, third = (BatchPosition(f"{ARRIVAL + index}-0") for index in (2, 3))
    assert first.end == Cursor(second_entry, 1, third)  # past the repeated batch, one row into the third
    assert second.end == Cursor(third, 0, third)
    assert second.start == first.end


def test_a_sliding_window_ends_where_the_next_one_begins_and_needs_nothing_before_it() -> None:
    log = logged(entries_of(*"abcdef", rows=2))
    first, second, third = windows(WindowPlan(6, step=3), log)
    assert [(place(each.end.position), each.end.offset) for each in (first, second, third)] == [(1, 1), (3, 0), (4, 1)]
    assert [numbers(each)[0] for each in (first, second, third)] == [0, 3, 6]


def test_a_window_spans_the_times_of_its_rows() -> None:
    log = logged([Sent("a", (5000, 4000)), Sent("b", (8000, 9000)), Sent("c", (1000, 1000))])
    first, _ = windows(WindowPlan(3), log)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert (first.started_at, first.ended_at) == (epoch + timedelta(seconds=4), epoch + timedelta(seconds=8))


def test_traceparents_of_a_window_are_bounded() -> None:
    rows, noon = np.zeros((1, FEATURES)), datetime(2026, 3, 1, 12, tzinfo=UTC)
    cuts = WindowCutter(50, FEATURES, Cursor(), RecentIdentifiers(100))
    for index in range(1, 51):
        batch = Batch(str(index), rows, noon, traceparent=f"trace {index}")
        cuts.feed(LoggedBatch(BatchPosition(f"{index}-0"), batch))
    window = cuts.cut()
    assert window is not None
    assert window.traceparents == tuple(f"trace {index}" for index in range(51 - MAXIMUM_TRACEPARENTS, 51))
    assert (window.started_at, window.ended_at) == (noon, noon)


def test_waiting_rows_are_those_that_the_next_window_may_have() -> None:
    for step, left in ((None, 2), (1, 5)):
        log = logged([Sent("a", (1,) * 6)])
        cuts = cutter_at(WindowPlan(4, step=step), log, Cursor(), 100)
        cuts.feed(log[0])
        assert cuts.waiting_rows == 6
        assert cuts.cut() is not None
        assert cuts.waiting_rows == left


def test_by_count_alone_rows_wait_for_others_for_ever() -> None:
    log = logged(entries_of("a", rows=3))
    cuts = cutter_at(WindowPlan(4), log, Cursor(), 100)
    cuts.feed(log[0])
    assert (cuts.patience_ms, cuts.close()) == (None, None)


@pytest.mark.parametrize("resume", [False, True])
def test_after_silence_a_window_by_count_or_time_is_closed_as_it_stands(resume: bool) -> None:
    plan = WindowPlan(4, every_seconds=10)
    log = logged([Sent("a", (1000,) * 6), Sent("b", (2000, 11_000))])
    cuts = cutter_at(plan, log, Cursor(), 100)
    cuts.feed(log[0])
    full, silent = cuts.cut(), cuts.close()
    assert full is not None
    assert silent is not None
    assert (numbers(full), numbers(silent)) == ([0, 1, 2, 3], [4, 5])
    assert cuts.close() is None
    if resume:
        cuts = cutter_at(plan, log, silent.end, 100)
    cuts.feed(log[1])
    rest = cuts.cut()
    assert rest is not None
    assert numbers(rest) == [6]
    assert cuts.waiting_rows == 1


def test_a_row_of_the_far_future_ends_no_window_and_is_counted() -> None:
    log = logged([Sent("a", (1000, ARRIVAL + DAY + 1000, 2000)), Sent("b", (11_000,))])
    (window,) = windows(WindowPlan(5, every_seconds=10), log)
    assert (numbers(window), window.future) == ([0, 2], 1)
    (window,) = windows(WindowPlan(4), log)  # by count, times mean nothing
    assert (numbers(window), window.future) == ([0, 1, 2, 3], 0)
