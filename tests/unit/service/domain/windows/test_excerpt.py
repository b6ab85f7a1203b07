"""A judged window's rows are found again in the log: those, all of them, in order; and what is missing is noticed."""

from collections.abc import Sequence

from hypothesis import example, given
from hypothesis import strategies as st

from service.domain.models import BatchPosition, Cursor, LoggedBatch, Window
from service.domain.plan import WindowPlan
from service.domain.windows import RecentIdentifiers
from service.domain.windows.excerpt import Excerpt, Extent, excerpt
from tests.unit.service.domain.windows.logs import (
    ARRIVAL,
    DAY,
    FEATURES,
    Sent,
    counted,
    logged,
    numbers,
    place,
    sent,
    windows,
)

HORIZONS = st.sampled_from([0, 1, 2, 5, 1000])
times = st.integers(0, 60_000) | st.sampled_from([0, 9_999, 10_000, 20_000, ARRIVAL + DAY + 1000])
logs = st.lists(sent(times), max_size=50)
restarts = st.frozensets(st.integers(1, 30))
tumbling = st.builds(WindowPlan, rows=st.integers(1, 12))
sliding = st.builds(lambda step, more: WindowPlan(step + more, step=step), st.integers(1, 6), st.integers(0, 6))
by_count_or_time = st.builds(WindowPlan, rows=st.integers(1, 12), every_seconds=st.just(10))
by_time = st.builds(
    WindowPlan, rows=st.none(), every_seconds=st.sampled_from([7, 10]), lateness_seconds=st.sampled_from([0, 1, 15, 40])
)
BY_TENS = WindowPlan(rows=None, every_seconds=10, lateness_seconds=1)
BY_SEVENS = WindowPlan(rows=None, every_seconds=7, lateness_seconds=1)
any_plan = tumbling | sliding | by_count_or_time | by_time


def extent(window: Window) -> Extent:
    return Extent(window.start, window.end, window.seen, window.step)


def reading(
    plan: WindowPlan, log: Sequence[LoggedBatch], window: Window, horizon: int, trimmed: int = 0
) -> tuple[Excerpt, list[tuple[float, int]]]:
    """Numbers and times of the rows that a log without its first batches gives for a window."""
    until = place(window.start.position)
    seen = [entry.batch.identifier for entry in log[max(0, until - horizon) : until]] if horizon else []
    found = excerpt(plan, FEATURES, extent(window), RecentIdentifiers(horizon, seen))
    rows: list[tuple[float, int]] = []
    for entry in log[max(until, trimmed) : place(window.end.read)]:
        if found.over:
            break
        part = found.take(entry)
        if part is not None:
            rows += zip(part.rows[:, 0].tolist(), part.times.tolist(), strict=True)
            assert part.identifier == entry.batch.identifier
            assert len(part.rows) == len(part.times) > 0
    return found, rows


@given(logs, any_plan, HORIZONS, restarts)
def test_they_are_those_that_were_judged(
    entries: list[Sent], plan: WindowPlan, horizon: int, resume_after: frozenset[int]
) -> None:
    log = logged(entries)
    for window in windows(plan, log, horizon, resume_after):
        found, rows = reading(plan, log, window, horizon)
        assert found.whole
        by_event_time = sorted(rows, key=lambda row: row[1]) if plan.rows is None else rows
        assert [number for number, _ in by_event_time] == numbers(window)


@given(logs, tumbling | by_count_or_time, HORIZONS, restarts)
def test_those_of_windows_one_after_another_are_the_distinct_rows_of_the_log_in_order(
    entries: list[Sent], plan: WindowPlan, horizon: int, resume_after: frozenset[int]
) -> None:
    log = logged(entries)
    ahead = ARRIVAL + DAY if plan.every_seconds is not None else 2**60
    distinct = [
        row for index, rows in enumerate(counted(entries, horizon), 1) for row in rows if row[1] <= ahead + index
    ]
    given_back = [
        row for each in windows(plan, log, horizon, resume_after) for row in reading(plan, log, each, horizon)[1]
    ]
    assert given_back == distinct[: len(given_back)]
    if plan.every_seconds is None:
        assert plan.rows is not None
        assert len(given_back) == len(distinct) // plan.rows * plan.rows


