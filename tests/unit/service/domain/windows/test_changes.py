"""A plan that is replaced by one of another kind: rows not judged yet are judged by it, and no others."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from service.domain.models import Cursor, Window
from service.domain.plan import WindowPlan
from tests.unit.service.domain.windows.logs import (
    ARRIVAL,
    DAY,
    Sent,
    cutter_at,
    logged,
    numbers,
    place,
    sent,
    windows,
)

BY_COUNT = WindowPlan(5)
BY_TIME = WindowPlan(rows=None, every_seconds=10, lateness_seconds=15)
FINER = WindowPlan(rows=None, every_seconds=3, lateness_seconds=15)
BOTH = WindowPlan(4, every_seconds=7)
logs = st.lists(sent(st.integers(0, 60_000)), max_size=50)
plans = st.sampled_from([BY_COUNT, BY_TIME, FINER, BOTH])
# By count, the far future means nothing: a row that was passed over for it would be judged after such a change.
far_logs = st.lists(sent(st.integers(0, 60_000) | st.just(ARRIVAL + DAY + 1000)), max_size=50)
plans_by_time = st.sampled_from([BY_TIME, FINER, BOTH])
logs_and_plans = st.tuples(logs, plans, plans, plans) | st.tuples(far_logs, plans_by_time, plans_by_time, plans_by_time)


@given(logs_and_plans, st.integers(0, 8), st.integers(0, 8), st.frozensets(st.integers(1, 20)))
def test_no_row_is_judged_twice_and_none_is_lost(
    logs_and_plans: tuple[list[Sent], WindowPlan, WindowPlan, WindowPlan],
    after: int,
    after_more: int,
    resume_after: frozenset[int],
) -> None:
    entries, first, second, third = logs_and_plans
    log, cursor, found = logged(entries), Cursor(), list[Window]()
    for plan, most in ((first, after), (second, after_more), (third, 1000)):
        found += windows(plan, log, 1000, resume_after, cursor)[:most]
        cursor = found[-1].end if found else cursor
    judged = [number for window in found for number in numbers(window)]
    assert len(set(judged)) == len(judged)
    rest = cutter_at(third, log, cursor, 1000)
    for entry in log[place(rest.position) :]:
        rest.feed(entry)
    late, future = getattr(rest, "_late", 0), rest._admission.dropped().future  # type: ignore[attr-defined]
    names = [entry.identifier for entry in entries]
    counts = [len(entry.times) for i, entry in enumerate(entries) if entry.fits and entry.identifier not in names[:i]]
    dropped = late + future + sum(window.late + window.future for window in found)
    assert len(judged) + dropped + rest.waiting_rows == sum(counts)


@given(logs, plans, st.frozensets(st.integers(1, 20)))
def test_mismatches_are_counted_once_however_often_evaluators_change(
    entries: list[Sent], plan: WindowPlan, resume_after: frozenset[int]
) -> None:
    """So many of a batch as its place says: a number that is left out, or counted twice, is seen."""
    log = [
        replace(each, batch=replace(each.batch, mismatches=2**number)) for number, each in enumerate(logged(entries))
    ]
    found = windows(plan, log, 1000, resume_after)
    names = [entry.identifier for entry in entries]
    counted = {number for number, entry in enumerate(entries) if entry.fits and entry.identifier not in names[:number]}
    read = place(found[-1].end.read) if found else 0
    assert sum(window.mismatches for window in found) == sum(2**number for number in counted if number < read)


def test_rows_judged_by_count_are_not_judged_again_however_long_their_batch_is_read() -> None:
    log = logged([Sent("a", (22_000, 31_000, 1000, 32_000)), Sent("b", (12_000, 45_000)), Sent("c", (60_000,))])
    (by_count,) = windows(WindowPlan(2), log)[:1]
    plan = WindowPlan(rows=None, every_seconds=10)
    for resume_after in (frozenset[int](), frozenset({1}), frozenset({1, 2, 3})):
        found = windows(plan, log, 1000, resume_after, by_count.end)
        assert [numbers(window) for window in found] == [[2.0], [3.0], [5.0]]
        assert sum(window.late for window in found) == 1


@given(logs, st.integers(1, 8))
def test_after_overlapping_windows_the_next_plan_begins_where_the_next_window_would_have(
    entries: list[Sent], after: int
) -> None:
    log = logged(entries)
    sliding = windows(WindowPlan(6, step=2), log)[:after]
    if not sliding:
        return
    found = windows(BY_COUNT, log, start=sliding[-1].end)
    every = [number for window in windows(WindowPlan(1), log) for number in numbers(window)]
    begins = 2 * len(sliding)
    assert [number for window in found for number in numbers(window)] == every[begins : begins + 5 * len(found)]
