"""Several bandwidths, and the one that says most."""

import numpy as np
import pytest

from detectors.errors import InvalidParameter
from detectors.kernel.aggregated import AggregatedMaximumMeanDiscrepancy
from detectors.kernel.maximum_mean_discrepancy import MaximumMeanDiscrepancy


def rows(count, features=2, seed=0, shift=0.0):
    return np.random.default_rng(seed).normal(shift, size=(count, features))


def result_of(detector, reference, window):
    fitted = detector.fit(reference)
    return detector.test(fitted, detector.summarise(fitted, window))


def plainly(reference, window, bandwidth):
    """MMD^2 and the root mean square of the centred kernel, by their definitions."""
    pooled, n, m = np.concatenate([reference, window]), len(reference), len(window)
    matrix = np.exp(-((pooled[:, None] - pooled) ** 2).sum(axis=2) / (2 * bandwidth**2))
    np.fill_diagonal(matrix, 0)
    within = matrix[:n, :n].sum() / (n * (n - 1)) + matrix[n:, n:].sum() / (m * (m - 1))
    count, sums = n + m, matrix.sum(axis=1) / (n + m - 2)
    centred = matrix - sums - sums[:, None] + matrix.sum() / ((count - 1) * (count - 2))
    np.fill_diagonal(centred, 0)
    np.testing.assert_allclose(centred.sum(axis=1), 0, atol=1e-10)
    return within - 2 * matrix[:n, n:].mean(), np.sqrt((centred**2).sum() / (count * (count - 3)))


@pytest.mark.parametrize("bandwidths", [1, 3, 6, 12])
def test_the_statistic_is_the_largest_normalised_discrepancy(bandwidths):
    reference, window = rows(50), rows(40, seed=1, shift=0.2)
    median = MaximumMeanDiscrepancy(standardise=False).fit(reference).bandwidth
    detector = AggregatedMaximumMeanDiscrepancy(standardise=False, bandwidths=bandwidths)
    fitted = detector.fit(reference)
    assert fitted.bandwidth == pytest.approx(2 * median, rel=1e-12)
    measured = detector.measure(fitted, detector.summarise(fitted, window))
    found = [plainly(reference, window, 2 * median / 2**step) for step in range(bandwidths)]
    statistics = [discrepancy / spread for discrepancy, spread in found]
    assert measured.statistic[0] == pytest.approx(max(statistics), rel=1e-8)
    effect = np.sqrt(max(found[int(np.argmax(statistics))][0], 0))
    assert measured.effect[0] == pytest.approx(effect, abs=1e-7)


def test_the_window_and_the_reference_may_change_places():
    reference, window = rows(50), rows(50, seed=1, shift=0.3)
    window[:] = window[np.argsort(window[:, 0])]
    one, other = (
        result_of(AggregatedMaximumMeanDiscrepancy(standardise=False), *pair)
        for pair in ((reference, window), (window, reference))
    )
    assert one.statistic[0] == pytest.approx(other.statistic[0], rel=0.3)  # the bandwidths are the reference's


@pytest.mark.parametrize(("scale", "effect"), [(1e-3, 0.1), (1e3, 0.1)])
def test_the_effect_and_the_statistic_have_no_unit(scale, effect):
    results = [
        result_of(AggregatedMaximumMeanDiscrepancy(), rows(80) * unit, rows(60, seed=1, shift=1) * unit)
        for unit in (1.0, scale)
    ]
    np.testing.assert_allclose(results[0].statistic, results[1].statistic, rtol=1e-9)
    np.testing.assert_allclose(results[0].effect, results[1].effect, rtol=1e-9)
    assert results[0].p_value == results[1].p_value == 1 / 101
    assert effect < results[0].effect[0] < 2**0.5


def test_rows_out_of_one_anothers_reach_say_nothing_at_that_bandwidth():
    reference, window = np.arange(6.0).reshape(-1, 1) * 1e5, np.arange(6.0).reshape(-1, 1) * 1e5 + 5e4
    result = result_of(AggregatedMaximumMeanDiscrepancy(bandwidths=12, standardise=False), reference, window)
    for numbers in (result.statistic, result.effect, result.p_value):
        assert np.isfinite(numbers).all()


@pytest.mark.parametrize("value", [1.0, -4.0])
def test_equal_rows_are_calm(value):
    result = result_of(AggregatedMaximumMeanDiscrepancy(), np.full((20, 2), value), np.full((10, 2), value))
    assert (result.statistic[0], result.effect[0], result.p_value[0]) == (0, 0, 1)


def test_holding_rows_out_leaves_the_bandwidths_of_all():
    reference = rows(60)
    detector = AggregatedMaximumMeanDiscrepancy(standardise=False)
    fitted = detector.fit(reference)
    found = detector.measure_held_out(fitted, detector.summarise(fitted, reference[10:30]), slice(10, 30))
    others, held = np.delete(reference, slice(10, 30), axis=0), reference[10:30]
    values = [plainly(others, held, fitted.bandwidth / 2**step) for step in range(6)]
    assert found.statistic[0] == pytest.approx(max(square / spread for square, spread in values), rel=1e-8)


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_rows_measure_nothing(count):
    result = result_of(AggregatedMaximumMeanDiscrepancy(), rows(9), rows(count))
    assert np.isnan([result.statistic, result.effect, result.p_value]).all()


@pytest.mark.parametrize("bandwidths", [0, 13, 1.5, True])
def test_the_number_of_bandwidths_is_limited(bandwidths):
    with pytest.raises(InvalidParameter, match="bandwidths"):
        AggregatedMaximumMeanDiscrepancy(bandwidths=bandwidths)
