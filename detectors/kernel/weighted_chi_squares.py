"""The law of a weighted sum of independent chi-squares with one degree of freedom each.

With K the logarithm of the moment generating function, the probability of a larger sum than q is the integral of
exp(K(s) - s q) / s along a line in the complex plane, divided by 2 pi i (S. Rice, "Distribution of Quadratic Forms in
Normal Random Variables", SIAM Journal on Scientific and Statistical Computing 1 (1980)). The line is taken through the
saddlepoint and bent along the steepest descent there, so that some dozens of points of the trapezoidal rule are enough,
and the error is relative: it is as small for a probability of 1e-100 as for one of 0.1.

Probabilities that nothing is concluded from are those of the first term: D. Kuonen, "Saddlepoint Approximations for
Distributions of Quadratic Forms in Normal Variables", Biometrika 86 (1999), in the form of Barndorff-Nielsen.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Values = NDArray[np.float64]

_NODES = 64
_STEP = 0.25  # in units of the width of the saddle
_LEAST_EXPONENT = -700.0  # of a probability that is not yet zero
_ROUGH = 0.4  # a first term of more belongs to a probability of 0.3 or more: it is never a third too large
_NEAR_MEAN = 1e-4  # deviations; nearer, a quotient of two vanishing numbers is replaced by its limit


def survival(weights: Values, value: float) -> float:
    """The probability that the sum of w Z^2 exceeds the value; of the weights, one is positive at least.

    The relative error is below 1e-3, and mostly far below it, for probabilities that are less than 0.3 of weights
    that add up to zero or more. For others it is some hundredths at most, and a tenth for the smallest values of a sum
    of one positive weight.
    """
    unit = float(np.abs(weights).max())
    weights, value = weights / unit, value / unit
    if value >= weights.sum():
        rough = _first_term(weights, value)
        return rough if rough > _ROUGH else _integral(weights, value)
    if (weights >= 0).all():
        return _integral(weights, value) if value > 0 else 1.0
    return 1.0 - _first_term(-weights, -value)


def _integral(weights: Values, value: float) -> float:
    """For weights and a value in units of the largest weight."""
    saddle = _saddle(weights, value, pole=True)
    local = weights / (1 - 2 * saddle * weights)
    second, third = 2 * float((local**2).sum()), 8 * float((local**3).sum())
    width = 1 / np.sqrt(second + 1 / saddle**2)
    bend = max(third / (6 * second), 0.0)
    steps = width * _STEP * np.arange(_NODES)
    line = saddle + 1j * steps + bend * steps**2
    exponents = -0.5 * np.log(1 - 2 * line[:, np.newaxis] * weights).sum(axis=1) - line * value - np.log(line)
    highest = float(exponents[0].real)
    if highest < _LEAST_EXPONENT:
        return 0.0
    with np.errstate(under="ignore"):
        heights = (np.exp(exponents - highest) * (1 - 2j * bend * steps)).real
    heights[0] /= 2
    return float(np.clip(np.exp(highest) * heights.sum() * width * _STEP / np.pi, 0.0, 1.0))


def _first_term(weights: Values, value: float) -> float:
    """The same, for a value that is not below the mean."""
    if value - float(weights.sum()) <= _NEAR_MEAN**2:
        return float(ndtr(-_skewness(weights) / 6))
    saddle = _saddle(weights, value, pole=False)
    factors = 1 - 2 * saddle * weights
    squared = 2 * saddle * value + float(np.log(factors).sum())
    deviation = float(np.sqrt(max(squared, 0.0)))
    if deviation < _NEAR_MEAN:
        return float(ndtr(-(deviation + _skewness(weights) / 6)))
    curvature = 2 * float(((weights / factors) ** 2).sum())
    return float(ndtr(-(deviation + np.log(saddle * np.sqrt(curvature) / deviation) / deviation)))


def _skewness(weights: Values) -> float:
    return float(8 * (weights**3).sum() / (2 * (weights**2).sum()) ** 1.5)


def _saddle(weights: Values, value: float, *, pole: bool) -> float:
    """Where K'(s) = value, or with the pole value + 1/s: between 0 and the first branching point, 1 / (2 largest).

    It is sought in u = 1 - 2 s largest and by its logarithm, because far in the tail it comes close to that point.
    """
    from scipy.optimize import brentq  # noqa: PLC0415 - half a second and 15 MiB, for those only who need it

    largest, negative = float(weights.max()), -float(weights[weights < 0].sum())
    relative = weights / largest

    def place(logarithm: float) -> float:
        return -float(np.expm1(logarithm)) / (2 * largest)

    def slope(logarithm: float) -> float:
        slope = float((weights / (1 + np.expm1(logarithm) * relative)).sum()) - value
        return slope - 1 / place(logarithm) if pole else slope

    # The largest weight alone makes K' large enough at the lower end, where 1/s is at most 4 largest.
    lowest = highest = float(np.log(largest / (value + negative + 4 * largest)))
    while slope(highest) > 0:
        highest /= 4
    return place(brentq(slope, lowest, highest, xtol=1e-13) if highest > lowest else lowest)
