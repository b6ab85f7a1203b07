"""The two-sample test of Cramér and von Mises: the mean square distance between two distribution functions."""

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from detectors.rank import quadratic
from detectors.rank.joint import JointRanks, Numbers
from detectors.rank.placement import Placement
from detectors.rank.reference import Integers, RankReference
from detectors.rank.ties import tied, together, variance
from detectors.results import Measurement


@dataclass(frozen=True, slots=True)
class CramerVonMises(JointRanks):
    """Statistic: T = nm/N times the mean of (F - G)^2 over all N values. Effect: the root of that mean.

    T. W. Anderson, "On the distribution of the two-sample Cramér-von Mises criterion", Annals of Mathematical
    Statistics 33 (1962), eq. 2. P-values are those of the limiting law, at T moved and stretched so that its mean and
    variance are the limit's, as `scipy.stats.cramervonmises_2samp(reference, window, method="asymptotic")` has them.

    Where no values are tied, T is SciPy's as well. Where some are, SciPy writes T in midranks, which then adds what the
    ties alone amount to: it grows with n^2/m, and features of a few values alarm at p = 0 though nothing has changed.
    The definition holds for ties as it stands, and T is moved and stretched by the mean and variance that it has then.
    Where few values of the smaller sample may differ from the commonest one, or it has two values or fewer, no limit is
    near, and p-values are those of the law given the ties (`detectors.conditional`).
    """

    name: ClassVar[str] = "cramer_von_mises"
    method: ClassVar[str] = "asymptotic"

    def _measured(self, reference: RankReference, placement: Placement, *, held: bool) -> Measurement:
        mean = _mean_square_held(reference, placement) if held else _mean_square(reference, placement)
        n, m = (placement.without_held() if held else placement).counts()
        enough = (n > 0) & (m > 0) & (n * m > 1)  # one value against one has no deviation
        mean = np.where(enough, np.maximum(mean, 0), np.nan)
        return Measurement(statistic=mean * (n * m / np.maximum(n + m, 1)), effect=np.sqrt(mean))

    def _statistics(self, equals: Integers, window: Integers) -> Numbers:
        both, m = equals.sum(), window.sum(axis=1, keepdims=True)
        up_to, window_up_to = np.cumsum(equals), np.cumsum(window, axis=1)
        apart = (up_to - window_up_to) / (both - m) - window_up_to / m
        squares: Numbers = apart**2 @ equals
        return squares

    def _p_value(self, reference: RankReference, placement: Placement, statistic: Numbers) -> Numbers:
        n, m = placement.counts()
        both, pairs = np.maximum(n + m, 1), np.maximum(n * m, 1)  # where there are no pairs, the statistic is NaN
        mean = (1 + 1 / both) / 6
        square = (both + 1) * (4 * pairs * both - 3 * (n**2 + m**2) - 2 * pairs) / (180 * both**2 * pairs)
        for feature in tied(reference, placement):
            equals, _ = together(reference, placement, feature)
            if len(equals) > 1:
                square[feature] *= _limiting_variance(equals) / _variance_without_ties(int(equals.sum()))
                mean[feature] = _mean(equals)
        deviation = np.sqrt(np.where(square > 0, square, np.nan))
        limit = np.sqrt(quadratic.CRAMER_VON_MISES_VARIANCE) * (statistic - mean) / deviation
        return quadratic.cramer_von_mises(quadratic.CRAMER_VON_MISES_MEAN + limit)


def _mean(equals: Integers) -> float:
    """Of T while nothing has changed, by the variance of a hypergeometric count at each distinct value."""
    both = float(equals.sum())
    up_to = np.cumsum(equals)
    return float((equals * up_to * (both - up_to)).sum() / (both * both * (both - 1)))


@lru_cache(maxsize=64)
def _variance_without_ties(both: int) -> float:
    return _limiting_variance(np.ones(both, dtype=np.int64))


def _limiting_variance(equals: Integers) -> float:
    """Of T for large samples: (nm/N)^(1/2) (F - G) tends to a bridge, with the covariance H (1 - H') for H < H'."""
    both = equals.sum()
    up_to = np.cumsum(equals) / both
    return variance(equals / both, up_to * (1 - up_to), up_to, 1 - up_to)


def _mean_square(reference: RankReference, placement: Placement) -> Numbers:
    """Shape (features,): the mean of (F - G)^2 over the values of both samples."""
    n, m = np.maximum(placement.reference_values, 1), np.maximum(placement.window_values, 1)
    over_window = placement.total((placement.not_above / n - placement.last / m) ** 2)
    n, m = placement.counts()
    mean: Numbers = (over_window + _over_reference(reference, placement)) / np.maximum(n + m, 1)
    return mean


def _mean_square_held(reference: RankReference, placement: Placement) -> Numbers:
    """The same against the others.

    With F of these, the reference's whole distribution function H is (n F + m G) / N, so that F - G = (H - G) N / n.
    """
    both, m = placement.counts()
    mean: Numbers = _over_reference(reference, placement) * both / np.maximum(both - m, 1) ** 2
    return mean


def _over_reference(reference: RankReference, placement: Placement) -> Numbers:
    """Shape (features,): the sum of (F - G)^2 over the reference's values, without looking at every one of them.

    F jumps by g / n at each of its distinct values, and c values are up to there. Write G as a sum of steps, sum over
    the reference under each, and complete the square in a, the reference's values below a window's: there remain

        n/m sum (a/n - (2j-1)/2m)^2 + n / 12m^2 + sum q(a) / nm + (sum c g^2 - n sum g^2 - sum g^3 / 3) / n^2

    with the sums over the m window values, j = 1 ... m of them in order, and over the reference's distinct values; q(a)
    is g^2 summed over those below. Nothing large cancels, unless nearly all values are tied.
    """
    n, m = np.maximum(placement.reference_values, 1), np.maximum(placement.window_values, 1)
    order = 2 * np.arange(placement.cells.shape[1]) + 1
    squares = placement.total((placement.below / n - order / (2 * m)) ** 2)
    below = placement.total(reference.squares_below(placement.cells >> 1))
    n, m = (np.maximum(counts, 1) for counts in placement.counts())
    second, third, moment = reference.power_sums.T
    ties = (moment - n * second - third / 3) / n**2
    total: Numbers = n / m * squares + n / (12 * m**2) + below / (n * m) + ties
    return total
