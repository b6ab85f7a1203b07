"""The law of a weighted sum of chi-squares: against chi-squares, against another integral, and everywhere sane."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import chi2

from detectors.kernel.weighted_chi_squares import survival

TAILS = [0.29, 0.1, 0.05, 0.01, 1e-4, 1e-8, 1e-30, 1e-100]


def centred(weights, others):
    """The same sum less its mean, all but exactly: by very many very small weights."""
    return np.concatenate([weights, np.full(others, -np.sum(weights) / others)])


def imhof(weights, value):
    """J. Imhof, "Computing the Distribution of Quadratic Forms in Normal Variables", Biometrika 48 (1961), eq. 3.2."""

    def integrand(u):
        angle = (np.arctan(weights * u).sum() - value * u) / 2
        return np.sin(angle) / (u * np.prod((1 + (weights * u) ** 2) ** 0.25))

    return 0.5 + quad(integrand, 0, np.inf, limit=2000, epsabs=1e-10)[0] / np.pi


@pytest.mark.parametrize("degrees", [1, 2, 7, 100])
@pytest.mark.parametrize("tail", TAILS)
def test_equal_weights_are_the_chi_square(degrees, tail):
    assert survival(np.ones(degrees), chi2.isf(tail, degrees)) == pytest.approx(tail, rel=1e-5)
    assert survival(np.ones(degrees), chi2.ppf(tail, degrees)) == pytest.approx(1 - tail, abs=0.12 / degrees)
    assert survival(np.ones(degrees), -1.0) == 1


@pytest.mark.parametrize("seed", range(12))
def test_any_weights_agree_with_imhofs_integral(seed):
    generator = np.random.default_rng(seed)
    positive = generator.uniform(0.3, 1, size=12) ** generator.integers(1, 8)
    weights = centred(positive, 30) * 10.0 ** generator.integers(-3, 3)
    deviation = np.sqrt(2 * (weights**2).sum())
    for distance in (-1.5, -0.5, 0.0, 0.3, 1.0, 2.0, 3.0, 5.0):
        expected = imhof(weights / deviation, distance)
        found = survival(weights, distance * deviation)
        assert found == pytest.approx(expected, abs=1e-8, rel=1e-4 if expected < 0.25 else 0.03)


def test_the_error_is_small_for_every_probability_below_three_in_ten():
    """The first term alone is some hundredths off there, and on either side of the truth."""
    generator = np.random.default_rng(40)
    drawn = [generator.normal(size=generator.integers(6, 12)) for _ in range(30)]
    found = 0
    for weights in [np.array([0.036, 0.108, 0.651, -0.008, -0.787]), *(each - each.mean() for each in drawn)]:
        deviation = np.sqrt(2 * (weights**2).sum())
        for distance in np.linspace(0.3, 0.6, 4):
            expected = imhof(weights / deviation, distance)
            if 0.2 < expected < 0.3:
                found += 1
                assert survival(weights, distance * deviation) == pytest.approx(expected, rel=1e-3)
    assert found > 20


@pytest.mark.parametrize("seed", range(20))
def test_it_falls_and_does_not_depend_on_units(seed):
    generator = np.random.default_rng(seed)
    weights = generator.standard_normal(generator.integers(3, 60)) ** generator.integers(1, 5)
    weights -= weights.mean()
    deviation = np.sqrt(2 * (weights**2).sum())
    values = np.linspace(-4, 8, 60) * deviation
    found = np.array([survival(weights, value) for value in values])
    assert ((found >= 0) & (found <= 1)).all()
    assert (np.diff(found) <= 0.01).all()
    for unit in (1e-150, 1e-9, 1e9):
        again = [survival(weights * unit, value * unit) for value in values[::10]]
        np.testing.assert_allclose(again, found[::10], rtol=1e-6, atol=1e-300)


@pytest.mark.parametrize("value", [-1e6, -1e-300, 0.0, 1e-300, 1e-9, 1e3, 1e6, 1e15])
def test_no_value_is_too_small_or_too_large(value):
    weights = centred(0.5 ** np.arange(10), 100)
    assert 0 <= survival(weights, value) <= 1
    assert survival(weights, 1e6) == 0
    assert survival(weights, -1e6) == 1


def test_it_is_the_share_of_simulated_sums():
    generator = np.random.default_rng(16)
    weights = centred(0.8 ** np.arange(30), 40)
    sums = generator.chisquare(1, size=(50_000, len(weights))) @ weights
    for tail in (0.95, 0.5, 0.1, 0.01):
        found = survival(weights, float(np.quantile(sums, 1 - tail)))
        assert found == pytest.approx(tail, abs=4 * np.sqrt(tail * (1 - tail) / len(sums)) + 0.005)
