"""MMD from sums of features: rows, parameters and the null distribution."""

import numpy as np
import pytest
from scipy.special import comb
from scipy.stats import chi2

from detectors.arrays import HOST
from detectors.errors import InvalidParameter, TooFewRows
from detectors.kernel import fast_maximum_mean_discrepancy as module
from detectors.kernel.fast_maximum_mean_discrepancy import FastMaximumMeanDiscrepancy, Null
from detectors.kernel.feature_sums import FeatureMap
from detectors.kernel.gaussian import Frame

FEW = FastMaximumMeanDiscrepancy(frequencies=100)


def rows(count, features=3, seed=0, shift=0.0):
    return np.random.default_rng(seed).normal(shift, size=(count, features))


def result_of(detector, reference, window):
    fitted = detector.fit(reference)
    return detector.test(fitted, detector.summarise(fitted, window))


def test_the_statistic_is_the_unbiased_discrepancy_of_the_features_kernel():
    reference, window = rows(50), rows(40, seed=1, shift=0.4)
    fitted = FEW.fit(reference)
    gram = fitted.map.gram(np.concatenate([reference, window]))
    np.fill_diagonal(gram, 0)
    expected = gram[:50, :50].sum() / (50 * 49) + gram[50:, 50:].sum() / (40 * 39) - 2 * gram[:50, 50:].mean()
    measured = FEW.measure(fitted, FEW.summarise(fitted, window))
    assert measured.statistic[0] == pytest.approx(expected, abs=1e-7)
    assert measured.effect[0] == pytest.approx(np.sqrt(expected), abs=1e-6)


def test_all_rows_count_and_are_said():
    result = result_of(FEW, rows(3000), rows(2500, seed=1))
    assert (result.reference_count, result.window_count, result.method) == (3000, 2500, "saddlepoint")


def test_incomplete_rows_are_left_out_and_counted():
    reference, window = rows(60), rows(50, seed=1, shift=0.3)
    expected = result_of(FEW, reference, window)
    holes = np.array([[0.0, np.nan, 1.0], [np.nan, np.nan, np.nan]])
    result = result_of(FEW, np.insert(reference, 30, holes, axis=0), np.insert(window, 7, holes, axis=0))
    for field in ("statistic", "effect", "p_value"):
        assert getattr(result, field).tobytes() == getattr(expected, field).tobytes()
    assert (result.missing.tolist(), result.window_count, result.reference_count) == ([2], 52, 60)


@pytest.mark.parametrize("count", [0, 3])
def test_a_reference_needs_four_complete_rows(count):
    with pytest.raises(TooFewRows, match=f"{count} complete reference rows, and at least 4"):
        FEW.fit(np.concatenate([np.full((9, 3), np.nan), rows(count)]))
    assert np.isfinite(result_of(FEW, rows(4), rows(2, seed=1)).p_value).all()


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_complete_window_rows_measure_nothing(count):
    result = result_of(FEW, rows(9), np.concatenate([rows(count), np.full((4, 3), np.nan)]))
    assert np.isnan([result.statistic, result.effect, result.p_value]).all()
    assert result.missing.tolist() == [4]


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("frequencies", 0),
        ("frequencies", 2.0),
        ("frequencies", 2**16 + 1),
        ("seed", -1),
        ("standardise", 1),
        ("bandwidth", 0.0),
        ("bandwidth", "wide"),
        ("bandwidth", float("nan")),
    ],
)
def test_parameters_are_checked(parameter, value):
    with pytest.raises(InvalidParameter) as caught:
        FastMaximumMeanDiscrepancy(**{parameter: value})
    assert caught.value.parameter == parameter


def test_a_whole_bandwidth_is_the_same_as_a_decimal_one():
    assert FastMaximumMeanDiscrepancy(bandwidth=2) == FastMaximumMeanDiscrepancy(bandwidth=2.0)


