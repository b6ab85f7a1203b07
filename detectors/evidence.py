"""Evidence of drift that may be added up over windows: what one more standard deviation is worth, by the blocks.

A window's score s (`detectors.calibration`) is turned into the e-value exp(tilt (s - ALLOWANCE)). The tilt is the
largest one with which the e-values of calm windows are at most 1 on average, so that their running product is expected
to shrink while nothing happens, and a cumulative sum of their logarithms reaches x in at most exp(-x) of calm windows
(Lundberg's inequality; e-detectors: Shin, Ramdas, Rinaldo 2024). Five things are there to keep that true for the
reference at hand, and not only for references on average:

* every block is scored by the mean and deviation of the others, as a window to come is;
* one block is imagined that goes a deviation beyond all others: the next may;
* the average is an upper confidence bound (as for control charts with estimated limits: Gandy and Kvaloy 2013);
* of the numbers that one detector gives, none is worth more than the median one: their blocks may be calm by luck;
* a deviation is worth less, the more neighbouring blocks resemble one another: so much more often do sums grow.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.stats import rankdata

from detectors.arrays import frozen
from detectors.calibration import Values, scores_by_others

ALLOWANCE = 1.5
"""Deviations by which a score may exceed its mean without being evidence: for these, one reference may be to blame."""
MOST_TILT = 3.0
"""Of a number that never moved among the blocks, and so has none of its own."""
LEAST_TILT = 0.02
"""Of one that moved in so few blocks that they say nothing: hundreds of deviations are evidence even so."""

_LEAST_SHARE = 0.5  # see `scores_by_others`: one odd block among constant ones must not be worth nothing for ever
_NORMAL_QUANTILE = 1.2815515655446004  # one-sided 90 %
_MOST_MEMORY = 0.95
_HALVINGS = 24
_COLUMNS = 256  # at a time, so that memory stays bounded


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What the blocks say of how much a score is worth."""

    tilts: Values
    """Log-evidence of one deviation, shape (numbers,)."""

    @classmethod
    def of_blocks(cls, statistics: Values, widths: Sequence[int]) -> Self:
        """From the shape (blocks, numbers), blocks in the order of time; `widths`: how many each detector gives."""
        each = np.split(block_scores(statistics), np.cumsum(widths)[:-1], axis=1)
        return cls(frozen(np.concatenate([_tilts_of_one_detector(scores) for scores in each])))

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


def _tilts_of_one_detector(scores: Values) -> Values:
    columns = range(0, scores.shape[1], _COLUMNS)
    alone = np.concatenate([_tilts(scores[:, first : first + _COLUMNS] - ALLOWANCE) for first in columns])
    memory = _memory(scores)
    return np.asarray(np.maximum(np.minimum(alone, np.median(alone)) * (1 - memory) / (1 + memory), LEAST_TILT))


def _tilts(surplus: Values) -> Values:
    """As if blocks were independent of each other."""
    imagined = np.concatenate([surplus, (surplus.max(axis=0) + 1)[np.newaxis]])
    low, high = np.full(surplus.shape[1], LEAST_TILT), np.full(surplus.shape[1], MOST_TILT)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        calm = _mean_bound(imagined, middle) <= 1
        low, high = np.where(calm, middle, low), np.where(calm, high, middle)
    return np.where(_mean_bound(imagined, np.full(len(low), MOST_TILT)) <= 1, MOST_TILT, low)


def _mean_bound(surplus: Values, tilt: Values) -> Values:
    """Upper confidence bound of the mean e-value; infinite where it overflows."""
    with np.errstate(over="ignore", invalid="ignore"):
        e_values = np.exp(tilt * surplus)
        error = e_values.std(axis=0, ddof=1) / np.sqrt(len(surplus) - 1)
        bound = e_values.mean(axis=0) + _NORMAL_QUANTILE * error
    return np.where(np.isnan(bound), np.inf, bound)


def _memory(scores: Values) -> Values:
    """Correlation of neighbouring blocks, of their ranks: that of all numbers together, or a number's own if larger.

    A number's own counts as far as it is more than chance; the estimate is freed of its bias, (1 + 4 r) / blocks.
    """
    blocks = len(scores)
    ranks = rankdata(scores, axis=0) - (blocks + 1) / 2
    squares = (ranks**2).sum(axis=0)
    own = (ranks[1:] * ranks[:-1]).sum(axis=0) / np.where(squares > 0, squares, 1)
    unbiased = np.where(squares > 0, (own + 1 / blocks) / max(1 - 4 / blocks, 0.5), 0)
    certain = unbiased - _NORMAL_QUANTILE / np.sqrt(blocks)
    return np.asarray(np.clip(np.maximum(unbiased.mean(), certain), 0, _MOST_MEMORY))
