from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from detectors.calibration import LeavesOut
from detectors.errors import InvalidParameter, TooFewRows
from detectors.kernel.density_difference import LeastSquaresDensityDifference


def result_of(detector, reference, window):
    fitted = detector.fit(reference)
    return detector.test(fitted, detector.summarise(fitted, window))


def gaussians(left, right, sigma):
    return np.exp(-((left[:, np.newaxis] - right) ** 2).sum(axis=2) / (2 * sigma**2))


def literally(reference, window, centres, sigma, ridge):
    """2 theta'h - theta'H theta as the paper has it, the integrals of products of Gaussians and all."""
    norm = (np.pi * sigma**2) ** (reference.shape[1] / 2)
    h = gaussians(centres, reference, sigma).mean(axis=1) - gaussians(centres, window, sigma).mean(axis=1)
    products = norm * gaussians(centres, centres, np.sqrt(2) * sigma)
    theta = np.linalg.solve(products + ridge * norm * np.eye(len(centres)), h)
    return norm * (2 * theta @ h - theta @ products @ theta)


def set_aside(fitted, rows):
    return np.delete(rows, fitted.origins, axis=0)


@pytest.mark.parametrize("ridge", [1e-4, 0.03, 10.0])
def test_the_statistic_is_the_papers_in_units_of_a_normalised_gaussian(ridge):
    generator = np.random.default_rng(1)
    reference, window = generator.normal(size=(60, 2)), generator.normal(size=(40, 2)) + 0.5
    detector = LeastSquaresDensityDifference(standardise=False, bandwidth=1.3, ridge=ridge)
    fitted = detector.fit(reference)
    centres = set_aside(fitted, reference)
    assert len(centres) == 15
    found = detector.measure(fitted, detector.summarise(fitted, window)).statistic
    expected = literally(reference[fitted.origins], window, centres, 1.3, ridge)
    np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_standardising_is_dividing_by_the_deviation_of_the_rows_set_aside():
    generator = np.random.default_rng(2)
    reference, window = generator.normal(size=(80, 3)) * [1, 50, 1e-3], generator.normal(size=(30, 3)) * [1, 60, 1e-3]
    detector = LeastSquaresDensityDifference(bandwidth=2.0)
    fitted = detector.fit(reference)
    deviations = set_aside(fitted, reference).std(axis=0)
    parts = (each / deviations for each in (reference[fitted.origins], window, set_aside(fitted, reference)))
    found = detector.measure(fitted, detector.summarise(fitted, window)).statistic
    np.testing.assert_allclose(found, literally(*parts, 2.0, detector.ridge), rtol=1e-8)


