"""The law of the distance, and the distance at which it says alpha."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.rank import kolmogorov
from detectors.rank.kolmogorov import critical_distance, one_sided, p_value, p_value_of, survival
from detectors.rank.kolmogorov_smirnov import ALTERNATIVES, KolmogorovSmirnov


def test_the_law_decreases_from_one_to_zero():
    for count in (1, 7, 140, 141, 5000):
        probabilities = survival(count, np.linspace(0, 1, 300))
        assert probabilities[0] == 1
        assert probabilities[-1] == 0
        assert (np.diff(probabilities) <= 1e-13).all()


def test_the_one_sided_law_in_chunks_is_the_same():
    statistics = np.linspace(0.02, 0.9, 60)
    one_by_one = np.concatenate([one_sided(20_000, d[np.newaxis]) for d in statistics])
    np.testing.assert_allclose(one_sided(20_000, statistics), one_by_one, rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("alternative", ALTERNATIVES)
@pytest.mark.parametrize(("n", "m"), [(10_000, 1000), (60, 44), (1, 7), (9973, 997), (1, 1)])
def test_probabilities_of_whole_numbers_are_those_of_their_distances(n, m, alternative):
    reached = np.unique(np.linspace(0, n * m, 150).astype(np.int64)) // np.gcd(n, m) * np.gcd(n, m)
    found = p_value_of(n, m, reached, alternative)
    np.testing.assert_allclose(found, p_value(n, m, reached / (n * m), alternative), rtol=1e-12, atol=1e-14)


def test_what_was_found_before_does_not_change_what_is_found():
    n, m = 9000, 120
    alone = {int(k): p_value_of(n, m, np.array([k * 120]))[0] for k in (3, 4, 700, 900, 9000)}
    kolmogorov._table.cache_clear()
    together = p_value_of(n, m, np.arange(9001) * 120)
    assert all(together[k] == probability for k, probability in alone.items())


@given(st.integers(1, 400), st.integers(1, 400), st.floats(1e-9, 0.9), st.sampled_from(ALTERNATIVES))
@settings(max_examples=60)
def test_a_distance_beyond_the_critical_one_is_a_p_value_below_alpha(n, m, alpha, alternative):
    critical = critical_distance(n, m, alpha, alternative)
    distances = np.unique((np.arange(n + 1)[:, np.newaxis] / n - np.arange(m + 1) / m).clip(0))
    probabilities = p_value(n, m, distances, alternative)
    if n == m == 1:
        assert np.isnan(critical)
    else:
        assert np.array_equal(distances > critical, probabilities < alpha)


def test_the_critical_distance_decides_as_the_test_does():
    generator = np.random.default_rng(2)
    detector = KolmogorovSmirnov()
    fitted = detector.fit(generator.normal(size=(3000, 200)))
    found = detector.test(fitted, detector.summarise(fitted, generator.normal(0.06, size=(500, 200))))
    for alpha in (0.5, 0.05, 0.05 / 200):
        drifted = found.statistic > critical_distance(3000, 500, alpha)
        assert np.array_equal(drifted, found.p_value < alpha)
        assert alpha < 0.01 or drifted.any()


def test_no_distance_is_critical_for_an_alpha_that_none_reaches():
    assert critical_distance(2, 2, 1e-9, "less") == pytest.approx(1.25)
    assert critical_distance(2, 2, 1.0, "less") == pytest.approx(0.25)
