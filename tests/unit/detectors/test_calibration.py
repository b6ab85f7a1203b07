"""The block null, the joint null, and that p-value, threshold and false-alarm rate are one and the same rule."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import binomtest

from detectors.calibration import BlockNull, JointNull, block_null, blocks_needed, false_alarms, joint_null
from detectors.errors import InvalidParameter, TooFewRows
from detectors.kernel.maximum_mean_discrepancy import MaximumMeanDiscrepancy
from detectors.rank.kolmogorov_smirnov import KolmogorovSmirnov

alphas = st.one_of(st.floats(0.001, 0.999), st.sampled_from([0.01, 0.05, 0.07, 0.1, 0.29, 0.3, 0.5]))
statistics = hnp.arrays(
    np.float64, st.tuples(st.integers(3, 25), st.integers(1, 4)), elements=st.floats(-10, 10, width=16) | st.just(0.25)
)


def null_of(values, detector="kolmogorov_smirnov"):
    return BlockNull(detector, 10, np.asarray(values, dtype=float))


def noise(blocks, width, seed=0):
    return np.random.default_rng(seed).normal(size=(blocks, width))


# With a bandwidth and a scale that do not come from the reference, holding out and fitting anew are the same.
@pytest.mark.parametrize("detector", [KolmogorovSmirnov(), MaximumMeanDiscrepancy(standardise=False, bandwidth=1.0)])
def test_every_block_is_measured_against_the_rest(detector):
    rows = noise(47, 3)
    told = []
    null = block_null(detector, rows, 10, progress=lambda done, of: told.append((done, of)))
    assert null.blocks == 4
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    for block in range(4):
        held = slice(block * 10, block * 10 + 10)
        fitted = detector.fit(np.delete(rows, held, axis=0))
        expected = detector.measure(fitted, detector.summarise(fitted, rows[held])).statistic
        np.testing.assert_allclose(null.statistics[block], expected, rtol=1e-11, atol=1e-13)


def test_too_few_blocks_are_refused_with_their_number():
    with pytest.raises(TooFewRows, match="29 reference rows make 2 blocks of 10"):
        block_null(KolmogorovSmirnov(), noise(29, 1), 10)
    with pytest.raises(InvalidParameter, match="window_rows"):
        block_null(KolmogorovSmirnov(), noise(29, 1), 0)


@given(statistics)
def test_each_block_is_standardised_by_the_others(values):
    expected = []
    for block, own in enumerate(values):
        others = np.delete(values, block, axis=0)
        deviation = others.std(axis=0, ddof=1)
        if (deviation < 1e-6).any():
            return
        expected.append(((own - others.mean(axis=0)) / deviation).max())
    found = joint_null([null_of(values)])
    np.testing.assert_allclose(found.largest, np.sort(expected), rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(found.means, values.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(found.deviations, values.std(axis=0, ddof=1), rtol=1e-9)


@given(statistics, alphas, st.floats(-20, 20))
def test_the_p_value_and_the_threshold_are_one_rule(values, alpha, other):
    null = joint_null([null_of(values)])
    threshold = null.threshold(alpha)
    for largest in (*null.largest, other, -np.inf, np.inf):
        counted = (1 + int((null.largest >= largest).sum())) / (1 + null.blocks)
        assert null.p_value(largest) == counted
        assert (counted <= alpha) == (threshold is not None and largest > threshold)


@given(alphas)
def test_as_many_blocks_as_needed_are_enough_and_no_fewer(alpha):
    needed = blocks_needed(alpha)
    assert JointNull((1,), np.zeros(1), np.ones(1), np.zeros(max(needed, 1))).threshold(alpha) is not None
    if needed > 1:
        assert JointNull((1,), np.zeros(1), np.ones(1), np.zeros(needed - 1)).threshold(alpha) is None


def test_known_needs():
    assert [blocks_needed(alpha) for alpha in (0.5, 0.1, 0.05, 0.01, 0.001)] == [1, 9, 19, 99, 999]


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_alpha_is_a_probability(alpha):
    with pytest.raises(InvalidParameter, match="alpha"):
        blocks_needed(alpha)
    with pytest.raises(InvalidParameter, match="alpha"):
        joint_null([null_of(noise(5, 1))]).threshold(alpha)


def test_scores_come_back_detector_by_detector():
    first, second = noise(30, 3), noise(30, 1, seed=1) * 100
    null = joint_null([null_of(first), null_of(second, "maximum_mean_discrepancy")])
    scores = null.score([first[0], second[0]])
    assert [len(score) for score in scores] == [3, 1]
    np.testing.assert_allclose(scores[0], (first[0] - first.mean(axis=0)) / first.std(axis=0, ddof=1))
    np.testing.assert_allclose(scores[1], (second[0] - second.mean()) / second.std(ddof=1))
    assert null.largest_score([first[0], second[0]]) == max(scores[0].max(), scores[1].max())
    with pytest.raises(InvalidParameter, match="statistics"):
        null.score([first[0]])


def test_a_statistic_that_never_moved_is_calm_until_it_does():
    null = joint_null([null_of(np.column_stack([np.zeros(20), noise(20, 1)]))])
    assert null.score([np.array([0.0, 0.0])])[0][0] == 0
    assert null.p_value(null.largest_score([np.array([1e-3, 0.0])])) == 1 / 21
    assert np.isfinite(null.largest_score([np.array([1.0, 0.0])]))
    constant = joint_null([null_of(np.full((10, 2), 0.1))])
    assert constant.p_value(constant.largest_score([np.full(2, 0.1)])) == 1


def test_nulls_of_different_blocks_do_not_join():
    with pytest.raises(InvalidParameter, match="nulls"):
        joint_null([null_of(noise(5, 1)), null_of(noise(6, 1))])
    with pytest.raises(InvalidParameter, match="nulls"):
        joint_null([])


def test_the_false_alarm_rate_is_each_block_judged_by_the_others():
    values = noise(41, 3, seed=5)
    found = false_alarms([null_of(values)], 0.1)
    alarms = 0
    for block, own in enumerate(values):
        others = joint_null([null_of(np.delete(values, block, axis=0))])
        alarms += others.largest_score([own]) > others.threshold(0.1)
    assert (found.alarms, found.blocks, found.rate) == (alarms, 41, alarms / 41)
    interval = binomtest(alarms, 41).proportion_ci(0.95, method="exact")
    assert (found.lower, found.upper) == (pytest.approx(interval.low), pytest.approx(interval.high))


@pytest.mark.parametrize(("values", "alarms"), [(np.zeros((30, 2)), 0), (np.arange(30.0).reshape(-1, 1), None)])
def test_degenerate_blocks_have_a_rate_too(values, alarms):
    found = false_alarms([null_of(values)], 0.05)
    assert 0 <= found.lower <= found.rate <= found.upper <= 1
    if alarms is not None:
        assert found.alarms == alarms


def test_too_few_blocks_have_no_rate():
    assert false_alarms([null_of(noise(19, 1))], 0.05) is None
    assert false_alarms([null_of(noise(20, 1))], 0.05) is not None
    assert false_alarms([null_of(noise(3, 1))], 0.9) is None


def test_the_rate_is_what_was_asked_for_even_with_many_features_and_few_blocks():
    rates = [false_alarms([null_of(noise(25, 40, seed=seed))], 0.1).rate for seed in range(40)]
    assert 0.05 < np.mean(rates) < 0.15


def test_new_windows_alarm_as_often_as_asked_for():
    alarms = 0
    for seed in range(1500):
        values = noise(26, 10, seed=seed)
        null = joint_null([null_of(values[:25])])
        alarms += null.p_value(null.largest_score([values[25]])) <= 0.1
    assert 0.07 < alarms / 1500 < 0.115
