"""Evidence of drift that may be added up over windows: what one more standard deviation is worth, by the blocks.

A window's score s (`detectors.calibration`) is turned into the e-value exp(tilt (s - ALLOWANCE)). The tilt is the
largest one with which the e-values of calm windows are at most 1 on average, so that their running product is expected
to shrink while nothing happens, and a cumulative sum of their logarithms reaches x in at most exp(-x) of calm windows
(Lundberg's inequality; e-detectors: Shin, Ramdas, Rinaldo 2024). Four things are there to keep that true for the
reference at hand, and not only for references on average:

* every block is scored by the mean and deviation of the others, as a window to come is;
* one block is imagined that goes beyond all others by as much as large ones exceed the median: the next may;
* the average is an upper confidence bound (as for control charts with estimated limits: Gandy and Kvaloy 2013);
* sums over several neighbouring blocks must keep it, too, since neighbours resemble one another.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np

from detectors.arrays import frozen
from detectors.calibration import Values, scores_by_others

ALLOWANCE = 2.0
"""Deviations by which a score may exceed its mean without being evidence: for these, one reference may be to blame."""
MOST_TILT = 3.0
"""Of a number that never moved among the blocks, and so has none of its own."""

_NORMAL_QUANTILE = 1.2815515655446004  # one-sided 90 %
_LEAST_SHARE = 0.5  # see `scores_by_others`: one odd block among constant ones must not be worth nothing for ever
_LEAST_RUNS = 24  # of one length, that do not overlap: fewer say too little of a mean
_HALVINGS = 24
_COLUMNS = 256  # at a time, so that memory stays bounded


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What the blocks say of how much a score is worth."""

    tilts: Values
    """Log-evidence of one deviation, shape (numbers,)."""

    @classmethod
    def of_blocks(cls, statistics: Values) -> Self:
        """From the shape (blocks, numbers), blocks in the order of time."""
        scores = block_scores(statistics)
        columns = range(0, scores.shape[1], _COLUMNS)
        found = [_tilts(scores[:, first : first + _COLUMNS] - ALLOWANCE) for first in columns]
        return cls(frozen(np.concatenate(found)))

    def gathered(self, before: Values, scores: Values, share: float = 1.0) -> Values:
        """The cumulative sums after a window, of whose rows `share` are new; NaN leaves a sum as it is.

        Where windows share rows, sums over them are held by the same bound: a mean of numbers whose exponentials are 1
        on average has that property, too.
        """
        added = self.tilts * (scores - ALLOWANCE) * share
        return np.maximum(before + np.where(np.isnan(added), 0.0, added), 0.0)

    def windows_reaching(self, scores: Values, threshold: float) -> int:
        """Of windows one after another, shape (windows, numbers), those at whose end a sum is at the threshold."""
        sums, reaching = np.zeros(scores.shape[1]), 0
        for window in scores:
            sums = self.gathered(sums, window)
            reaching += bool((sums >= threshold).any())
            sums = np.minimum(sums, threshold)
        return reaching

    def score_for(self, log_evidence: float) -> Values:
        """The score with which one window has so much."""
        return np.asarray(ALLOWANCE + log_evidence / self.tilts)


def block_scores(statistics: Values) -> Values:
    """Each block's scores by the others, shape (blocks, numbers)."""
    return scores_by_others(statistics, _LEAST_SHARE)


def _tilts(surplus: Values) -> Values:
    least = np.full(surplus.shape[1], MOST_TILT)
    for sums, independent in _runs(surplus):
        low, high = np.zeros_like(least), least
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            calm = _mean_bound(sums, middle, independent) <= 1
            low, high = np.where(calm, middle, low), np.where(calm, high, middle)
        least = np.where(_mean_bound(sums, least, independent) <= 1, least, low)
    return least


def _runs(surplus: Values) -> Iterator[tuple[Values, float]]:
    """Sums over 1, 2, 4 ... neighbouring blocks and one beyond them; and how many of them do not overlap."""
    blocks = len(surplus)
    summed = np.concatenate([np.zeros_like(surplus[:1]), np.cumsum(surplus, axis=0)])
    length = 1
    while length == 1 or blocks // length >= _LEAST_RUNS:
        sums = summed[length:] - summed[:-length]
        above = np.maximum(sums - np.median(sums, axis=0), 0)
        excess = above.sum(axis=0) / np.maximum((above > 0).sum(axis=0), 1)
        yield np.concatenate([sums, (sums.max(axis=0) + excess)[np.newaxis]]), blocks / length
        length *= 2


def _mean_bound(sums: Values, tilt: Values, independent: float) -> Values:
    """Upper confidence bound of the mean e-value, so many of which are independent; infinite where it overflows."""
    with np.errstate(over="ignore", invalid="ignore"):
        e_values = np.exp(tilt * sums)
        bound = e_values.mean(axis=0) + _NORMAL_QUANTILE * e_values.std(axis=0, ddof=1) / np.sqrt(independent)
    return np.where(np.isnan(bound), np.inf, bound)
