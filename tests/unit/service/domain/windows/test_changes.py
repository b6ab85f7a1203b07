"""A plan that is replaced by one of another kind: rows not judged yet are judged by it, and no others."""

from hypothesis import given
from hypothesis import strategies as st

from service.domain.models import Cursor, Window
from service.domain.plan import WindowPlan
from tests.unit.service.domain.windows.logs import Sent, cutter_at, logged, numbers, place, sent, windows

BY_COUNT = WindowPlan(5)
BY_TIME = WindowPlan(rows=None, every_seconds=10, lateness_seconds=15)
FINER = WindowPlan(rows=None, every_seconds=3, lateness_seconds=15)
BOTH = WindowPlan(4, every_seconds=7)
logs = st.lists(sent(st.integers(0, 60_000)), max_size=50)
plans = st.sampled_from([BY_COUNT, BY_TIME, FINER, BOTH])


@given(logs, plans, plans, plans, st.integers(0, 8), st.integers(0, 8), st.frozensets(st.integers(1, 20)))
def test_no_row_is_judged_twice_and_none_is_lost(
    entries: list[Sent],
    first: WindowPlan,
    second: WindowPlan,
    third: WindowPlan,
    after: int,
    after_more: int,
    resume_after: frozenset[int],
) -> None:
    log, cursor, found = logged(entries), Cursor(), list[Window]()
    for plan, most in ((first, after), (second, after_more), (third, 1000)):
        found += windows(plan, log, 1000, resume_after, cursor)[:most]
        cursor = found[-1].end if found else cursor
    judged = [number for window in found for number in numbers(window)]
    assert len(set(judged)) == len(judged)
    rest = cutter_at(third, log, cursor, 1000)
    late = 0
    for entry in log[place(rest.position) :]:
        rest.feed(entry)
    late = getattr(rest, "_late", 0)
    names = [entry.identifier for entry in entries]
    counts = [
        len(entry.times) for i, entry in enumerate(entries) if entry.fits and entry.identifier not in names[:i]
    ]
    assert len(judged) + sum(window.late for window in found) + late + rest.waiting_rows == sum(counts)


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
