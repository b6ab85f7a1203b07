"""The two-sample test of Anderson and Darling: a mean square distance that weighs the tails as much as the middle."""

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
class AndersonDarling(JointRanks):
    """Statistic: A^2 less its mean, in standard deviations. Effect: the root of A^2 N / nm.

    F. W. Scholz and M. A. Stephens, "K-sample Anderson-Darling tests", Journal of the American Statistical Association
    82 (1987), eq. 7 (midranks) and 4: the statistic of `scipy.stats.anderson_ksamp([reference, window])`. Where SciPy
    interpolates between seven tabled percentiles, and never goes below 0.001 or above 0.25, the p-value here is that of
    the law which A^2 tends to, at the same number of deviations from its mean: what the table is made from, without
    its ends. A^2 N / nm estimates the integral of (F - G)^2 / (H (1 - H)), H being both samples' distribution function.

    Ties leave the mean of A^2 as it is, and make it deviate more. SciPy does not heed that: with four different values
    it alarms twice as often as it should. Here p-values, and they alone, take the deviation of what is tied. Where few
    values of the smaller sample may differ from the commonest one, or it has two values or fewer, no limit is near, and
    p-values are those of the law given the ties (`detectors.conditional`).
    """

    name: ClassVar[str] = "anderson_darling"
    method: ClassVar[str] = "asymptotic"

    def _measured(self, reference: RankReference, placement: Placement, *, held: bool) -> Measurement:
        n, m = (placement.without_held() if held else placement).counts()
        enough = (n > 0) & (m > 0) & (n + m > 3)  # below four values there is no deviation
        if reference.untied and placement.absent is None and len(reference.present) == 1:
            others = placement.without_held() if held else placement
            total = _total_untied(others) if enough.all() else n
        else:
            total = np.array([_total(reference, placement, f, held=held) for f in range(reference.features)])
        pairs, both = np.maximum(n * m, 1), np.maximum(n + m, 1)
        squares = np.where(enough, np.maximum(total, 0) * (both - 1) / (both * pairs), np.nan)
        statistic = (squares - quadratic.ANDERSON_DARLING_MEAN) / _deviation(n, m)
        return Measurement(statistic=statistic, effect=np.sqrt(squares * both / pairs))

    def _statistics(self, equals: Integers, window: Integers) -> Numbers:
        return _totals(equals, window)

    def _p_value(self, reference: RankReference, placement: Placement, statistic: Numbers) -> Numbers:
        deviations = statistic / _wider_for_ties(reference, placement)
        limit = quadratic.ANDERSON_DARLING_MEAN + deviations * np.sqrt(quadratic.ANDERSON_DARLING_VARIANCE)
        return quadratic.anderson_darling(limit)


def _total(reference: RankReference, placement: Placement, feature: int, *, held: bool) -> float:
    """Of one feature: the sum of l (N M - m B)^2 / (B (N - B) - N l / 4) over the distinct values of both samples.

    Of each there are l; B and M count the values and the window's values below it, and half of those equal to it.
    """
    equals, window = together(reference, placement, feature, held=held)
    if len(equals) < 2 or window.sum() in {0, equals.sum()}:
        return 0.0
    return float(_totals(equals, window[np.newaxis])[0])


def _totals(equals: Integers, window: Integers) -> Numbers:
    """The same for any number of windows, shape (windows, distinct values), of as many values each."""
    both, m = equals.sum(), window.sum(axis=1, keepdims=True)
    up_to = np.cumsum(equals) - equals / 2
    window_up_to = np.cumsum(window, axis=1) - window / 2
    spread = up_to * (both - up_to) - both * equals / 4
    totals: Numbers = (equals * (both * window_up_to - m * up_to) ** 2 / spread).sum(axis=1)
    return totals


