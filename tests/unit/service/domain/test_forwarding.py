"""Spans of a sidecar's log: every row that counts is in one of them, however they are cut, and a span stays itself."""

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detectors import codec
from service.domain.fitted_plan import fit
from service.domain.forwarding import (
    MAXIMUM_PARCEL_BYTES,
    Gathered,
    Gathering,
    Place,
    Room,
    parcel_name,
    room,
    rows_document,
    summaries_document,
)
from service.domain.models import LOG_START, LoggedBatch, ModelName, Reference
from service.domain.plan import DetectorPlan, Plan, WindowPlan
from service.domain.registration import Registration
from service.domain.summaries import MAXIMUM_PANES, decode_panes
from service.domain.windows import RecentIdentifiers
from tests.processes.traffic import FEATURES, rows
from tests.unit.service.domain.windows.logs import DAY, Sent, counted, logged, sent
from tests.unit.service.domain.windows.logs import FEATURES as COLUMNS

HORIZON = 1000
logs = st.lists(sent(st.integers(DAY, 2 * DAY)), max_size=25)


def gather(log: Sequence[LoggedBatch], start: Place, room: Room, until: Place | None = None) -> Gathered:
    """As a process does that has just begun."""
    after = [each for each in log if _key(each.position) > _key(start.position)]
    seen = [each.batch.identifier for each in log if _key(each.position) <= _key(start.position)]
    gathering = Gathering(COLUMNS, start, RecentIdentifiers(HORIZON, seen[-HORIZON:]), room, until)
    for each in after:
        if gathering.ended:
            break
        gathering.take(each)
    return gathering.gathered()


def _key(position: str) -> tuple[int, ...]:
    return tuple(map(int, position.split("-")))


def registration(window: WindowPlan, features: tuple[str, ...] = FEATURES) -> Registration:
    plan = Plan(window, (DetectorPlan("kolmogorov_smirnov"),))
    digest = codec.digest(b"")
    return Registration(1, ModelName("m"), features, digest, 1000, plan, LOG_START, datetime.now(UTC))


@given(logs, st.lists(st.integers(1, 30), min_size=1, max_size=30), st.sampled_from([None, 3_600_000]))
def test_spans_hold_every_row_that_counts_once_and_in_order(
    entries: list[Sent], sizes: list[int], every_ms: int | None
) -> None:
    log, place, found = logged(entries), Place(), list[tuple[float, int]]()
    for size in [*sizes, *[40] * 10]:
        span = gather(log, place, Room(size, every_ms))
        assert len(span.rows) <= size
        assert span.full or span.end == (Place(log[-1].position) if log else Place())
        found += zip(span.rows[:, 0].tolist(), span.times.tolist(), strict=True)
        place = span.end
    assert found == [row for each in counted(entries, HORIZON) for row in each]


@given(logs, st.integers(0, 40), st.integers(1, 30))
def test_a_span_that_was_cut_once_is_the_same_ever_after(entries: list[Sent], skipped: int, size: int) -> None:
    log = logged(entries)
    start = gather(log, Place(), Room(skipped)).end if skipped else Place()
    first = gather(log, start, Room(size))
    more = [*log, *logged([*entries, Sent("new", (DAY,))])[-1:]]
    again = gather(more, start, Room(1), first.end)
    assert (again.start, again.end) == (first.start, first.end)
    assert np.array_equal(again.rows, first.rows)
    assert np.array_equal(again.times, first.times)
    assert again.dropped == first.dropped


def test_a_parcel_has_no_more_panes_than_a_document_may() -> None:
    times = tuple(DAY + number * 1000 for number in range(MAXIMUM_PANES + 5))
    log = logged([Sent("a", times[:75]), Sent("b", times[75:])])
    first = gather(log, Place(), Room(10_000, 1000))
    assert len(first.times) == MAXIMUM_PANES
    assert first.full
    rest = gather(log, first.end, Room(10_000, 1000))
    assert rest.times.tolist() == list(times[MAXIMUM_PANES:])


def test_a_parcel_is_no_larger_than_is_taken_nor_than_a_window_by_count() -> None:
    wide = tuple(f"f{number}" for number in range(2000))
    assert room(registration(WindowPlan(500), wide), 10_000).rows == MAXIMUM_PARCEL_BYTES // 16_000
    assert room(registration(WindowPlan(500)), 10_000) == Room(10_000)
    assert room(registration(WindowPlan(500, keep="summaries")), 10_000) == Room(500)
    by_time = WindowPlan(None, every_seconds=60, keep="summaries")
    assert room(registration(by_time), 10_000) == Room(10_000, 60_000)


def test_names_tell_spans_apart_and_summaries_of_other_registrations() -> None:
    log = logged([Sent("a", (DAY,) * 5), Sent("b", (DAY,) * 5)])
    spans = [gather(log, Place(), Room(3)), gather(log, Place(), Room(4)), gather(log, Place(log[0].position), Room(5))]
    kept, summed = registration(WindowPlan(500)), registration(WindowPlan(500, keep="summaries"))
    other = registration(WindowPlan(600, keep="summaries"))
    names = [parcel_name("0" * 32, span, each) for span in spans for each in (kept, summed, other)]
    assert len(set(names)) == len(names)
    assert all(len(name) <= 200 and name.isascii() and name.isprintable() for name in names)
    assert parcel_name("0" * 32, spans[0], registration(WindowPlan(600))) == names[0]


def test_parcels_hold_the_rows_or_what_detectors_keep_of_them() -> None:
    values, times = rows(3, 40), np.arange(40, dtype=np.int64) * 100_000
    span = Gathered(values, times, Place(), Place(), None, gather([], Place(), Room(1)).dropped, None, full=False)
    kept = registration(WindowPlan(500))
    document = codec.decode(rows_document(kept, span), kind="rows")
    assert np.array_equal(document.arrays["rows"], values)
    assert np.array_equal(document.arrays["times"], times)
    assert document.attributes["features"] == list(FEATURES)
    summed = registration(WindowPlan(None, every_seconds=1000, keep="summaries"))
    fitted = fit(summed.plan, Reference(FEATURES, rows(1, 1000)), calibrates=False)
    assert fitted.calibration is None
    panes = decode_panes(fitted, summaries_document(summed, fitted, span))
    assert [(pane.begins_ms, pane.ends_ms, pane.summaries.rows) for pane in panes] == [
        (first * 1_000_000, first * 1_000_000 + 900_000, 10) for first in range(4)
    ]