def test_a_given_bandwidth_is_in_the_rows_own_unit_without_standardising():
    reference, window = rows(200), rows(150, seed=1, shift=0.4)
    one = FastMaximumMeanDiscrepancy(frequencies=100, standardise=False, bandwidth=1.5)
    other = FastMaximumMeanDiscrepancy(frequencies=100, standardise=False, bandwidth=150)
    assert other.fit(reference * 100).bandwidth == pytest.approx(150)
    expected, found = result_of(one, reference, window), result_of(other, reference * 100, window * 100)
    np.testing.assert_allclose(found.statistic, expected.statistic, rtol=1e-3)
    np.testing.assert_allclose(found.p_value, expected.p_value, rtol=1e-2)


def test_seeds_change_the_features():
    results = [
        result_of(FastMaximumMeanDiscrepancy(frequencies=50, seed=seed), rows(60), rows(50, seed=1))
        for seed in range(4)
    ]
    assert len({result.statistic[0] for result in results}) == 4


def test_no_p_value_is_smaller_than_that_of_all_permutations():
    result = result_of(FEW, rows(6), rows(5, seed=1, shift=1e6))
    assert result.p_value[0] == pytest.approx(1 / comb(11, 5))
    constant = np.full((6, 3), 2.0)
    moved = result_of(FEW, constant, constant[:5] + 1)
    assert moved.method == "resampling"
    assert 1 / comb(11, 5) <= moved.p_value[0] < 5 / comb(11, 5)  # of 2,000 windows, about 4 are as odd
    assert result_of(FEW, constant, constant[:5]).p_value[0] == 1
    assert result_of(FEW, rows(5000), rows(1000, seed=1, shift=2)).p_value[0] == 0  # below the smallest double


@pytest.mark.parametrize("held", [slice(0, 30), slice(50, 90), slice(119, 120), slice(0, 119)])
def test_holding_rows_out_leaves_the_sums_of_the_others(held):
    reference = rows(120)
    reference[60, 1] = np.nan
    detector = FastMaximumMeanDiscrepancy(frequencies=100, standardise=False, bandwidth=1.3)
    fitted = detector.fit(reference)
    found = detector.measure_held_out(fitted, detector.summarise(fitted, reference[held]), held)
    others = np.delete(reference, held, axis=0)
    if min(np.isfinite(part).all(axis=1).sum() for part in (others, reference[held])) < 2:
        assert np.isnan([found.statistic, found.effect]).all()
        return
    anew = detector.fit(others)
    expected = detector.measure(anew, detector.summarise(anew, reference[held]))
    # Another centre turns all phases: a change within the rounding of the circle.
    np.testing.assert_allclose(found.statistic, expected.statistic, atol=1e-4)


def test_the_null_has_the_mean_square_of_the_centred_kernel():
    """Against the unbiased estimate from disjoint fours of rows: a mean of products with independent ones."""
    frame = Frame(np.zeros(2, dtype=np.intc), np.zeros(2), np.ones(2))
    features = FeatureMap.draw(HOST, frame, 200, (0, 4))
    few = [Null.of(features.gram(rows(12, 2, seed=seed))).weights for seed in range(200)]
    assert all(weights.sum() == pytest.approx(0, abs=1e-12) for weights in few)
    many = Null.of(features.gram(rows(2000, 2, seed=999))).weights
    assert np.mean([(weights**2).sum() for weights in few]) == pytest.approx((many**2).sum(), rel=0.05)


def test_few_rows_of_a_large_reference_give_the_null(monkeypatch):
    all_of_them = FEW.fit(rows(900))
    monkeypatch.setattr(module, "NULL_ROWS", 300)
    some = FEW.fit(rows(900))
    assert len(some.null.weights) == 300
    assert some.sums == all_of_them.sums
    assert (some.null.weights**2).sum() == pytest.approx((all_of_them.null.weights**2).sum(), rel=0.2)


def test_one_binary_feature_gives_one_chi_square():
    """Then MMD^2 is a squared difference of two shares, and the test that of two proportions."""
    generator = np.random.default_rng(3)
    reference, window = (generator.integers(0, 2, size=(count, 1)).astype(float) for count in (4000, 900))
    result = result_of(FastMaximumMeanDiscrepancy(), reference, window)
    share = reference.mean()
    z = (window.mean() - share) / np.sqrt(share * (1 - share) * (1 / 4000 + 1 / 900))
    assert result.p_value[0] == pytest.approx(chi2.sf(z**2, 1), rel=0.1)