@given(logs, by_time, HORIZONS, restarts)
def test_by_time_every_row_that_is_judged_is_given_back_once(
    entries: list[Sent], plan: WindowPlan, horizon: int, resume_after: frozenset[int]
) -> None:
    log = logged(entries)
    found = windows(plan, log, horizon, resume_after)
    rows = [reading(plan, log, window, horizon)[1] for window in found]
    order = [number for each in rows for number, _ in each]
    assert len(set(order)) == len(order) == sum(window.seen for window in found)
    assert all(each == sorted(each) for each in rows)  # in the order of the log, which the numbers follow
    distinct = {row for each in counted(entries, horizon) for row in each}
    assert {row for each in rows for row in each} <= distinct


@given(logs, any_plan, st.integers(1, 6))
def test_all_rows_are_given_though_only_a_sample_was_judged(entries: list[Sent], plan: WindowPlan, most: int) -> None:
    log = logged(entries)
    sampled = WindowPlan(**{**{name: getattr(plan, name) for name in plan.__slots__}, "sample_rows": most})
    for window in windows(sampled, log):
        found, rows = reading(sampled, log, window, 1000)
        assert found.whole
        assert len(rows) == window.seen
        assert set(numbers(window)) <= {number for number, _ in rows}
        assert len(window.rows) == min(most, window.seen)


@given(logs, any_plan, restarts)
@example([Sent("a", (1, 2, 3)), Sent("b", (4,) * 9)], WindowPlan(5), frozenset())
@example([Sent("a", (1, 2, 3)), Sent("b", (4,) * 9)], WindowPlan(6, step=4), frozenset())
def test_a_log_that_has_lost_some_of_them_is_noticed(
    entries: list[Sent], plan: WindowPlan, resume_after: frozenset[int]
) -> None:
    # But for repetitions, which are noticed no more when what they repeat is lost.
    log = logged([Sent(str(number), entry.times, entry.fits) for number, entry in enumerate(entries)])
    for window in windows(plan, log, 1000, resume_after):
        _, all_rows = reading(plan, log, window, 1000)
        for trimmed in range(place(window.start.position) + 1, place(window.end.read) + 1):
            found, rows = reading(plan, log, window, 1000, trimmed)
            assert not found.whole or rows == all_rows
        assert reading(plan, log, window, 1000)[0].whole


@given(
    logs,
    st.sampled_from([WindowPlan(5), WindowPlan(6, step=2), BY_TENS, WindowPlan(4, every_seconds=10)]),
    by_time | by_count_or_time,
    st.integers(0, 8),
)
@example([Sent("a", (9_000, 11_000)), Sent("b", (12_000, 22_000)), Sent("c", (10_500, 50_000))], BY_TENS, BY_SEVENS, 1)
def test_after_a_change_of_plan_each_window_is_found_by_its_own(
    entries: list[Sent], first: WindowPlan, second: WindowPlan, after: int
) -> None:
    log = logged([entry for entry in entries if max(entry.times) < ARRIVAL])
    before = windows(first, log)[:after]
    then = windows(second, log, start=before[-1].end if before else Cursor())
    for plan, found in ((first, before), (second, then)):
        for window in found:
            of, rows = reading(plan, log, window, 1000)
            assert of.whole
            assert sorted(number for number, _ in rows) == sorted(numbers(window))


def test_where_a_window_ends_by_silence_what_came_later_is_not_of_it() -> None:
    plan = WindowPlan(rows=None, every_seconds=10, lateness_seconds=20)
    log = logged([Sent("a", (1000, 12_000)), Sent("b", (2000, 50_000))])
    window = Window(
        **{
            **{name: getattr(windows(plan, log)[0], name) for name in Window.__slots__},
            "seen": 1,
            "step": 1,
            "end": Cursor(BatchPosition("0-0"), 0, log[0].position, 10_000, log[0].position),
        }
    )
    found, rows = reading(plan, log, window, 1000)
    assert (found.whole, rows) == (True, [(0.0, 1000)])