def _total_untied(placement: Placement) -> Numbers:
    """Shape (features,): the same where no two reference values are equal, without looking at every one of them.

    Between two window values M does not change and B grows by one from value to value. There

        (N M - m B)^2 / (B (N - B) - N / 4) = -m^2 + a / (B - r) + b / (N - r - B), with r = (N - (N^2 - N)^(1/2)) / 2,

    a = (N M - m r)^2 / (N - 2 r) and b = (N M - m (N - r))^2 / (N - 2 r), so that sums of 1 / (B - r) are enough.
    """
    n, m = int(placement.reference_values[0, 0]), int(placement.window_values[0, 0])
    both = n + m
    shape = placement.cells.shape
    window_up_to = (placement.first + placement.last) / 2
    equals = placement.not_above - placement.below + placement.last - placement.first
    up_to = placement.below + placement.first + equals / 2
    spread = up_to * (both - up_to) - both * equals / 4
    own = equals * (both * window_up_to - m * up_to) ** 2 / spread / (placement.last - placement.first)

    # Runs of reference values: before the first window value, and after each that is the last of its equals.
    start = np.zeros((shape[0], shape[1] + 1), dtype=np.int64)
    end = np.full_like(start, both)
    smaller = np.zeros((1 if len(placement.last) == 1 else shape[0], shape[1] + 1), dtype=np.int64)
    start[:, 1:] = placement.not_above + placement.last
    end[:, :-1] = placement.below + placement.first
    smaller[:, 1:] = placement.last
    end = np.maximum(start, end)  # nothing lies between equals
    r = both / 2 - np.sqrt(both * (both - 1.0)) / 2
    inverse = np.append(0.0, np.cumsum(1 / (np.arange(both) + 0.5 - r)))
    rising = np.take(inverse, end) - np.take(inverse, start)
    falling = np.take(inverse, both - start) - np.take(inverse, both - end)
    runs = (both * smaller - m * r) ** 2 * rising + (both * smaller - m * (both - r)) ** 2 * falling
    between = (runs / (both - 2 * r)).sum(axis=1) - float(m) ** 2 * (end - start).sum(axis=1)
    total: Numbers = own.sum(axis=1) + between
    return total


def _wider_for_ties(reference: RankReference, placement: Placement) -> Numbers:
    """Shape (features,): by how much more A^2 deviates than it would without ties."""
    wider = np.ones(reference.features)
    for feature in tied(reference, placement):
        equals, _ = together(reference, placement, feature)
        if len(equals) > 1:
            wider[feature] = np.sqrt(_limiting_variance(equals) / _variance_without_ties(int(equals.sum())))
    return wider


@lru_cache(maxsize=64)
def _variance_without_ties(both: int) -> float:
    return _limiting_variance(np.ones(both, dtype=np.int64))


def _limiting_variance(equals: Integers) -> float:
    """Of A^2 for large samples.

    By the covariances of hypergeometric counts, N M - m B and N M' - m B' for B < B' have the correlation
    B (N - B') / (D D')^(1/2), with D = B (N - B) - N l / 4: that by which A^2 divides their squares.
    """
    both = equals.sum()
    up_to = np.cumsum(equals) - equals / 2
    root = np.sqrt(up_to * (both - up_to) - both * equals / 4)
    return variance(equals / both, np.ones(len(equals)), up_to / root, (both - up_to) / root)


def _deviation(reference_values: Numbers, window_values: Numbers) -> Numbers:
    """Shape (features,): the standard deviation of A^2 if nothing has changed (eq. 4); NaN for too few values."""
    deviation = np.full(reference_values.shape, np.nan)
    for n, m in {(n, m) for n, m in zip(reference_values.tolist(), window_values.tolist(), strict=True)}:
        if n + m >= 4 and n > 0 and m > 0:
            deviation[(reference_values == n) & (window_values == m)] = np.sqrt(_variance(n, m))
    return deviation


def _variance(n: float, m: float) -> float:
    both = n + m
    inverse = 1 / np.arange(1, both)
    h = inverse.sum()
    g = ((h - np.cumsum(inverse)) / np.arange(both - 1, 0, -1))[:-1].sum()
    k, s = 2, 1 / n + 1 / m
    a = (4 * g - 6) * (k - 1) + (10 - 6 * g) * s
    b = (2 * g - 4) * k**2 + 8 * h * k + (2 * g - 14 * h - 4) * s - 8 * h + 4 * g - 6
    c = (6 * h + 2 * g - 2) * k**2 + (4 * h - 4 * g + 6) * k + (2 * h - 6) * s + 4 * h
    d = (2 * h + 6) * k**2 - 4 * h * k
    return float((((a * both + b) * both + c) * both + d) / ((both - 1) * (both - 2) * (both - 3)))
