"""Windows where rows are not kept: the same rows in the same windows as where they are."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hypothesis import given
from hypothesis import strategies as st

from service.domain.models import Cursor, LoggedBatch, Window
from service.domain.plan import WindowPlan
from service.domain.summaries import Pane, Summaries
from service.domain.windows import NO_ROWS
from tests.unit.service.domain.windows.logs import ARRIVAL, DAY, Sent, counted, logged, numbers, sent, windows

EVERY = 10_000
times = st.integers(0, 100_000) | st.sampled_from([0, 9_999, 10_000, 19_999, 20_000, 30_000])
logs = st.lists(sent(times), max_size=50)
restarts = st.frozensets(st.integers(1, 20))
horizons = st.sampled_from([0, 2, 1000])


@dataclass(frozen=True)
class Numbers:
    """A summary that forgets nothing: the numbers of its rows."""

    of: tuple[float, ...]

    def __add__(self, other: "Numbers") -> "Numbers":
        return Numbers(self.of + other.of)


def held(entry: Sent, batch: LoggedBatch, every: int | None) -> Sequence[Pane] | None:
    """What an entry has instead of its rows; None where it does not fit."""
    if not entry.fits:
        return None
    rows = list(zip(batch.batch.rows[:, 0].tolist(), entry.times, strict=True))
    panes = []
    for interval in sorted({time // every if every else 0 for time in entry.times}):
        inside = [(number, time) for number, time in rows if every is None or time // every == interval]
        summaries = Summaries(len(inside), (Numbers(tuple(number for number, _ in inside)),))
        panes.append(Pane(min(time for _, time in inside), max(time for _, time in inside), summaries))
    return panes


def of_panes(
    entries: Sequence[Sent], plan: WindowPlan, horizon: int = 1000, resume_after: frozenset[int] = frozenset()
) -> list[Window]:
    every = None if plan.every_seconds is None else plan.every_seconds * 1000
    panes = [held(*each, every) for each in zip(entries, logged(entries), strict=True)]
    log = [replace(each, batch=replace(each.batch, rows=NO_ROWS, times=None, panes=b"")) for each in logged(entries)]
    return windows(plan, log, horizon, resume_after, panes=panes)


def numbers_of(window: Window) -> list[float]:
    assert window.summaries is not None
    assert not window.rows.size
    assert window.summaries.rows == window.tested == window.seen
    (part,) = window.summaries.parts
    return sorted(part.of)


@given(logs, st.sampled_from([0, 1, 15, 40]), horizons, restarts)
def test_by_time_they_are_the_windows_of_the_rows(
    entries: list[Sent], lateness: int, horizon: int, resume_after: frozenset[int]
) -> None:
    plan = WindowPlan(rows=None, every_seconds=EVERY // 1000, lateness_seconds=lateness)
    expected = windows(plan, logged(entries), horizon)
    found = of_panes(entries, replace(plan, keep="summaries"), horizon, resume_after)
    assert [numbers_of(window) for window in found] == [sorted(numbers(window)) for window in expected]
    for window, other in zip(found, expected, strict=True):
        same = ("seen", "step", "end", "started_at", "ended_at", "batches", "duplicates", "misfits", "late", "future")
        assert [getattr(window, name) for name in same] == [getattr(other, name) for name in same]


@given(logs, st.integers(1, 30), horizons, restarts)
def test_by_count_a_window_ends_with_the_batch_that_fills_it(
    entries: list[Sent], rows: int, horizon: int, resume_after: frozenset[int]
) -> None:
    expected: list[list[float]] = [[]]
    for batch in counted(entries, horizon):
        expected[-1] += [number for number, _ in batch]
        if len(expected[-1]) >= rows:
            expected.append([])
    found = of_panes(entries, WindowPlan(rows, keep="summaries"), horizon, resume_after)
    assert [numbers_of(window) for window in found] == expected[:-1]
    assert all(window.step == window.seen for window in found)


def test_rows_of_a_day_ahead_are_counted_and_move_no_window() -> None:
    entries = [Sent("a", (1_000, 2_000)), Sent("b", (ARRIVAL + DAY + 20_000,) * 3), Sent("c", (12_000,))]
    (window,) = of_panes(entries, WindowPlan(None, every_seconds=10, keep="summaries"))
    assert (window.seen, window.future) == (2, 3)


def test_what_windows_by_time_have_judged_is_not_counted_again_by_count() -> None:
    entries = [Sent("a", (1_000, 12_000)), Sent("b", (13_000,)), Sent("c", (25_000,))]
    (first, _) = of_panes(entries, WindowPlan(None, every_seconds=10, keep="summaries"))
    assert first.end.until == 10_000
    panes = [held(*each, 10_000) for each in zip(entries, logged(entries), strict=True)]
    log = [replace(each, batch=replace(each.batch, rows=NO_ROWS, times=None)) for each in logged(entries)]
    found = windows(WindowPlan(3, keep="summaries"), log, start=first.end, panes=panes)
    assert [numbers_of(window) for window in found] == [[1.0, 2.0, 3.0]]
    assert found[0].end == Cursor(log[-1].position, read=log[-1].position)
