"""P-values are what they claim to be while nothing changes, and small when something does."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from detectors.kernel.aggregated import AggregatedMaximumMeanDiscrepancy
from detectors.kernel.cross_maximum_mean_discrepancy import CrossMaximumMeanDiscrepancy
from detectors.kernel.density_difference import LeastSquaresDensityDifference
from detectors.kernel.fast_maximum_mean_discrepancy import FastMaximumMeanDiscrepancy
from detectors.kernel.maximum_mean_discrepancy import MaximumMeanDiscrepancy
from detectors.rank.kolmogorov_smirnov import ALTERNATIVES, KolmogorovSmirnov
from detectors.sequential.maximum_mean_discrepancy import OnlineMaximumMeanDiscrepancy

LEVELS = [0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9]
IMPROBABLE = 1e-4

KERNEL_TESTS = [
    MaximumMeanDiscrepancy(permutations=99, maximum_reference_rows=300),
    AggregatedMaximumMeanDiscrepancy(permutations=99, maximum_reference_rows=300),
    FastMaximumMeanDiscrepancy(frequencies=200),
    CrossMaximumMeanDiscrepancy(),
    LeastSquaresDensityDifference(permutations=99, maximum_reference_rows=300, centres=30),
]
each_kernel_test = pytest.mark.parametrize("detector", KERNEL_TESTS, ids=lambda detector: detector.name)
SPARSE = {
    "binary": lambda generator, shape: (generator.random(shape) < 0.01).astype(float),
    "counts": lambda generator, shape: generator.poisson(0.1, size=shape).astype(float),
    "mostly zero": lambda generator, shape: np.where(
        generator.random(shape) < 0.03, generator.lognormal(size=shape), 0
    ),
}


def p_values(detector, repetitions, n, m, features, seed):
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(repetitions):
        fitted = detector.fit(generator.normal(size=(n, features)))
        found.append(detector.test(fitted, detector.summarise(fitted, generator.normal(size=(m, features)))).p_value)
    return np.concatenate(found)


def assert_roughly_uniform(probabilities, slack=0.0):
    """At every level, the share of p-values up to it is one that chance produces."""
    for level in LEVELS:
        below = int((probabilities <= level + 1e-12).sum())
        lowest, highest = (level - slack) * len(probabilities), (level + slack) * len(probabilities)
        assert binom.sf(below - 1, len(probabilities), min(1, highest / len(probabilities))) > IMPROBABLE, level
        assert binom.cdf(below, len(probabilities), max(0, lowest / len(probabilities))) > IMPROBABLE, level


@pytest.mark.parametrize("alternative", ALTERNATIVES)
def test_kolmogorov_smirnov_is_uniform_without_drift(alternative):
    # The asymptotic rule is a little conservative, because D takes few values: hence the slack.
    probabilities = p_values(KolmogorovSmirnov(alternative), 20, n=5000, m=1000, features=100, seed=1)
    assert_roughly_uniform(probabilities, slack=0.02)


@pytest.mark.parametrize(("n", "m", "features"), [(200, 100, 3), (60, 60, 1), (100, 300, 10)])
def test_maximum_mean_discrepancy_is_uniform_without_drift(n, m, features):
    probabilities = p_values(MaximumMeanDiscrepancy(permutations=99), 500, n=n, m=m, features=features, seed=2)
    assert_roughly_uniform(probabilities, slack=0.015)


def test_permutation_p_values_are_never_zero_and_never_too_often_small():
    detector = MaximumMeanDiscrepancy(permutations=19, standardise=False, bandwidth=1.0)
    probabilities = p_values(detector, 600, n=20, m=15, features=2, seed=3)
    assert probabilities.min() == 1 / 20
    assert binom.sf(int((probabilities <= 0.05).sum()) - 1, 600, 0.05) > IMPROBABLE  # exact: the kernel is given


@pytest.mark.parametrize("scale", [1e-150, 1.0, 1e150])
def test_a_shift_is_found_at_any_scale(scale):
    generator = np.random.default_rng(4)
    reference = generator.normal(size=(500, 5)) * scale
    window = (generator.normal(size=(300, 5)) + np.array([0.5, 0, 0, 0, 0])) * scale
    for detector in (KolmogorovSmirnov(), MaximumMeanDiscrepancy(), MaximumMeanDiscrepancy(standardise=False)):
        fitted = detector.fit(reference)
        result = detector.test(fitted, detector.summarise(fitted, window))
        assert result.p_value.min() < 0.01
        assert result.effect.max() > 0.05


def test_joint_drift_that_no_single_feature_shows():
    generator = np.random.default_rng(5)
    reference = generator.normal(size=(800, 2))
    first = generator.normal(size=(500, 1))
    window = np.concatenate([first, 0.8 * first + 0.6 * generator.normal(size=(500, 1))], axis=1)
    marginal, joint = KolmogorovSmirnov(), MaximumMeanDiscrepancy()
    fitted = marginal.fit(reference)
    assert marginal.test(fitted, marginal.summarise(fitted, window)).p_value.min() > 0.01
    fitted_joint = joint.fit(reference)
    assert joint.test(fitted_joint, joint.summarise(fitted_joint, window)).p_value[0] == 1 / 101


def test_a_constant_feature_that_starts_to_move_is_found():
    reference = np.column_stack([np.full(300, 7.0), np.random.default_rng(6).normal(size=300)])
    window = reference[:100] + np.array([14.0, 0.0])
    for detector in (KolmogorovSmirnov(), MaximumMeanDiscrepancy()):
        fitted = detector.fit(reference)
        assert detector.test(fitted, detector.summarise(fitted, window)).p_value.min() < 0.01


@each_kernel_test
@pytest.mark.parametrize("standardise", [True, False])
@pytest.mark.parametrize("outlier", [1e9, 1e308, np.inf, -999.0])
@pytest.mark.parametrize(("features", "share"), [(1, 0.0), (5, 0.0), (5, 0.02)])
def test_outliers_of_the_reference_hide_no_shift(detector, outlier, features, share, standardise):
    """One in the reference, or as many in a hundred on both sides."""
    generator = np.random.default_rng(7)
    reference, window = generator.normal(size=(600, features)), generator.normal(size=(200, features))
    reference[: max(1, round(600 * share)), 0] = window[: round(200 * share), 0] = outlier
    detector = replace(detector, standardise=standardise)
    fitted = detector.fit(reference)
    calm = detector.test(fitted, detector.summarise(fitted, window))
    moved = detector.test(fitted, detector.summarise(fitted, window + np.eye(1, features)))
    assert moved.p_value[0] <= 0.01 < calm.p_value[0]
    assert np.isfinite([moved.statistic, moved.effect]).all()
    assert moved.effect[0] > 0.1


def test_one_outlier_of_the_reference_hides_no_shift_from_the_online_test():
    generator = np.random.default_rng(8)
    reference, rows = generator.normal(size=(600, 5)), generator.normal(size=(400, 5))
    reference[0, 0] = 1e308
    detector = OnlineMaximumMeanDiscrepancy(expected_run_time=2000, simulated_rows=40_000, maximum_reference_rows=300)
    fitted = detector.fit(reference)
    rows[200:, 0] += 3
    _, found = detector.run(fitted, detector.start(fitted), rows)
    alarmed = found.statistic[:, 0, 0] > found.threshold[0, 0]
    assert not alarmed[:200].any()
    assert alarmed[260:].all()


@each_kernel_test
@pytest.mark.parametrize("draw", SPARSE.values(), ids=SPARSE)
@pytest.mark.parametrize(("n", "m"), [(100, 10), (100, 200), (400, 40)])
def test_sparse_features_alarm_no_more_often_than_they_may(detector, draw, n, m):
    generator = np.random.default_rng(n + m)
    if hasattr(detector, "permutations"):
        detector = replace(detector, permutations=19)
    found = []
    for _ in range(20):
        fitted = detector.fit(draw(generator, (n, 2)))
        drawn = [draw(generator, (m, 2)) for _ in range(4)]
        found.extend(detector.test(fitted, detector.summarise(fitted, window)).p_value[0] for window in drawn)
    for level in (0.05, 0.01, 0.001):
        below = int((np.array(found) <= level + 1e-12).sum())
        assert binom.sf(below - 1, len(found), level) > IMPROBABLE, (below, level)


@each_kernel_test
@pytest.mark.parametrize("count", [1, 5])
def test_sparse_features_that_become_frequent_are_found(detector, count):
    generator = np.random.default_rng(9)
    reference = np.zeros((1000, 2))
    reference[:count, 0] = 1
    fitted = detector.fit(reference)
    window = (generator.random((300, 2)) < 0.2) * np.array([1.0, 0.0])
    result = detector.test(fitted, detector.summarise(fitted, window))
    assert result.p_value[0] <= 0.01
    calm = detector.test(fitted, detector.summarise(fitted, np.zeros((300, 2))))
    assert calm.p_value[0] > 0.05
