"""The exact law of the two-sample Kolmogorov-Smirnov distance: how many ways through a lattice stray that far.

Take the values of both samples in order. If nothing has changed and none are tied, every order of n reference and m
window values is as likely as any other: a walk over the lattice from (0, 0) to (n, m), on which the distance is reached
where it leaves a band around the diagonal (J. L. Hodges, "The significance probability of the Smirnov two-sample test",
Arkiv för Matematik 3, 1958). As T. Viehmann proposes (arXiv:2102.08037, 2021), the probability of leaving is summed
itself, and not taken from one, so that nothing cancels in the tail. Ties make it a little too large.
"""

import numpy as np
from numpy.typing import NDArray

MAXIMUM_PAIRS = 4_000_000
"""Reference values times window values, up to which the walk takes a second or so for a hundred features."""

Values = NDArray[np.float64]


def survival(reference: int, window: int, reached: NDArray[np.int64], alternative: str) -> Values:
    """P(nm D >= reached) for every whole number `reached`, as `scipy.stats.ks_2samp(method="exact")` has it."""
    sought, inverse = np.unique(reached, return_inverse=True)
    probability = np.ones(len(sought))
    some = sought > 0
    if some.any():
        probability[some] = _leaving(reference, window, sought[some], alternative)
    return np.asarray(np.minimum(probability[inverse], 1))


def _leaving(n: int, m: int, reached: NDArray[np.int64], alternative: str) -> Values:
    """Walk all orders at once, one value after another, and take out those that have come as far as is sought."""
    both, widest = n + m, int(reached[-1])
    j = np.arange(m + 2)  # window values met; one more than there are, which are never met
    staying = np.zeros((len(reached), m + 2))
    staying[:, 0] = 1
    left = np.zeros(len(reached))
    low, high = 0, 1  # where anything can be
    for met in range(both):
        here = j[low:high]
        to_window = staying[:, low:high] * ((m - here) / (both - met))
        staying[:, low:high] *= (n - met + here) / (both - met)
        staying[:, low + 1 : high + 1] += to_window
        far = both * j[low : high + 1] - m * (met + 1)  # nm times the window's fraction so far less the reference's
        if alternative == "greater":
            far = -far
        elif alternative == "two-sided":
            far = np.abs(far)
        some = staying[:, low : high + 1]
        outside = far >= reached[:, np.newaxis]
        left += np.where(outside, some, 0).sum(axis=1)
        some[outside] = 0
        low, high = max(low, met + 1 - n), min(high, m) + 1
        if alternative != "less":
            low = max(low, (m * (met + 1) - widest) // both + 1)
        if alternative != "greater":
            high = min(high, -((-m * (met + 1) - widest) // both))
    return left
