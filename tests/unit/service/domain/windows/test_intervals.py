"""Windows by time: what the definition says, whatever the batches, their order, repetitions and restarts."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.models import Cursor, Window
from service.domain.plan import DEFAULT_SAMPLE_ROWS, WindowPlan
from tests.unit.service.domain.windows.logs import (
    ARRIVAL,
    DAY,
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
times = st.integers(0, 100_000) | st.sampled_from([0, 9_999, 10_000, 19_999, 20_000, 30_000, ARRIVAL + DAY + 1000])
logs = st.lists(sent(times), max_size=50)
in_order = st.lists(st.integers(0, 100_000), min_size=1, max_size=60, unique=True).map(sorted)
plans = st.builds(
    WindowPlan, rows=st.none(), every_seconds=st.just(EVERY // 1000), lateness_seconds=st.sampled_from([0, 1, 15, 40])
)
restarts = st.frozensets(st.integers(1, 20))


@dataclass
class Expected:
    """One window by the definition."""

    number: int
    closed_by: int
    rows: list[float]


def by_definition(
    entries: Sequence[Sent], lateness: int, horizon: int
) -> tuple[list[Expected], list[int], list[int], int]:
    """Windows, late and future rows of each entry, and rows that wait; every entry is asked about all before it."""
    counts = counted(entries, horizon)
    fresh = [[row for row in rows if row[1] <= ARRIVAL + i + DAY] for i, rows in enumerate(counts, 1)]
    future = [len(rows) - len(kept) for rows, kept in zip(counts, fresh, strict=True)]
    watermarks = [max((t for each in fresh[:i] for _, t in each), default=-1) - lateness for i in range(len(fresh) + 1)]
    late, members = [0] * len(fresh), dict[int, list[tuple[int, int, float]]]()
    for index, rows in enumerate(fresh):
        for number, time in rows:
            interval = time // EVERY
            if (interval + 1) * EVERY <= watermarks[index]:
                late[index] += 1
            else:
                members.setdefault(interval, []).append((time, len(members.get(interval, ())), number))
    found = []
    for interval in sorted(members):
        closing = [i for i, watermark in enumerate(watermarks) if watermark >= (interval + 1) * EVERY]
        if closing:
            found.append(Expected(interval, closing[0], [number for *_, number in sorted(members[interval])]))
    return found, late, future, sum(map(len, members.values())) - sum(len(each.rows) for each in found)


@given(logs, plans, st.sampled_from([0, 2, 1000]), restarts)
def test_windows_are_what_the_definition_says(
    entries: list[Sent], plan: WindowPlan, horizon: int, resume_after: frozenset[int]
) -> None:
    found = windows(plan, logged(entries), horizon, resume_after)
    expected, late, future, _ = by_definition(entries, plan.lateness_seconds * 1000, horizon)
    assert [numbers(window) for window in found] == [each.rows for each in expected]
    assert [window.end.until for window in found] == [(each.number + 1) * EVERY for each in expected]
    before = 0
    for window, each in zip(found, expected, strict=True):
        assert (window.late, window.future) == (
            sum(late[before : each.closed_by]),
            sum(future[before : each.closed_by]),
        )
        before = each.closed_by


@given(logs, plans, restarts)
def test_every_row_is_judged_once_or_counted_as_late_or_as_future(
    entries: list[Sent], plan: WindowPlan, resume_after: frozenset[int]
) -> None:
    log = logged(entries)
    found = windows(plan, log, 1000, resume_after)
    judged = [number for window in found for number in numbers(window)]
    assert len(set(judged)) == len(judged) == sum(window.seen for window in found)
    rest = cutter_at(plan, log, found[-1].end if found else Cursor(), 1000)
    for entry in log[place(rest.position) :]:
        rest.feed(entry)
    _, late, future, waiting = by_definition(entries, plan.lateness_seconds * 1000, 1000)
    total = sum(len(rows) for rows in counted(entries, 1000))
    assert rest.waiting_rows == waiting
    assert len(judged) + sum(late) + sum(future) + waiting == total


@given(in_order, st.data(), st.sampled_from([1, 15, 40]), restarts)
def test_neither_batches_nor_an_order_within_the_lateness_make_a_difference(
    moments: list[int], data: st.DataObject, lateness: int, resume_after: frozenset[int]
) -> None:
    """Rows of distinct moments, each delayed by less than the lateness, in batches of any size."""
    plan = WindowPlan(rows=None, every_seconds=EVERY // 1000, lateness_seconds=lateness)
    delays = data.draw(st.lists(st.integers(0, lateness * 1000), min_size=len(moments), max_size=len(moments)))
    arrived = [time for _, time in sorted((time + delay, time) for time, delay in zip(moments, delays, strict=True))]
    closing = 100_000 + lateness * 1000 + 2 * EVERY
    ends = sorted(data.draw(st.sets(st.integers(1, len(arrived)), max_size=20)) | {len(arrived)})
    chopped = [arrived[first:last] for first, last in zip([0, *ends], ends, strict=False)]
    entries = [Sent(f"batch {index}", tuple(each)) for index, each in enumerate(chopped)]
    found = windows(plan, logged([*entries, Sent("closing", (closing,))]), 1000, resume_after)
    order = {float(index): time for index, time in enumerate(arrived)}
    told = [[order[number] for number in numbers(window)] for window in found]
    assert told == [
        [time for time in moments if time // EVERY == interval] for interval in sorted({t // EVERY for t in moments})
    ]
    assert sum(window.late for window in found) == 0


@given(logs, plans, restarts)
def test_any_window_can_be_cut_again_from_its_start(
    entries: list[Sent], plan: WindowPlan, resume_after: frozenset[int]
) -> None:
    log = logged(entries)
    for window in windows(plan, log, 1000, resume_after):
        again = windows(plan, log, 1000, start=window.start)[0]
        assert _said(again) == _said(window)


def _said(window: Window) -> list[object]:
    values = [getattr(window, name) for name in Window.__slots__]
    return [value.tolist() if isinstance(value, np.ndarray) else value for value in values]


@pytest.mark.parametrize("resume", [False, True])
def test_after_silence_every_open_window_is_closed_and_what_comes_for_it_is_late(resume: bool) -> None:
    plan = WindowPlan(rows=None, every_seconds=10, lateness_seconds=20)
    log = logged([Sent("a", (1000, 12_000)), Sent("b", (2000, 13_000, 24_000)), Sent("c", (60_000,))])
    cuts = cutter_at(plan, log, Cursor(), 100)
    cuts.feed(log[0])
    assert (cuts.patience_ms, cuts.cut()) == (30_000, None)
    for expected in ([0.0], [1.0]):
        window = cuts.close()
        assert window is not None
        assert numbers(window) == expected
        if resume:
            cuts = cutter_at(plan, log, window.end, 100)
            for entry in log[place(cuts.position) : 1]:
                cuts.feed(entry)
    assert cuts.close() is None
    cuts.feed(log[1])
    assert cuts.waiting_rows == 1
    cuts.feed(log[2])
    window = cuts.cut()
    assert window is not None
    assert (numbers(window), window.late) == ([4.0], 2)


def test_windows_without_rows_are_passed_over() -> None:
    plan = WindowPlan(rows=None, every_seconds=10)
    found = windows(plan, logged([Sent("a", (5000,)), Sent("b", (7 * DAY // 10_000_000 * 10_000 + 905_000,))]))
    assert [numbers(window) for window in found] == [[0.0]]


@given(st.integers(1, 30), st.lists(st.integers(1, 40), min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_a_sample_is_of_the_planned_size_and_the_same_in_any_order(most: int, sizes: list[int], random: Random) -> None:
    plan = WindowPlan(rows=None, every_seconds=10, sample_rows=most)
    entries = [Sent(f"batch {index}", (5000,) * size) for index, size in enumerate(sizes)]
    rows = {entry.batch.identifier: entry.batch.rows for entry in logged(entries)}
    shuffled = random.sample(entries, len(entries))
    drawn = []
    for order in (entries, [*shuffled, *shuffled[:3]]):
        log = logged([*order, Sent("closing", (20_000,))])
        first = {entry.batch.identifier: entry.batch.rows[0, 0] for entry in reversed(log)}
        named = {first[name] + row: (name, row) for name, of in rows.items() if name in first for row in range(len(of))}
        (window,) = windows(plan, log)
        assert window.seen == sum(sizes)
        assert len(window.rows) == min(most, sum(sizes))
        drawn.append({named[number] for number in numbers(window)})
    assert drawn[0] == drawn[1]


def test_what_a_flood_makes_it_hold_is_bounded() -> None:
    plan = WindowPlan(rows=None, every_seconds=10)
    cuts = cutter_at(plan, [], Cursor(), 100)
    for entry in logged([Sent(f"batch {index}", (5000,) * 1000) for index in range(100)]):
        cuts.feed(entry)
    assert cuts.waiting_rows == 100_000
    (interval,) = cuts._open.values()  # type: ignore[attr-defined]
    assert sum(len(ranks) for ranks, *_ in interval.held._sample.held) < 2 * DEFAULT_SAMPLE_ROWS + 1000
    window = cuts.close()
    assert window is not None
    assert (window.seen, len(window.rows)) == (100_000, DEFAULT_SAMPLE_ROWS)
