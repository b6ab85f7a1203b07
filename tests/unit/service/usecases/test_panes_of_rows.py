"""A plan that keeps no rows, after one that did: of a batch that windows have had in part, the rest is summarised."""

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import pytest

from service.domain.fitted_plan import FittedPlan, fit
from service.domain.models import Batch, BatchPosition, Cursor, LoggedBatch, Reference, Window
from service.domain.plan import DetectorPlan, Plan, WindowPlan
from service.domain.windows import NO_ROWS, Cutter, RecentIdentifiers, cutter
from service.usecases.evaluate_window import _panes_of

FEATURES = ("a", "b")
NOON = 1_767_268_800_000


def rows(seed: int, count: int):
    return np.random.default_rng(seed).normal(size=(count, len(FEATURES)))


def fitted(window: WindowPlan) -> FittedPlan:
    plan = Plan(window, (DetectorPlan("kolmogorov_smirnov"),))
    return fit(plan, Reference(FEATURES, rows(1, 200)), calibrates=False)


def log_of(*seconds: Sequence[int]) -> list[LoggedBatch]:
    """Batches with a row for each of these moments after noon."""
    observed_at = datetime.fromtimestamp(NOON / 1000, UTC)
    return [
        LoggedBatch(
            BatchPosition(f"{NOON + 10**6 + place}-0"),
            Batch(f"batch {place}", rows(place, len(some)), observed_at, times=NOON + 1000 * np.array(some, np.int64)),
        )
        for place, some in enumerate(seconds)
    ]


def begun(window: WindowPlan, start: Cursor) -> Cutter:
    return cutter(window, len(FEATURES), start, RecentIdentifiers(1000), b"key")


def first_of_rows(window: WindowPlan, log: Sequence[LoggedBatch]) -> Window:
    cuts = begun(window, Cursor())
    for logged in log:
        cuts.feed(logged)
        if (found := cuts.cut()) is not None:
            return found
    raise AssertionError("no window")


def first_of_summaries(window: WindowPlan, log: Sequence[LoggedBatch], start: Cursor) -> Window | None:
    by, cuts = fitted(window), begun(window, start)
    for logged in log:
        before = cuts.position
        if int(logged.position.partition("-")[0]) > int(start.position.partition("-")[0]):
            cuts.feed(logged, _panes_of(by, start, before, logged))
        if (found := cuts.cut()) is not None:
            return found
    return None


@pytest.mark.parametrize("step", [None, 20])
def test_rows_of_a_window_that_ended_inside_a_batch_are_not_judged_again(step: int | None) -> None:
    log = log_of([0] * 50, [0] * 40)
    had = first_of_rows(WindowPlan(30, step=step), log)
    assert had.end.offset == (step or 30)
    window = first_of_summaries(WindowPlan(60, keep="summaries"), log, had.end)
    assert window is not None
    assert window.seen == 90 - (step or 30)


@pytest.mark.parametrize("every", [600, None])
def test_rows_of_an_interval_that_is_judged_are_not_judged_again_in_a_longer_one(every: int | None) -> None:
    log = log_of([30] * 10 + [61] * 10, [125], [1_205])
    had = first_of_rows(WindowPlan(None, every_seconds=60), log)
    assert had.seen == 10
    by_count = None if every else 11
    window = first_of_summaries(WindowPlan(by_count, every_seconds=every, keep="summaries"), log, had.end)
    assert window is not None
    assert (window.seen, window.misfits) == (11, 0)


def test_a_batch_of_which_nothing_is_left_is_no_misfit_and_one_that_cannot_be_read_is() -> None:
    log = log_of([0] * 30, [], [0] * 60)
    had = first_of_rows(WindowPlan(30), log)
    unreadable = LoggedBatch(
        BatchPosition(f"{NOON + 10**6 + 1}-5"), Batch("damaged", NO_ROWS, datetime.fromtimestamp(0, UTC))
    )
    log.insert(2, unreadable)
    window = first_of_summaries(WindowPlan(60, keep="summaries"), log, had.end)
    assert window is not None
    assert (window.seen, window.misfits) == (60, 1)