def test_the_default_bandwidth_is_the_median_heuristic_on_the_centres():
    reference = np.random.default_rng(3).normal(size=(100, 2))
    fitted = LeastSquaresDensityDifference(standardise=False).fit(reference)
    centres = set_aside(fitted, reference)
    squares = sorted(((a - b) ** 2).sum() for a, b in combinations(centres, 2))
    assert fitted.bandwidth == pytest.approx(np.sqrt(squares[(len(squares) - 1) // 2] / 2))


def test_the_p_value_is_the_share_of_relabellings_that_are_at_least_as_extreme():
    generator = np.random.default_rng(4)
    reference, window = generator.normal(size=(8, 1)), generator.normal(size=(4, 1)) + 1.2
    detector = LeastSquaresDensityDifference(permutations=20_000, standardise=False, bandwidth=1.0)
    fitted = detector.fit(reference)
    centres = set_aside(fitted, reference)
    rows = np.concatenate([reference[fitted.origins], window])
    everything = []
    for chosen in combinations(range(10), 6):
        others = [each for each in range(10) if each not in chosen]
        everything.append(literally(rows[list(chosen)], rows[others], centres, 1.0, detector.ridge))
    observed = literally(rows[:6], rows[6:], centres, 1.0, detector.ridge)
    exact = np.mean(np.array(everything) >= observed - 1e-12)
    result = detector.test(fitted, detector.summarise(fitted, window))
    assert 0.01 < exact < 0.5
    assert result.p_value[0] == pytest.approx(exact, abs=0.01)


def test_the_effect_does_not_depend_on_the_counts_and_the_statistic_does():
    generator = np.random.default_rng(5)
    detector = LeastSquaresDensityDifference(standardise=False, bandwidth=2.0, centres=20, maximum_window_rows=4000)
    yardstick = generator.normal(size=(4000, 3))
    few, many = [], []
    for _ in range(40):
        fitted = detector.fit(np.concatenate([yardstick[:100], generator.normal(size=(900, 3))]))
        window = generator.normal(size=(3000, 3)) + 0.4
        few.append(detector.measure(fitted, detector.summarise(fitted, window[:20])))
        many.append(detector.measure(fitted, detector.summarise(fitted, window)))
    squares = [np.mean([each.effect[0] ** 2 for each in group]) for group in (few, many)]
    statistics = [np.mean([each.statistic[0] for each in group]) for group in (few, many)]
    assert squares[0] == pytest.approx(squares[1], rel=0.2)
    assert statistics[0] > 1.4 * statistics[1]


def test_rows_set_aside_are_not_compared_and_others_are_chosen_at_random():
    rows = np.random.default_rng(6).normal(size=(1000, 2))
    fitted = LeastSquaresDensityDifference(centres=40, maximum_reference_rows=300).fit(rows)
    assert fitted.embedded.shape == (300, 40)
    assert len(np.unique(fitted.origins)) == 300
    placed = fitted.frame.place(rows)
    is_centre = (placed[:, np.newaxis] == fitted.centres).all(axis=2).any(axis=1)
    assert is_centre.sum() == 40
    assert not is_centre[fitted.origins].any()


def test_which_rows_are_chosen_is_not_the_same_ranks_for_every_window():
    generator = np.random.default_rng(7)
    detector = LeastSquaresDensityDifference(permutations=1, maximum_window_rows=50)
    fitted = detector.fit(generator.normal(size=(100, 1)))
    means = []
    for _ in range(100):
        window = np.sort(generator.normal(size=(2000, 1)), axis=0)
        _, chosen = detector._embedded(fitted, detector.summarise(fitted, window))
        means.append(np.searchsorted(window[:, 0], chosen[:, 0]).mean() / 2000)
    assert np.std(means) == pytest.approx(np.sqrt(1 / 12 / 50), rel=0.3)  # what independent choices have


def test_rows_with_missing_values_are_left_out_and_counted():
    generator = np.random.default_rng(8)
    reference, window = generator.normal(size=(50, 2)), generator.normal(size=(30, 2))
    holed, holed_window = np.insert(reference, [3, 20], np.nan, axis=0), np.insert(window, 7, [0.0, np.nan], axis=0)
    detector = LeastSquaresDensityDifference()
    expected, found = result_of(detector, reference, window), result_of(detector, holed, holed_window)
    assert found.missing.tolist() == [1]
    assert found.window_count == expected.window_count + 1
    assert found.statistic == expected.statistic
    assert not np.isnan(holed[detector.fit(holed).origins]).any()


def test_too_few_rows():
    detector = LeastSquaresDensityDifference()
    with pytest.raises(TooFewRows, match="2 complete reference rows, and at least 3"):
        detector.fit(np.array([[1.0], [np.nan], [2.0]]))
    result = result_of(detector, np.arange(5.0)[:, np.newaxis], np.ones((1, 1)))
    assert result.undecided.all()
    assert np.isnan([*result.statistic, *result.effect]).all()


@pytest.mark.parametrize("bandwidth", [5e-324, 1e-3, 1e308, None])
@pytest.mark.parametrize("standardise", [False, True])
def test_any_magnitude_gives_a_number(bandwidth, standardise):
    detector = LeastSquaresDensityDifference(permutations=9, bandwidth=bandwidth, standardise=standardise)
    for scale in (5e-324, 1.0, 1e308):
        reference = np.where(np.arange(20) % 2, scale, 0.0)[:, np.newaxis]
        for window in ([[0.0], [1e308]], [[5e-324], [-1e308]], [[np.inf], [1.0]]):
            result = result_of(detector, reference, np.array(window))
            assert np.isfinite([*result.statistic, *result.effect, *result.p_value]).all()


def test_a_bandwidth_in_the_rows_own_unit_sees_windows_beyond_the_reference():
    detector = LeastSquaresDensityDifference(standardise=False, bandwidth=2.0, permutations=99)
    reference = np.full((40, 1), 5e-324)
    assert result_of(detector, reference, np.full((20, 1), 1e-9)).p_value[0] == 1
    assert result_of(detector, reference, np.full((20, 1), 2.0)).p_value[0] == 0.01


def test_held_out_rows_are_left_out():
    rows = np.random.default_rng(9).normal(size=(200, 2))
    detector = LeastSquaresDensityDifference(standardise=False, bandwidth=1.0)
    assert isinstance(detector, LeavesOut)
    fitted = detector.fit(rows)
    held = slice(40, 90)
    found = detector.measure_held_out(fitted, detector.summarise(fitted, rows[held]), held).statistic[0]
    others = [each for each in fitted.origins if not held.start <= each < held.stop]
    assert 0 < len(others) < len(fitted.origins)
    expected = literally(rows[others], rows[held], set_aside(fitted, rows), 1.0, detector.ridge)
    assert found == pytest.approx(expected, rel=1e-8)
    assert np.isnan(detector.measure_held_out(fitted, detector.summarise(fitted, rows), slice(0, 200)).statistic).all()


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("permutations", 0),
        ("seed", -1),
        ("standardise", 1),
        ("centres", 0),
        ("centres", 1001),
        ("ridge", 0),
        ("ridge", 1e-10),
        ("ridge", 1e10),
        ("ridge", "0.1"),
        ("maximum_reference_rows", 1),
        ("maximum_window_rows", 10_001),
        ("bandwidth", 0.0),
    ],
)
def test_parameters_out_of_range_are_refused(parameter, value):
    with pytest.raises(InvalidParameter) as caught:
        replace(LeastSquaresDensityDifference(), **{parameter: value})
    assert caught.value.parameter == parameter


def test_torch_measures_what_numpy_does():
    torch = pytest.importorskip("torch")
    generator = np.random.default_rng(10)
    reference, window = generator.normal(size=(300, 4)), generator.normal(size=(200, 4)) + 0.2
    detector = LeastSquaresDensityDifference()
    expected, found = result_of(detector, reference, window), result_of(detector, torch.asarray(reference), window)
    assert detector.fit(torch.asarray(reference)).embedded.dtype == torch.float64
    np.testing.assert_allclose(found.statistic, expected.statistic, rtol=1e-10)
    np.testing.assert_allclose(found.effect, expected.effect, rtol=1e-9)
    assert found.p_value == expected.p_value
    fitted = detector.fit(torch.asarray(reference))
    held = slice(0, 100)
    left_out = detector.measure_held_out(fitted, detector.summarise(fitted, torch.asarray(reference[held])), held)
    fitted = detector.fit(reference)
    on_host = detector.measure_held_out(fitted, detector.summarise(fitted, reference[held]), held)
    np.testing.assert_allclose(left_out.statistic, on_host.statistic, rtol=1e-10)
