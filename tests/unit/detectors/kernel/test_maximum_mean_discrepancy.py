"""Rows, seeds and bandwidths as the detector uses them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.errors import TooFewRows
from detectors.kernel import permutation
from detectors.kernel.maximum_mean_discrepancy import MaximumMeanDiscrepancy


def rows(count, features=3, seed=0, shift=0.0):
    return np.random.default_rng(seed).normal(shift, size=(count, features))


def result_of(detector, reference, window):
    fitted = detector.fit(reference)
    return detector.test(fitted, detector.summarise(fitted, window))


def test_counts_are_those_of_the_rows_used():
    result = result_of(
        MaximumMeanDiscrepancy(maximum_reference_rows=30, maximum_window_rows=20), rows(100), rows(50, seed=1)
    )
    assert (result.reference_count, result.window_count) == (30, 20)
    result = result_of(MaximumMeanDiscrepancy(), rows(100), rows(50, seed=1))
    assert (result.reference_count, result.window_count, result.method, result.seed) == (100, 50, "permutation", 0)


def test_seeds_change_p_values_and_choices_but_not_the_statistic_of_all_rows():
    results = [result_of(MaximumMeanDiscrepancy(seed=seed), rows(60), rows(50, seed=1)) for seed in range(5)]
    assert len({result.statistic[0] for result in results}) == 1
    assert len({result.p_value[0] for result in results}) > 1
    chosen = [
        result_of(MaximumMeanDiscrepancy(seed=s, maximum_reference_rows=20), rows(60), rows(50, seed=1))
        for s in range(5)
    ]
    assert len({result.statistic[0] for result in chosen}) == 5


def test_units_do_not_matter_when_standardised():
    units = np.array([1e-9, 1.0, 1e12])
    plain = result_of(MaximumMeanDiscrepancy(), rows(60), rows(50, seed=1, shift=0.3))
    scaled = result_of(MaximumMeanDiscrepancy(), rows(60) * units, rows(50, seed=1, shift=0.3) * units)
    np.testing.assert_allclose(plain.statistic, scaled.statistic, rtol=1e-9)
    assert plain.p_value == scaled.p_value


def test_a_given_bandwidth_is_in_the_rows_own_unit_without_standardising():
    reference, window = rows(40) * 100, rows(30, seed=1) * 100
    detector = MaximumMeanDiscrepancy(standardise=False, bandwidth=150)
    fitted = detector.fit(reference)
    assert fitted.bandwidth == pytest.approx(150)
    similarity = np.exp(-((reference[:, None] - window) ** 2).sum(axis=2) / (2 * 150**2))
    expected_across = similarity.mean()
    measured = detector.measure(fitted, detector.summarise(fitted, window)).statistic[0]
    own = [np.exp(-((part[:, None] - part) ** 2).sum(axis=2) / (2 * 150**2)) for part in (reference, window)]
    expected = sum((k.sum() - len(k)) / (len(k) * (len(k) - 1)) for k in own) - 2 * expected_across
    assert measured == pytest.approx(expected, abs=1e-13)


def test_the_effect_is_a_distance():
    reference = rows(300)
    for shift, low, high in ((0, 0, 0.15), (1, 0.3, 0.7), (50, 0.8, 2**0.5)):
        result = result_of(MaximumMeanDiscrepancy(), reference, rows(300, seed=1, shift=shift))
        assert low <= result.effect[0] <= high


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_rows_are_too_few(count):
    detector = MaximumMeanDiscrepancy()
    with pytest.raises(TooFewRows, match=f"{count} reference rows"):
        detector.fit(rows(5)[:count])
    fitted = detector.fit(rows(5))
    with pytest.raises(TooFewRows, match=f"{count} window rows"):
        detector.measure(fitted, detector.summarise(fitted, rows(5)[:count]))


def test_measuring_permutes_nothing(monkeypatch):
    detector = MaximumMeanDiscrepancy()
    fitted, window = detector.fit(rows(20)), rows(10)
    monkeypatch.setattr(permutation.np.random, "default_rng", None)
    assert np.isfinite(detector.measure(fitted, detector.summarise(fitted, window)).statistic).all()


@given(st.integers(10, 60), st.data())
def test_holding_rows_out_leaves_the_kernel_of_the_others(count, data):
    rows = np.random.default_rng(count).normal(size=(count, 3))
    start = data.draw(st.integers(0, count - 4))
    held = slice(start, data.draw(st.integers(start + 2, count - 2)))
    detector = MaximumMeanDiscrepancy(standardise=False, bandwidth=1.3)
    fitted, others = detector.fit(rows), detector.fit(np.delete(rows, held, axis=0))
    if count - (held.stop - held.start) < 2:
        return
    found = detector.measure_held_out(fitted, detector.summarise(fitted, rows[held]), held)
    expected = detector.measure(others, detector.summarise(others, rows[held]))
    np.testing.assert_allclose(found.statistic, expected.statistic, rtol=1e-9, atol=1e-12)


def test_rows_that_the_sample_rests_on_are_held_out_of_it_too():
    rows = np.random.default_rng(5).normal(size=(400, 2))
    detector = MaximumMeanDiscrepancy(standardise=False, bandwidth=1.0, maximum_reference_rows=50)
    fitted = detector.fit(rows)
    held = slice(100, 200)
    left = fitted.origins[(fitted.origins < 100) | (fitted.origins >= 200)]
    assert 0 < len(left) < 50
    same = MaximumMeanDiscrepancy(standardise=False, bandwidth=1.0)
    others = same.fit(rows[left])
    found = detector.measure_held_out(fitted, detector.summarise(fitted, rows[held]), held)
    expected = same.measure(others, same.summarise(others, rows[held]))
    np.testing.assert_allclose(found.statistic, expected.statistic, rtol=1e-9, atol=1e-12)


def test_too_few_rows_left_to_compare_with_are_refused():
    rows = np.random.default_rng(6).normal(size=(10, 2))
    detector = MaximumMeanDiscrepancy()
    fitted = detector.fit(rows)
    with pytest.raises(TooFewRows, match="left"):
        detector.measure_held_out(fitted, detector.summarise(fitted, rows[:9]), slice(0, 9))
