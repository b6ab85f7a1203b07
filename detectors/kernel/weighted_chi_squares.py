"""The law of a weighted sum of independent chi-squares with one degree of freedom each.

With K the logarithm of the moment generating function, the probability of a larger sum is the integral of exp(K(s) - s
q) / s along a line in the complex plane, divided by 2 pi i (S. Rice, "Distribution of Quadratic Forms in Normal Random
Variables", SIAM Journal on Scientific and Statistical Computing 1 (1980); D. Kuonen, "Saddlepoint Approximations for
Distributions of Quadratic Forms in Normal Variables", Biometrika 86 (1999), keeps the first term of it). The line is
taken through the saddlepoint and bent along the steepest descent there, so that some dozens of points of the
trapezoidal rule are enough, and the error is relative: it is as small for a probability of 1e-100 as for one of 0.1.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

Values = NDArray[np.float64]

_NODES = 64
_STEP = 0.25  # in units of the width of the saddle
_LEAST_EXPONENT = -700.0  # of a probability that is not yet zero


def survival(weights: Values, value: float) -> float:
    """The probability that the sum of w Z^2 exceeds the value; the weights add up to zero, and are not all zero.

    Above zero the relative error is below 1e-6, and mostly far below it; below zero the absolute error is below 0.02,
    and that large for a single heavy weight only.
    """
    negative = -float(weights[weights < 0].sum())
    saddle = _saddle(weights, value, negative)
    local = weights / (1 - 2 * saddle * weights)
    second, third = 2 * float((local**2).sum()), 8 * float((local**3).sum())
    width = 1 / np.sqrt(second + 1 / saddle**2)
    bend = max(third / (6 * second), 0.0) if value > -negative else 0.0  # where bending makes the integrand smaller
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


def _saddle(weights: Values, value: float, negative: float) -> float:
    """Where the integrand is smallest between 0 and the first branching point 1 / (2 largest): K'(s) = value + 1/s.

    It is sought in u = 1 - 2 s largest and by its logarithm, because far in the tail it comes close to that point.
    """
    largest = float(weights.max())
    relative = weights / largest

    def slope(logarithm: float) -> float:
        less = np.expm1(logarithm)
        saddle = -less / (2 * largest)
        return float((weights / (1 + less * relative)).sum() - value - 1 / saddle)

    # The largest weight alone makes K' large enough at the lower end, where 1/s is at most 4 largest.
    lowest = float(np.log(largest / (max(value + negative, 0.0) + 4 * largest)))
    highest = lowest
    while slope(highest) > 0:
        highest /= 4
    return (
        -float(np.expm1(brentq(slope, lowest, highest, xtol=1e-13))) / (2 * largest)
        if highest > lowest
        else -float(np.expm1(lowest)) / (2 * largest)
    )
