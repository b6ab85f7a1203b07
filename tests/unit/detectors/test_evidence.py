"""What a score is worth over time: e-values that hold for the blocks, and cumulative sums that keep their promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.signal import lfilter

from detectors.calibration import JointNull, effective_blocks, level_held
from detectors.evidence import ALLOWANCE, MOST_TILT, Evidence, block_scores

statistics = hnp.arrays(
    np.float64, st.tuples(st.integers(4, 40), st.integers(1, 4)), elements=st.floats(-10, 10, width=16) | st.just(0.25)
)


def of_blocks(values):
    """One detector's."""
    return Evidence.of_blocks(values, (values.shape[1],))


def noise(blocks, numbers, seed=0):
    return np.random.default_rng(seed).gumbel(size=(blocks, numbers))


def scored(blocks, windows):
    null = JointNull.of(blocks, (blocks.shape[1],))
    return (windows - null.means) / null.deviations


@given(statistics)
def test_e_values_of_the_blocks_are_at_most_one_on_average(values):
    evidence = of_blocks(values)
    assert ((evidence.tilts > 0) & (evidence.tilts <= MOST_TILT)).all()
    e_values = np.exp(evidence.tilts * (block_scores(values) - ALLOWANCE))
    assert (e_values.mean(axis=0) <= 1 + 1e-9).all()


@given(statistics, st.floats(0.5, 4), st.floats(-50, 50))
def test_the_unit_of_a_statistic_does_not_matter(values, scale, offset):
    exact = np.round(values * 64) / 64
    one, other = of_blocks(exact), of_blocks(exact * 2 ** round(scale) + round(offset))
    np.testing.assert_allclose(one.tilts, other.tilts, rtol=1e-4)


def test_a_number_that_never_moved_is_worth_most_and_one_odd_block_does_not_make_it_worthless():
    still, odd = np.zeros((50, 2)), np.zeros((50, 2))
    odd[17, 1] = 1.0
    assert of_blocks(still).tilts.tolist() == [MOST_TILT] * 2
    assert 0.05 < of_blocks(odd[:, 1:]).tilts[0] < MOST_TILT


def test_blocks_that_resemble_their_neighbours_are_worth_less_than_the_same_in_any_order():
    wandering = np.asarray(lfilter([1], [1, -0.9], np.random.default_rng(1).normal(size=(200, 1)), axis=0))
    shuffled = np.random.default_rng(2).permutation(wandering)
    assert of_blocks(wandering).tilts[0] < 0.7 * of_blocks(shuffled).tilts[0]
    assert effective_blocks(wandering) < 40
    assert effective_blocks(shuffled) > 120


@given(
    hnp.arrays(np.float64, (12, 3), elements=st.floats(-8, 8)),
    hnp.arrays(np.float64, (3,), elements=st.floats(-9, 9)),
    st.floats(0.01, 1),
)
def test_sums_never_fall_below_zero_and_grow_with_the_score(blocks, scores, share):
    evidence = of_blocks(blocks)
    before = np.array([0.0, 1.0, 5.0])
    after = evidence.gathered(before, scores, share)
    assert (after >= 0).all()
    assert (evidence.gathered(before, scores + 1, share) >= after).all()
    assert evidence.gathered(before, np.full(3, np.nan), share).tolist() == before.tolist()
    np.testing.assert_allclose(evidence.gathered(np.zeros(3), evidence.score_for(4.0)), 4.0)


@pytest.mark.parametrize("memory", [0.0, 0.3], ids=["independent windows", "windows that resemble their neighbours"])
def test_calm_windows_reach_a_threshold_no_more_often_than_it_says(memory):
    """Over references: 60 of them, 500 windows each, twenty numbers of which each has skewed tails."""
    numbers, windows, per_alarm, reached = 20, 500, 100, []
    for seed in range(60):
        drawn = np.asarray(lfilter([np.sqrt(1 - memory**2)], [1, -memory], noise(50 + windows, numbers, seed), axis=0))
        blocks, stream = drawn[:50], drawn[50:]
        evidence = of_blocks(blocks)
        reached.append(evidence.windows_reaching(scored(blocks, stream), np.log(numbers * per_alarm)))
    assert np.mean(reached) <= windows / per_alarm
    assert np.mean(np.array(reached) <= windows / per_alarm) >= 0.9  # for the reference at hand, not only on average


def test_a_lasting_change_reaches_it_and_keeps_reaching_it():
    blocks = noise(50, 5)
    stream = scored(blocks, np.concatenate([noise(20, 5, 1), noise(20, 5, 2) + 8.0]))
    assert of_blocks(blocks).windows_reaching(stream, np.log(5 * 1000)) >= 17


@given(st.sampled_from([0.01, 0.05, 0.1, 0.3]), st.integers(1, 400))
def test_the_level_that_is_held_is_a_p_value_that_blocks_can_have_and_no_more_than_asked_for(alpha, blocks):
    level = level_held(alpha, blocks)
    assert 0 <= level <= alpha
    assert level * (blocks + 1) == pytest.approx(round(level * (blocks + 1)))
    assert (level > 0) == (1 / (blocks + 1) <= alpha)


def test_a_reference_at_hand_keeps_the_level_in_nine_of_ten_cases():
    generator = np.random.default_rng(3)
    level = level_held(0.05, 130)
    calm = np.sort(generator.random((4000, 130)), axis=1)
    own_rates = 1 - calm[:, -round(level * 131)]
    assert np.mean(own_rates <= 0.05) >= 0.89
    assert np.mean(own_rates) > 0.01
