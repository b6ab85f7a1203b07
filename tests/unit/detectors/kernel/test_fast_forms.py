"""MMD from feature sums and MMD without permutations: size, power, and what their summaries hold."""

import numpy as np
import pytest
from scipy.stats import chi2

from detectors.kernel import weighted_chi_squares
from detectors.kernel.cross_maximum_mean_discrepancy import CrossMaximumMeanDiscrepancy
from detectors.kernel.fast_maximum_mean_discrepancy import FastMaximumMeanDiscrepancy
from detectors.kernel.maximum_mean_discrepancy import MaximumMeanDiscrepancy

FORMS = [FastMaximumMeanDiscrepancy(frequencies=200), CrossMaximumMeanDiscrepancy()]
each = pytest.mark.parametrize("detector", FORMS, ids=lambda detector: detector.name)


def p_values(detector, generator, repetitions, change=lambda rows: rows):
    found = []
    for _ in range(repetitions):
        fitted = detector.fit(generator.normal(size=(300, 4)))
        for _ in range(4):
            window = change(generator.normal(size=(100, 4)))
            found.append(detector.test(fitted, detector.summarise(fitted, window)).p_value[0])
    return np.array(found)


@each
def test_calm_windows_alarm_as_often_as_they_may(detector):
    found = p_values(detector, np.random.default_rng(11), 60)
    for alpha in (0.05, 0.2, 0.5):
        error = 3.5 * np.sqrt(alpha * (1 - alpha) / len(found))
        assert abs((found <= alpha).mean() - alpha) < error + 0.01


@each
@pytest.mark.parametrize(
    "change",
    [lambda rows: rows + 0.5, lambda rows: rows * 1.6, lambda rows: rows + 1.2 * np.roll(rows, 1, axis=1)],
    ids=["mean", "scale", "correlation"],
)
def test_changes_are_found(detector, change):
    assert (p_values(detector, np.random.default_rng(12), 8, change) <= 0.05).mean() > 0.8


def test_feature_sums_estimate_the_same_discrepancy_as_all_pairs_of_rows():
    generator = np.random.default_rng(13)
    reference, window = generator.normal(size=(800, 5)), generator.normal(0.3, 1.2, size=(400, 5))
    exact, fast = MaximumMeanDiscrepancy(), FastMaximumMeanDiscrepancy(frequencies=4000)
    one, other = exact.fit(reference), fast.fit(reference)
    expected = exact.measure(one, exact.summarise(one, window)).statistic[0]
    found = fast.measure(other, fast.summarise(other, window)).statistic[0]
    assert found == pytest.approx(expected, rel=0.06)


def test_a_summary_is_of_one_size_and_the_same_whatever_the_batches():
    generator = np.random.default_rng(14)
    detector = FastMaximumMeanDiscrepancy(frequencies=50)
    fitted = detector.fit(generator.normal(size=(500, 7)))
    rows = generator.normal(size=(1037, 7))
    whole = detector.summarise(fitted, rows)
    for parts in (2, 5, 333, 1037):
        merged = detector.empty(fitted)
        for part in np.array_split(rows, parts):
            merged += detector.summarise(fitted, part)
        assert merged == whole
    size = sum(array.nbytes for array in detector.summarise(fitted, rows[:3]).arrays().values())
    assert sum(array.nbytes for array in whole.arrays().values()) == size


@each
def test_leaving_rows_out_is_measuring_against_the_others(detector):
    generator = np.random.default_rng(15)
    reference = generator.normal(size=(400, 3))
    reference[100:140] += 1.0
    fitted = detector.fit(reference)
    held = slice(100, 140)
    calm = detector.measure_held_out(fitted, detector.summarise(fitted, reference[:40]), slice(0, 40))
    moved = detector.measure_held_out(fitted, detector.summarise(fitted, reference[held]), held)
    assert moved.statistic[0] > calm.statistic[0]
    everything = detector.measure_held_out(fitted, detector.summarise(fitted, reference), slice(0, 400))
    assert np.isnan(everything.statistic[0])


def test_the_law_of_weighted_chi_squares_is_the_chi_square_where_that_is_known():
    for degrees in (3, 10, 100):
        for tail in (0.9, 0.5, 0.1, 1e-3, 1e-8):
            value = chi2.isf(tail, degrees)
            assert weighted_chi_squares.survival(np.ones(degrees), value) == pytest.approx(tail, rel=0.01)


def test_the_law_of_weighted_chi_squares_is_that_of_simulated_sums():
    generator = np.random.default_rng(16)
    for weights in (0.9 ** np.arange(60), np.concatenate([0.8 ** np.arange(30), -np.full(40, 0.02)])):
        sums = (generator.chisquare(1, size=(100_000, len(weights))) * weights).sum(axis=1)
        for tail in (0.95, 0.5, 0.1, 0.01):
            found = weighted_chi_squares.survival(weights, float(np.quantile(sums, 1 - tail)))
            assert found == pytest.approx(tail, rel=0.06)
