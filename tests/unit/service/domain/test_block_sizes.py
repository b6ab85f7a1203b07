"""Windows of varying size are judged by blocks that are no larger, whatever the reference has."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.decision import decide
from service.domain.fitted_plan import FittedPlan, block_size, calibrated_at, fit
from service.domain.models import Finding, Reference
from service.domain.plan import DetectorPlan, Plan, WindowPlan
from tests.processes.traffic import FEATURES, rows

BY_TIME = WindowPlan(None, every_seconds=60)
REFERENCE = Reference(FEATURES, rows(1, 4000))


@cache
def fitted() -> FittedPlan:
    return fit(Plan(BY_TIME, (DetectorPlan("kolmogorov_smirnov"),)), REFERENCE)


@given(st.integers(20, 50_000), st.integers(100, 10**6), st.integers(3, 200), st.none() | st.integers(20, 50_000))
def test_blocks_are_no_larger_than_the_window_and_there_are_enough_of_them(
    tested: int, reference: int, blocks: int, sample: int | None
) -> None:
    window = WindowPlan(None, every_seconds=60, sample_rows=sample)
    size = block_size(window, tested, reference, blocks)
    assert 20 <= size <= tested
    if reference // size < blocks:
        assert size == window.minimum_rows, "only where not even the smallest would do"
    elif size < window.most_tested_rows:  # and not much smaller than they may be
        larger = round(size * 1.5)
        assert larger > min(tested, window.most_tested_rows) or reference // larger < blocks


def test_by_count_blocks_are_as_long_as_what_is_tested_of_a_window() -> None:
    assert block_size(WindowPlan(500), 500, 1000, 19) == 500
    assert block_size(WindowPlan(500, step=5, sample_rows=100), 100, 1000, 19) == 100


def test_a_full_window_by_count_or_time_is_judged_by_blocks_of_its_own_size() -> None:
    assert block_size(WindowPlan(501, every_seconds=60), 501, 100_000, 19) == 501
    assert block_size(WindowPlan(501, every_seconds=60), 500, 100_000, 19) < 500


def test_windows_of_summaries_are_judged_by_blocks_as_large_as_the_batch_that_fills_them_makes_them() -> None:
    by_count = WindowPlan(100, keep="summaries")
    assert block_size(by_count, 100, 100_000, 19) == 100
    assert 3500 < block_size(by_count, 5000, 100_000, 19) <= 5000
    assert block_size(by_count, 5000, 1900, 19) == 100
    assert 28_000 < block_size(WindowPlan(None, every_seconds=60, keep="summaries"), 40_000, 10**6, 19) <= 40_000


@pytest.mark.parametrize("size", [25, 70, 150])
def test_windows_of_any_size_are_calibrated_and_say_by_what(size: int) -> None:
    blocks = block_size(BY_TIME, size, len(REFERENCE.rows), fitted().blocks_needed)
    made = calibrated_at(fitted(), blocks, REFERENCE)
    calm, moved = (decide(made, made.measure(rows(3, size, shift=shift))) for shift in (0.0, 2.0))
    assert (calm.finding, moved.finding) == (Finding.STABLE, Finding.DRIFT)
    assert calm.calibrated
    assert f"{4000 // blocks} calm blocks of {blocks} rows" in calm.reason


def test_what_cannot_be_calibrated_says_so() -> None:
    reference = rows(1, 4000)
    reference[100:160, 0] = np.nan  # blocks of 20 have nothing of it
    plan = Plan(BY_TIME, (DetectorPlan("kolmogorov_smirnov"),))
    made = calibrated_at(fit(plan, Reference(FEATURES, reference)), 20, Reference(FEATURES, reference))
    found = decide(made, made.measure(rows(3, 30)))
    assert not found.calibrated
    assert "against independent rows" in found.reason


def test_windows_of_varying_size_alarm_no_more_often_than_planned() -> None:
    """300 windows of 20 to 400 rows, 5 % planned; 15 expected at the most, 26 are 3 standard deviations more."""
    sizes: dict[int, FittedPlan] = {}
    generator, alarms = np.random.default_rng(7), 0
    for seed, size in enumerate(generator.integers(20, 400, 300).tolist(), 100):
        blocks = block_size(BY_TIME, size, len(REFERENCE.rows), fitted().blocks_needed)
        made = sizes.setdefault(blocks, calibrated_at(fitted(), blocks, REFERENCE))
        alarms += decide(made, made.measure(rows(seed, size))).finding is Finding.DRIFT
    assert alarms <= 26
