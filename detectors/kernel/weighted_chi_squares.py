"""The law of a weighted sum of independent chi-squares with one degree of freedom each.

The saddlepoint approximation of D. Kuonen, "Saddlepoint Approximations for Distributions of Quadratic Forms in Normal
Variables", Biometrika 86 (1999), in the form of Barndorff-Nielsen: its error is relative, so it holds far into tails.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr

Values = NDArray[np.float64]

_NEAR_MEAN = 1e-4  # deviations; nearer, a quotient of two vanishing numbers is replaced by its limit


def survival(weights: Values, value: float) -> float:
    """The probability that the sum of w Z^2 exceeds the value; some weights are positive and some negative."""
    if value < weights.sum():
        return 1.0 - _upper_tail(-weights, -value)
    return _upper_tail(weights, value)


def _upper_tail(weights: Values, value: float) -> float:
    """The same, for a value that is not below the mean."""
    largest = float(weights.max())
    relative = weights / largest
    least = largest / (value - float(weights[weights < 0].sum()))

    def slope(logarithm: float) -> float:
        """K'(s) less the value, for s = (1 - u) / (2 largest) and u = exp(logarithm)."""
        return float((weights / (1 + np.expm1(logarithm) * relative)).sum()) - value

    # The largest weight alone makes K' at least `value` at u = least; at u = 1 it is the mean.
    lowest = float(np.log(min(least, 1.0)))
    solution = 0.0 if slope(0.0) >= 0 else float(brentq(slope, lowest, 0.0, xtol=1e-14)) if lowest < 0 else 0.0
    less = np.expm1(solution)  # u - 1
    saddle = -less / (2 * largest)
    squared = 2 * saddle * value + float(np.log1p(less * relative).sum())
    deviation = float(np.sqrt(max(squared, 0.0)))
    if deviation < _NEAR_MEAN:
        skewness = 8 * float((relative**3).sum()) / (2 * float((relative**2).sum())) ** 1.5
        return float(ndtr(-(deviation + skewness / 6)))
    curvature = 2 * float(((weights / (1 + less * relative)) ** 2).sum())
    corrected = deviation + np.log(saddle * np.sqrt(curvature) / deviation) / deviation
    return float(ndtr(-corrected))
