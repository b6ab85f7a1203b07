"""The limiting laws of Cramér and von Mises's and of Anderson and Darling's statistic, far into the tail.

Both are sums of squares of independent normal deviates, the j-th with the variance 1 / (pi j)^2 or 1 / (j (j + 1)).
With D(y) the product of 1 - y times these variances, N. V. Smirnov's formula (1936; see D. A. Darling, "The
Kolmogorov-Smirnov, Cramér-von Mises tests", Annals of Mathematical Statistics 28, 1957) says for x > 0

    P(X > x) = 1/pi sum over k = 1, 2, ... of (-1)^(k+1) times the integral of exp(-x y / 2) / (y |D(y)|^(1/2)) dy

over y between the zeros 2k-1 and 2k of D. It is an alternating sum that falls fast unless x is small, and nothing
cancels in the tail. For small x, T. W. Anderson and D. A. Darling give series for P(X <= x) that converge at once
(Annals 23, 1952, eq. 4.35; Journal of the American Statistical Association 49, 1954, p. 766).
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import kve

Values = NDArray[np.float64]

CRAMER_VON_MISES_MEAN = 1 / 6
CRAMER_VON_MISES_VARIANCE = 1 / 45
ANDERSON_DARLING_MEAN = 1.0
ANDERSON_DARLING_VARIANCE = 2 * (np.pi**2 - 9) / 3

_ZEROS = 8  # intervals of Smirnov's formula: where it is used, the 9th adds less than 1e-20
_NODES = 48
_TERMS = np.arange(4)
_BINOMIAL = np.array([1.0, -0.5, 0.375, -0.3125])  # of -1/2 over j
_ODD = 4.0 * _TERMS + 1


def cramer_von_mises(statistics: Values) -> Values:
    """P(X > x) for the limit of n omega^2; NaN for NaN, and 1 where x is not above zero."""
    return _survival(statistics, (0.001, 0.12), _CRAMER_VON_MISES, _small_cramer_von_mises)


def anderson_darling(statistics: Values) -> Values:
    """P(X > x) for the limit of A^2; NaN for NaN, and 1 where x is not above zero."""
    return _survival(statistics, (0.01, 0.4), _ANDERSON_DARLING, _small_anderson_darling)


def _survival(
    statistics: Values, borders: tuple[float, float], tail: tuple[Values, Values], small: Callable[[Values], Values]
) -> Values:
    probability = np.where(np.isnan(statistics), np.nan, 1.0)
    nothing, border = borders  # below the first of them P(X <= x) is less than 1e-50
    few = (statistics > nothing) & (statistics < border)
    many = statistics >= border
    if few.any():
        probability[few] = 1 - small(statistics[few])
    if many.any():
        nodes, weights = tail
        probability[many] = np.exp(np.multiply.outer(statistics[many], -nodes / 2)) @ weights
    return np.clip(probability, 0, 1)


def _smirnov(zero: Callable[[Values], Values], product: Callable[[Values], Values]) -> tuple[Values, Values]:
    """Nodes y and weights of the formula: Gauss and Chebyshev's, which the roots of D at both ends are made for."""
    k = np.arange(1.0, _ZEROS + 1)[:, np.newaxis]
    angle = (np.arange(_NODES) + 0.5) * np.pi / _NODES
    lower, upper = zero(2 * k - 1), zero(2 * k)
    nodes = (upper + lower) / 2 - (upper - lower) / 2 * np.cos(angle)
    # dy = (upper - lower) / 2 sin(angle) d(angle), and sin(angle) cancels what |D|^(-1/2) tends to at the ends.
    weights = (upper - lower) / 2 * np.sin(angle) / (nodes * np.sqrt(np.abs(product(nodes)))) / _NODES
    weights *= np.where(k % 2 == 1, 1, -1)
    return nodes.reshape(-1), weights.reshape(-1)


_CRAMER_VON_MISES = _smirnov(lambda j: (np.pi * j) ** 2, lambda y: np.sin(np.sqrt(y)) / np.sqrt(y))
_ANDERSON_DARLING = _smirnov(lambda j: j * (j + 1), lambda y: np.cos(np.pi / 2 * np.sqrt(1 + 4 * y)) / (np.pi * y))


def _small_cramer_von_mises(statistics: Values) -> Values:
    x = statistics[:, np.newaxis]
    argument = _ODD**2 / (16 * x)
    # K_1/4 comes scaled by exp(argument), hence the factor of two in the exponent.
    terms = np.abs(_BINOMIAL) * np.sqrt(_ODD) * np.exp(-2 * argument) * kve(0.25, argument)
    return np.asarray(terms.sum(axis=1) / (np.pi * np.sqrt(statistics)))


def _small_anderson_darling(statistics: Values) -> Values:
    x = statistics[:, np.newaxis, np.newaxis]
    rate = (_ODD * np.pi) ** 2 / (8 * x[:, 0])
    w = _HERMITE_NODES / np.sqrt(rate)[:, :, np.newaxis]
    integral = (_HERMITE_WEIGHTS * np.exp(x / (8 * (w**2 + 1)))).sum(axis=2) / np.sqrt(rate) / 2
    terms = _BINOMIAL * _ODD * np.exp(-rate) * integral
    return np.asarray(terms.sum(axis=1) * np.sqrt(2 * np.pi) / statistics)


_HERMITE_NODES, _HERMITE_WEIGHTS = np.polynomial.hermite.hermgauss(40)
