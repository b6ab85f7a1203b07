"""Kolmogorov-Smirnov against SciPy: the same statistic, but for SciPy's roundings, and the same p-value.

For up to 140 rows, and for statistics that are small for their number of rows, both compute the distribution function
exactly and take it from one: there absolute errors count. Everywhere else relative ones do, far into the tail.
"""

from fractions import Fraction

import numpy as np
import pytest
import scipy
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp, kstwo

from detectors.rank.kolmogorov import survival
from detectors.rank.kolmogorov_smirnov import ALTERNATIVES, KolmogorovSmirnov
from tests.conformance.detectors.strategies import reference_and_windows

RELATIVE = 1e-12
ABSOLUTE = 1e-300  # below it a double has fewer digits left
ABSOLUTE_FOR_FEW_ROWS = 5e-14


# Ours is a whole number over nm, rounded once. SciPy rounds each distribution function and then their difference; from
# 1.18 on it multiplies counts by a rounded 1/n, which rounds each of the two once more. In halves of the last bit of 1:
STATISTIC_MOVES = (4 if np.lib.NumpyVersion(scipy.__version__) < "1.18.0" else 8) * 2.0**-54


def assert_same_probability(found, expected, count, moves=0.0):
    absolute = ABSOLUTE_FOR_FEW_ROWS if count <= 140 else ABSOLUTE
    # p falls like exp(-2 n D^2), so that D's rounding shows in it 4 n D times as large, and D is at most 1.
    relative = RELATIVE + 4 * (count + 1) * moves
    np.testing.assert_allclose(found, expected, rtol=relative, atol=absolute + 4 * (count + 1) * moves)
    tail = expected < 1e-4
    np.testing.assert_allclose(found[tail], expected[tail], rtol=relative, atol=ABSOLUTE)


def assert_like_scipy(detector, reference, window):
    fitted = detector.fit(reference)
    result = detector.test(fitted, detector.summarise(fitted, window))
    for feature in range(reference.shape[1]):
        expected = ks_2samp(reference[:, feature], window[:, feature], alternative=detector.alternative, method="asymp")
        assert abs(result.statistic[feature] - expected.statistic) <= STATISTIC_MOVES
        effective = len(reference) * len(window) / (len(reference) + len(window))
        assert_same_probability(
            result.p_value[[feature]], np.array([expected.pvalue]), round(effective), STATISTIC_MOVES
        )


@pytest.mark.parametrize("alternative", ALTERNATIVES)
@given(reference_and_windows(windows=1, least=1))
@settings(max_examples=150)
def test_small_and_odd_samples(alternative, rows):
    assert_like_scipy(KolmogorovSmirnov(alternative), *rows)


@pytest.mark.parametrize("alternative", ALTERNATIVES)
@given(reference_and_windows(windows=1, least=1))
@settings(max_examples=150)
def test_the_statistic_is_the_nearest_number_to_the_exact_fraction(alternative, rows):
    reference, window = rows
    detector = KolmogorovSmirnov(alternative)
    fitted = detector.fit(reference)
    found = detector.measure(fitted, detector.summarise(fitted, window)).statistic
    n, m = len(reference), len(window)
    for feature in range(reference.shape[1]):
        ours, theirs = np.sort(reference[:, feature]), np.sort(window[:, feature])
        places = np.concatenate([ours, theirs])
        ahead = m * np.searchsorted(ours, places, side="right") - n * np.searchsorted(theirs, places, side="right")
        largest = {"greater": ahead.max(), "less": (-ahead).max(), "two-sided": np.abs(ahead).max()}[alternative]
        if n * m > 1:
            assert found[feature] == float(Fraction(max(0, int(largest)), n * m))


@pytest.mark.parametrize("alternative", ALTERNATIVES)
@given(
    st.integers(1, 2000),
    st.integers(1, 2000),
    st.sampled_from([0.0, 0.1, 0.5, 3.0]),
    st.booleans(),
    st.integers(0, 2**32),
)
@settings(max_examples=60)
def test_samples_of_any_size(alternative, n, m, shift, rounded, seed):
    generator = np.random.default_rng(seed)
    reference, window = generator.normal(size=(n + 1, 2)), generator.normal(shift, size=(m, 2))
    if rounded:  # ties within and between the samples
        reference, window = reference.round(1), window.round(1)
    assert_like_scipy(KolmogorovSmirnov(alternative), reference, window)


@pytest.mark.parametrize(
    "draw",
    ["standard_normal", "standard_cauchy", "standard_exponential", "lognormal"],
)
def test_large_samples_of_every_character(draw):
    generator = np.random.default_rng(11)
    reference = getattr(generator, draw)(size=(12_000, 3))
    window = getattr(generator, draw)(size=(3000, 3)) * np.array([1.0, 1.2, 1.05])
    reference[0] = 1e300
    for alternative in ALTERNATIVES:
        assert_like_scipy(KolmogorovSmirnov(alternative), reference, window)


@given(st.integers(1, 200_000), st.lists(st.floats(0, 1), min_size=1, max_size=4), st.floats(0.02, 30))
@settings(max_examples=120)
def test_the_law_for_any_count_and_statistic(count, fractions, root):
    # Uniform in d, and near d = z / sqrt(n), where the interesting regions and their borders lie.
    near = [min(1.0, root * (1 + fraction / 10) / np.sqrt(count)) for fraction in fractions]
    statistics = np.array(fractions + near)
    assert_same_probability(survival(count, statistics), kstwo.sf(statistics, count), count)


@pytest.mark.parametrize("count", [1, 2, 3, 20, 139, 140, 141, 909, 99_999, 100_000, 100_001])
def test_the_law_at_the_borders_of_its_regions(count):
    squared = np.array([0.754693, 2.2, 4.0, 18.0, 370.0])
    borders = np.concatenate(
        [
            np.sqrt(squared / count),
            [0.5 / count, 1 / count, 0.5, 1 - 1 / count, 1.0, (1.4 / count) ** (2 / 3), 0.0],
        ]
    )
    borders = np.concatenate([borders, np.nextafter(borders, 0), np.nextafter(borders, 1)]).clip(0, 1)
    assert_same_probability(survival(count, borders), kstwo.sf(borders, count), count)
