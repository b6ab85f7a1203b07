"""Like with like: calm rows of any season are carried to what all of the reference looks like."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import ks_2samp

from detectors.seasonal import Seasonal, blocks

SEASONS = 4
MEMBERS = 1500
CATEGORY = 4
NUMERIC = (True, True, True, True, False)
Values = NDArray[np.float64]
Seasons = NDArray[np.int64]


def rows(seed: int, seasons: Seasons) -> Values:
    """Features whose mean, spread, share of zeros, whole number and category are the season's."""
    drawn = np.random.default_rng(seed)
    mean, size = seasons - 1.5, len(seasons)
    return np.column_stack(
        [
            drawn.normal(2 * mean),
            drawn.normal(size=size) * (1 + seasons),
            np.where(drawn.random(size) < 0.2 * (1 + seasons), 0.0, drawn.exponential(size=size)),
            drawn.poisson(2 + 2 * seasons),
            np.where(drawn.random(size) < 0.25, drawn.integers(0, 4, size), seasons) * 1e9,
        ]
    )


REFERENCE_SEASONS = np.arange(SEASONS * MEMBERS, dtype=np.int64) // 100 % SEASONS
REFERENCE = rows(0, REFERENCE_SEASONS)
CATEGORICAL = ~np.array(NUMERIC)
FITTED = Seasonal.of(REFERENCE, REFERENCE_SEASONS, SEASONS + 1, CATEGORICAL)
"""One season more than it has rows of."""


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=SEASONS, max_size=SEASONS).filter(any), st.integers(0, 2**20))
def test_calm_rows_of_any_mix_of_seasons_are_distributed_as_the_reference(mix: list[int], seed: int) -> None:
    shares = np.array(mix) / sum(mix)
    seasons = np.sort(np.random.default_rng(seed).choice(SEASONS, 1500, p=shares)).astype(np.int64)
    carried = FITTED.carried(rows(seed + 1, seasons), seasons, seed)
    distances = [ks_2samp(carried[:, place], REFERENCE[:, place]).statistic for place in range(CATEGORY)]
    # A season's 1500 rows and a window's 1500: 0.07 is exceeded once in a thousand features.
    assert max(distances) < 0.08
    held = [np.mean(values[:, None] == np.arange(4) * 1e9, axis=0) for values in (carried[:, 4], REFERENCE[:, 4])]
    assert np.abs(held[0] - held[1]).max() < 0.08


def test_what_is_not_carried_tells_the_season_and_nothing_else() -> None:
    seasons = np.full(1500, 3)
    plain = rows(7, seasons)
    assert all(ks_2samp(plain[:, place], REFERENCE[:, place]).statistic > 0.1 for place in range(4))


def test_a_shift_within_the_season_stays_a_shift() -> None:
    seasons = np.full(1500, 2)
    moved = rows(8, seasons)
    moved[:, 0] += 0.5
    carried = FITTED.carried(moved, seasons)
    # Of one deviation within the season 0.5, which moves the ranks by this much (the normal distribution's).
    assert ks_2samp(carried[:, 0], REFERENCE[:, 0]).statistic == pytest.approx(0.197, abs=0.05)


@given(st.integers(0, 2**20))
def test_the_same_rows_give_the_same_and_the_order_of_distinct_values_says_nothing(seed: int) -> None:
    seasons = np.random.default_rng(seed).integers(0, SEASONS, 60)
    window = rows(seed, seasons)
    carried, order = FITTED.carried(window, seasons, seed), np.random.default_rng(seed + 1).permutation(60)
    assert np.array_equal(FITTED.carried(window, seasons, seed), carried)
    again = FITTED.carried(window[order], seasons[order], seed)
    assert np.array_equal(again[:, :2], carried[order, :2])
    # Equal values share their ranks out among them, whoever comes first.
    for season in range(SEASONS):
        same, then = seasons == season, seasons[order] == season
        assert np.array_equal(np.sort(again[then], axis=0), np.sort(carried[same], axis=0))


