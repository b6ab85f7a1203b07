"""The classifier two-sample test and the least-squares density difference: their size, power, and what others found."""

import numpy as np
import pytest

from detectors.calibration import block_null, joint_null
from detectors.classifier.classifier_two_sample import ClassifierTwoSample
from detectors.kernel.density_difference import LeastSquaresDensityDifference
from tests.conformance.detectors.test_null_and_power import assert_roughly_uniform, p_values

EVERY = [LeastSquaresDensityDifference(permutations=99), ClassifierTwoSample()]
every_detector = pytest.mark.parametrize("detector", EVERY, ids=lambda detector: detector.name)

# alibi-detect 0.13.0 with torch 2.15: LSDDDrift(x_ref, backend="pytorch", n_permutations=100, n_kernel_centers=100) on
# the rows of `shifted_and_spread`; the mean of its distance over 8 seeds, and whether all of them had p below 0.05.
# Features, shift, spread, distance, drift.
ALIBI = [
    (2, 0.0, 1.0, 0.003346, False),
    (2, 0.8, 1.0, 0.1215, True),
    (2, 1.5, 1.0, 0.3211, True),
    (2, 0.0, 2.5, 0.1189, True),
    (5, 0.0, 1.0, 0.007715, False),
    (5, 0.8, 1.0, 0.1122, True),
    (5, 1.5, 1.0, 0.3163, True),
    (5, 0.0, 2.5, 0.1285, True),
    (20, 0.0, 1.0, 0.00256, False),
    (20, 0.8, 1.0, 0.0174, True),
    (20, 1.5, 1.0, 0.0511, True),
    (20, 0.0, 2.5, 0.01642, True),
]


def shifted_and_spread(features, shift, spread):
    generator = np.random.default_rng(20 + features)
    reference, window = generator.normal(size=(500, features)), generator.normal(size=(400, features))
    window[:, 0] = spread * window[:, 0] + shift
    return reference, window


def result_of(detector, reference, window):
    fitted = detector.fit(reference)
    return detector.test(fitted, detector.summarise(fitted, window))


@pytest.mark.parametrize(("features", "shift", "spread", "distance", "drift"), ALIBI)
def test_the_density_difference_is_that_of_alibi_detect(features, shift, spread, distance, drift):
    reference, window = shifted_and_spread(features, shift, spread)
    results = [result_of(LeastSquaresDensityDifference(seed=seed), reference, window) for seed in range(4)]
    assert [bool(result.p_value[0] < 0.05) for result in results] == [drift] * 4
    # Centres are chosen at random and the ridge in another way: so not the same number, but the same size.
    assert np.mean([result.statistic[0] for result in results]) == pytest.approx(distance, rel=0.2 if drift else 0.5)


@pytest.mark.parametrize(("features", "shift", "spread", "distance", "drift"), ALIBI)
def test_the_classifier_finds_what_alibi_detects_density_difference_finds(features, shift, spread, distance, drift):
    result = result_of(ClassifierTwoSample(), *shifted_and_spread(features, shift, spread))
    assert bool(result.p_value[0] < 0.05) == drift
    assert (result.effect[0] > 0.1) == (distance > 0.01) == drift


@every_detector
@pytest.mark.parametrize(("n", "m", "features"), [(400, 100, 1), (60, 60, 10)])
def test_p_values_are_uniform_without_drift(detector, n, m, features):
    assert_roughly_uniform(p_values(detector, 200, n, m, features, seed=1), slack=0.02)


@every_detector
@pytest.mark.parametrize(("n", "m"), [(12, 8), (30, 5)])
def test_few_rows_raise_no_more_false_alarms(detector, n, m):
    probabilities = p_values(detector, 200, n, m, 3, seed=2)
    for level in (0.05, 0.1, 0.25):
        assert (probabilities <= level + 1e-12).mean() <= level + 3.5 * np.sqrt(level * (1 - level) / 200)


@pytest.mark.parametrize("model", ["gradient_boosting", "random_forest"])
def test_trees_raise_no_more_false_alarms(model):
    detector = ClassifierTwoSample(model=model, folds=2)
    probabilities = p_values(detector, 20, 60, 40, 2, seed=3)
    assert (probabilities <= 0.05).mean() <= 0.15
    assert 0.3 < probabilities.mean() < 0.7


@every_detector
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_seed_is_prone_to_false_alarms_or_blind_when_there_are_more_rows_than_are_looked_at(detector, seed):
    """In one feature, the ranks that are chosen say nearly all: they may not be the same in every window."""
    limits = {"maximum_reference_rows": 100, "maximum_window_rows": 100}
    limited = type(detector)(seed=seed, **limits)
    assert_roughly_uniform(p_values(limited, 150, 700, 700, 1, seed=4), slack=0.02)


@every_detector
@pytest.mark.parametrize("scale", [1e-150, 1.0, 1e150])
def test_a_shift_is_found_at_any_scale(detector, scale):
    generator = np.random.default_rng(5)
    reference, window = generator.normal(size=(500, 5)), generator.normal(size=(300, 5))
    window[:, 0] += 0.6
    result = result_of(detector, reference * scale, window * scale)
    assert result.p_value[0] <= 0.01
    assert result.effect[0] > 0.05


@pytest.mark.parametrize(
    "detector",
    [
        LeastSquaresDensityDifference(permutations=99),
        ClassifierTwoSample(terms="products"),
        ClassifierTwoSample(model="gradient_boosting", folds=5),
    ],
    ids=["density difference", "products", "trees"],
)
def test_joint_drift_that_no_single_feature_shows(detector):
    generator = np.random.default_rng(6)
    reference, window = generator.normal(size=(600, 2)), generator.normal(size=(500, 2))
    window[:, 1] = 0.8 * window[:, 0] + 0.6 * window[:, 1]
    assert result_of(detector, reference, window).p_value[0] <= 0.01


@every_detector
def test_blocks_of_the_reference_calibrate_them(detector):
    generator = np.random.default_rng(7)
    rows = generator.normal(size=(1500, 3))
    null = block_null(detector, rows, 50)
    joint = joint_null([null])
    fitted = detector.fit(rows)
    found = []
    for shift in (0.0, 1.0):
        for _ in range(15):
            window = generator.normal(size=(50, 3)) + shift
            found.append(joint.largest_score([detector.measure(fitted, detector.summarise(fitted, window)).statistic]))
    assert sum(joint.p_value(score) <= 0.1 for score in found[:15]) <= 5
    assert all(joint.p_value(score) == 1 / 31 for score in found[15:])
