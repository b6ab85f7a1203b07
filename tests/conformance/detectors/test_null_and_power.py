"""P-values are what they claim to be while nothing changes, and small when something does."""

import numpy as np
import pytest
from scipy.stats import binom

from detectors.kernel.maximum_mean_discrepancy import MaximumMeanDiscrepancy
from detectors.rank.kolmogorov_smirnov import ALTERNATIVES, KolmogorovSmirnov

LEVELS = [0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9]
IMPROBABLE = 1e-4


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