@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=30))
def test_of_one_season_numbers_stay_what_they_are(window: list[float]) -> None:
    reference = np.random.default_rng(3).normal(size=(200, 1))
    fitted = Seasonal.of(reference, np.zeros(200, dtype=np.int64), 1, np.zeros(1, dtype=np.bool_))
    values = np.array(window)[:, None]
    assert fitted.carried(values, np.zeros(len(values), dtype=np.int64)) == pytest.approx(values, rel=1e-9, abs=1e-9)
    assert fitted.carried(reference, np.zeros(200, dtype=np.int64)) == pytest.approx(reference, abs=1e-12)


def test_what_lies_beyond_is_missing_or_unseen_stays_so() -> None:
    window = np.array(
        [
            [1e6, np.nan, 50.0, 4000.0, 5e9],
            [-1e6, 1.7e308, 0.0, 2.0, 1e9],
            [0.0, 0.0, 0.0, 0.0, 0.0],
        ]
    )
    carried = FITTED.carried(window, np.array([0, 1, SEASONS]))
    assert carried[0, 0] > 9e5
    assert carried[1, 0] < -9e5
    assert np.isnan(carried[0, 1])
    assert np.isfinite(carried[1, 1])
    assert carried[0, 2] > 40
    assert carried[0, 3] >= 3990
    assert carried[0, 4] == 5e9
    assert carried[1, 4] in set(REFERENCE[:, 4])
    assert np.isnan(carried[2]).all()


def test_whole_numbers_stay_whole_and_categories_stay_categories() -> None:
    carried = FITTED.held_out(REFERENCE, REFERENCE_SEASONS, 100)
    assert set(carried[:, 3]) <= set(range(60))
    assert set(carried[:, 4]) <= set(REFERENCE[:, 4])


def test_a_block_of_the_reference_is_carried_by_rows_that_are_not_in_it() -> None:
    held = slice(1200, 1300)
    changed = REFERENCE.copy()
    changed[held] = changed[held][::-1]  # all of one season: nothing but the order of its rows is another
    fitted = Seasonal.of(changed, REFERENCE_SEASONS, SEASONS + 1, CATEGORICAL)
    there = FITTED.held_out(REFERENCE, REFERENCE_SEASONS, 100)
    assert np.array_equal(fitted.held_out(changed, REFERENCE_SEASONS, 100)[held][::-1, :2], there[held, :2])
    others = np.delete(np.arange(len(REFERENCE)), np.arange(1200, 1300))
    alone = Seasonal.of(REFERENCE[others], REFERENCE_SEASONS[others], SEASONS + 1, CATEGORICAL)
    as_a_window = alone.carried(REFERENCE[held], REFERENCE_SEASONS[held])
    assert there[held, :2] == pytest.approx(as_a_window[:, :2], abs=0.3)
    in_sample = FITTED.carried(REFERENCE[held], REFERENCE_SEASONS[held])
    assert not np.array_equal(there[held, :2], in_sample[:, :2])


def test_windows_of_a_single_row_are_not_all_spread_alike() -> None:
    zero = np.array([[0.0, 0.0, 0.0, 2.0, 2e9]])
    carried = [FITTED.carried(zero, np.array([2]), moment)[0] for moment in range(300)]
    counted = np.array(carried)[:, 4]
    assert [np.mean(counted == category * 1e9) for category in range(4)] == pytest.approx([0.25] * 4, abs=0.12)


@given(st.integers(1, 500), st.integers(1, 600))
def test_blocks_have_every_row_once(count: int, block_rows: int) -> None:
    found = list(blocks(count, block_rows))
    assert np.concatenate([np.arange(count)[each] for each in found]).tolist() == list(range(count))
    assert all(each.stop - each.start >= min(block_rows, count) for each in found)
