"""The test of Mann, Whitney and Wilcoxon: whether window values tend to be larger or smaller than the reference's."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import ndtr

from detectors.rank.joint import JointRanks, Numbers
from detectors.rank.placement import Placement
from detectors.rank.reference import Integers, RankReference
from detectors.rank.values import Values
from detectors.results import Measurement


@dataclass(frozen=True, slots=True)
class MannWhitney(JointRanks):
    """Statistic: |U - nm/2| in standard deviations, corrected for ties. Effect: |2 AUC - 1|, with AUC = U / nm.

    Both grow with the difference whatever its direction; `probability_of_superiority` is the AUC, which tells it.

    U counts the pairs of a reference value and a larger window value, ties half; AUC is therefore the probability that
    a window value is the larger one. H. B. Mann and D. R. Whitney, "On a test of whether one of two random variables is
    stochastically larger than the other", Annals of Mathematical Statistics 18 (1947). P-values are those of
    `scipy.stats.mannwhitneyu(reference, window, use_continuity=True, method="asymptotic")`. It finds shifts sooner than
    the distances between distribution functions do, and of a mere change of spread it sees nothing.

    Where few values of the smaller sample may differ from the commonest one, or it has two values or fewer, no normal
    law holds, and p-values are those of the law given the ties (`detectors.conditional`).
    """

    name: ClassVar[str] = "mann_whitney"
    method: ClassVar[str] = "normal"

    def _measured(self, reference: RankReference, placement: Placement, *, held: bool) -> Measurement:
        surplus, deviation, pairs = _surplus(reference, placement, held=held)
        excess = np.abs(surplus)
        return Measurement(statistic=_in_deviations(excess, deviation), effect=2 * excess / pairs)

    def probability_of_superiority(self, reference: RankReference, summary: Values, /) -> Numbers:
        """Shape (features,): AUC, above 1/2 where window values are the larger ones; NaN where there are none."""
        surplus, _, pairs = _surplus(reference, Placement.of(reference, summary), held=False)
        return 0.5 + surplus / pairs

    def _statistics(self, equals: Integers, window: Integers) -> Numbers:
        both = equals.sum()
        middles = np.cumsum(equals) - equals / 2
        surplus: Numbers = window @ middles - window.sum(axis=1) * (both / 2)
        return np.abs(surplus)

    def _p_value(self, reference: RankReference, placement: Placement, statistic: Numbers) -> Numbers:  # noqa: ARG002
        surplus, deviation, _ = _surplus(reference, placement, held=False)
        probability: Numbers = 2 * ndtr(-_in_deviations(np.abs(surplus) - 0.5, deviation))
        return np.minimum(probability, 1)


def _surplus(reference: RankReference, placement: Placement, *, held: bool) -> tuple[Numbers, Numbers, Numbers]:
    """Shape (features,): U - nm/2, its standard deviation if nothing has changed, and nm; NaN for no pairs."""
    ties = reference.power_sums[:, 1] - placement.reference_values[:, 0]  # t^3 - t, summed over what is tied
    if held:
        placement = placement.without_held()
    else:
        # Among t equal values, w of them the window's, each of these takes the w-th part of what their t^3 - t is
        # larger than that of the t - w = g of the reference: 3 g^2 + 3 g w + w^2 - 1.
        g, w = (placement.not_above - placement.below) * 1.0, (placement.last - placement.first) * 1.0
        ties += placement.total(3 * g * (g + w) + (w * w - 1))
    n, m = placement.counts()
    pairs = np.where((n > 0) & (m > 0), n * m, np.nan)
    both = n + m
    surplus = (placement.total(placement.below + placement.not_above) - pairs) / 2
    variance = pairs / 12 * (both + 1 - ties / np.maximum(both * (both - 1), 1))
    return surplus, np.sqrt(np.maximum(variance, 0)), pairs


def _in_deviations(excess: Numbers, deviation: Numbers) -> Numbers:
    """Nothing where there is no deviation, because all values are equal."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(deviation == 0, 0.0, excess / deviation)
