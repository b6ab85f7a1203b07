"""The limiting laws: published percentiles, moments, and Imhof's inversion of the characteristic function."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad

from detectors.rank import quadratic


@dataclass(frozen=True)
class Law:
    survival: object
    weights: np.ndarray
    mean: float
    variance: float


LAWS = {
    "cramer_von_mises": Law(
        quadratic.cramer_von_mises,
        1 / (np.pi * np.arange(1, 301)) ** 2,
        quadratic.CRAMER_VON_MISES_MEAN,
        quadratic.CRAMER_VON_MISES_VARIANCE,
    ),
    "anderson_darling": Law(
        quadratic.anderson_darling,
        1 / (np.arange(1.0, 301) * np.arange(2, 302)),
        quadratic.ANDERSON_DARLING_MEAN,
        quadratic.ANDERSON_DARLING_VARIANCE,
    ),
}
every_law = pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)


def imhof(x, weights, mean):
    """J. P. Imhof, Biometrika 48 (1961), eq. 3.2; the weights that are left out are a constant, which is their mean."""
    rest = mean - weights.sum()

    def integrand(u):
        theta = np.arctan(weights * u).sum() / 2 - (x - rest) * u / 2
        rho = np.exp(np.log1p((weights * u) ** 2).sum() / 4)
        return np.sin(theta) / (u * rho)

    return 0.5 + quad(integrand, 1e-9, 400 / weights[0], limit=2000, epsabs=1e-8)[0] / np.pi


@every_law
def test_imhof_s_integral_says_the_same(law):
    statistics = law.mean * np.array([0.3, 0.7, 1.0, 1.5, 3.0])
    expected = [imhof(x, law.weights, law.mean) for x in statistics]
    np.testing.assert_allclose(law.survival(statistics), expected, atol=1e-6)


@every_law
def test_the_moments_of_the_law(law):
    edges = law.mean * np.array([0, 0.25, 1, 4, 20, 60])

    def integral(function):
        return sum(
            quad(lambda x: function(x) * law.survival(np.array([x]))[0], *ends, epsabs=1e-12)[0]
            for ends in pairwise(edges)
        )

    assert integral(np.ones_like) == pytest.approx(law.mean, abs=1e-9)
    assert integral(lambda x: 2 * x) - law.mean**2 == pytest.approx(law.variance, abs=1e-9)


@every_law
def test_both_expansions_agree_where_they_meet_and_the_law_decreases(law):
    probabilities = law.survival(np.linspace(0, 6 * law.mean, 4000))
    assert probabilities[0] == 1
    assert (np.diff(probabilities) <= 1e-13).all()
    assert (np.abs(np.diff(probabilities, 2)) < 1e-4).all()


@every_law
def test_the_tail_does_not_end(law):
    """Far out the largest weight is all that matters: P falls like exp(-x / 2 w) / x^(1/2)."""
    far, further = law.survival(np.array([80.0, 100.0]) * law.weights[0])
    assert 0 < further < 1e-20
    assert far / further == pytest.approx(np.exp(10) * np.sqrt(100 / 80), rel=1e-2)


@every_law
def test_nothing_is_said_of_nan_and_one_of_what_is_not_positive(law):
    found = law.survival(np.array([np.nan, -np.inf, -3.0, 0.0, 5e-324, 1e-3, np.inf]))
    assert np.array_equal(found, [np.nan, 1, 1, 1, 1, 1, 0], equal_nan=True)


def test_published_percentiles():
    """Anderson and Darling (1952), table 1, and (1954), p. 768; G. and J. Marsaglia (2004) for the last."""
    for law, statistics in (
        (quadratic.cramer_von_mises, [0.34730, 0.46136, 0.74346]),
        (quadratic.anderson_darling, [1.933, 2.492, 3.8781]),
    ):
        np.testing.assert_allclose(law(np.array(statistics)), [0.1, 0.05, 0.01], rtol=1e-3)
