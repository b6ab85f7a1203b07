"""Ways to turn the statistics of windows into alarms, for one budget: at most one false alarm in so many windows.

All get the same: the statistics of the reference's blocks, and those of the windows one after another. What the service
does is not among them: it is measured through the service's own rules (`benchmarks.decisions`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from online_fdr.p_values import AlphaSpending, LordPlusPlus, Saffron
from online_fdr.p_values.spending.functions import Bonferroni
from scipy.special import betainc
from scipy.stats import chi2

from detectors.calibration import JointNull
from detectors.evidence import block_scores

Values = NDArray[np.float64]
Alarms = NDArray[np.bool_]
Procedure = Callable[["Seen", float], Alarms]
"""From statistics and windows per alarm to which windows alarm."""

_CONFIDENCE = 0.9


@dataclass(frozen=True, slots=True)
class Seen:
    """What a procedure may look at."""

    blocks: Values
    """Statistics of the reference's blocks, shape (blocks, numbers)."""
    windows: Values
    """Of the stream's windows."""

    def scores(self) -> Values:
        null = JointNull.of(self.blocks, (self.blocks.shape[1],))
        return (self.windows - null.means) / null.deviations

    def p_values(self) -> Values:
        """Of each window's largest score: by rank, and beyond the median of blocks by an exponential tail.

        Always the larger of both; the tail's scale is its upper confidence bound. Lighter tails than an exponential,
        which all of our statistics have, make it larger than need be.
        """
        calm = np.sort(block_scores(self.blocks).max(axis=1))
        largest = self.scores().max(axis=1)
        ranked = (1 + len(calm) - np.searchsorted(calm, largest, side="left")) / (1 + len(calm))
        middle = float(np.median(calm))
        excess = calm[calm > middle] - middle
        scale = 2 * excess.sum() / chi2.ppf(1 - _CONFIDENCE, 2 * len(excess))
        tail = 0.5 * np.exp(-np.maximum(largest - middle, 0) / scale)
        beyond = largest > calm[-1]
        return np.where(beyond, np.minimum(tail, ranked), np.maximum(np.where(largest > middle, tail, 1.0), ranked))


def never(seen: Seen, _windows_per_alarm: float) -> Alarms:
    return np.zeros(len(seen.windows), bool)


def always(seen: Seen, _windows_per_alarm: float) -> Alarms:
    return np.ones(len(seen.windows), bool)


def even_spending(seen: Seen, windows_per_alarm: float) -> Alarms:
    """Every window gets the same share of the budget."""
    return np.asarray(seen.p_values() <= 1 / windows_per_alarm)


def bonferroni(seen: Seen, windows_per_alarm: float) -> Alarms:
    """Alpha spending by online-fdr: one chance in ten of any alarm in so many windows, spent evenly."""
    test = AlphaSpending(alpha=0.1, spend_func=Bonferroni(int(windows_per_alarm)))
    return np.array([test.test_one(float(p)) for p in seen.p_values()])


def lord(seen: Seen, _windows_per_alarm: float) -> Alarms:
    """Online false discovery rate: it has no budget over time, and spends most of its wealth early."""
    test = LordPlusPlus(alpha=0.1, wealth=0.05)
    return np.array([test.test_one(float(p)) for p in seen.p_values()])


def saffron(seen: Seen, _windows_per_alarm: float) -> Alarms:
    test = Saffron(alpha=0.1, wealth=0.05, lambda_=0.5)
    return np.array([test.test_one(float(p)) for p in seen.p_values()])


def shiryaev_roberts(seen: Seen, windows_per_alarm: float) -> Alarms:
    """E-detector of the largest score: sums of products of p-to-e calibrated values, anew after each alarm.

    Its average run length is at least the threshold (Shin, Ramdas, Rinaldo 2024) if p-values hold for this reference.
    """
    sums, alarms = 0.0, []
    for p in seen.p_values():
        sums = (sums + 1) * 0.5 / np.sqrt(p)
        alarms.append(sums >= windows_per_alarm)
        sums = 0.0 if alarms[-1] else sums
    return np.array(alarms)


def conformal_martingale(seen: Seen, windows_per_alarm: float) -> Alarms:
    """Conformal test martingale of ranks alone (Vovk et al.), as a cumulative sum: nothing is assumed of tails."""
    calm = np.sort(block_scores(seen.blocks).max(axis=1))
    largest = seen.scores().max(axis=1)
    ranked = (1 + len(calm) - np.searchsorted(calm, largest, side="left")) / (1 + len(calm))
    logs, total, alarms = np.log(0.5 / np.sqrt(ranked)), 0.0, []
    for added in logs:
        total = max(total, 0.0) + added
        alarms.append(total >= np.log(windows_per_alarm))
        total = 0.0 if alarms[-1] else total
    return np.array(alarms)


def calibrated_cusum(seen: Seen, windows_per_alarm: float) -> Alarms:
    """Cumulative sums of scores, one threshold for all numbers, from streams of resampled blocks.

    Each simulated reference is a bootstrap of the blocks, so that its mean and deviation are as wrong as this one's may
    be; the threshold holds for nine of ten of them (Gandy and Kvaloy 2013).
    """
    generator = np.random.default_rng(0)
    thresholds = [_cusum_threshold(seen.blocks, windows_per_alarm, generator) for _ in range(20)]
    threshold = float(np.quantile(thresholds, _CONFIDENCE))
    sums, alarms = np.zeros(seen.blocks.shape[1]), []
    for scores in seen.scores():
        sums = np.maximum(sums + scores - 1, 0)
        alarms.append(bool(sums.max() >= threshold))
        sums = np.minimum(sums, threshold)
    return np.array(alarms)


def _cusum_threshold(blocks: Values, windows_per_alarm: float, generator: np.random.Generator) -> float:
    """Exceeded once in so many windows: from the upper tail of simulated sums, which is exponential."""
    drawn = blocks[generator.integers(len(blocks), size=len(blocks))]
    least = 1e-9 * np.maximum(np.abs(blocks).max(axis=0), 1)
    scores = (blocks - drawn.mean(axis=0)) / np.maximum(drawn.std(axis=0, ddof=1), least)
    paths, steps = 40, 60
    sums, largest = np.zeros((paths, blocks.shape[1])), []
    for step in range(steps):
        sums = np.maximum(sums + scores[generator.integers(len(scores), size=paths)] - 1, 0)
        if step >= steps // 3:
            largest.append(sums.max(axis=1))
    reached = np.sort(np.concatenate(largest))
    high = np.quantile(reached, 0.9)
    return float(high + (reached[reached > high] - high).mean() * np.log(windows_per_alarm * 0.1))


def plain_rate(seen: Seen, _windows_per_alarm: float) -> Alarms:
    """No budget: each window at 5 %, by rank, for the reference at hand (`detectors.calibration.level_held`)."""
    calm = np.sort(block_scores(seen.blocks).max(axis=1))
    ranks = np.arange(1, len(calm) + 1)
    rank = int((betainc(ranks, len(calm) + 1 - ranks, 0.05) >= _CONFIDENCE).sum())
    return np.asarray(seen.scores().max(axis=1) > calm[-max(rank, 1)])


PROCEDURES: dict[str, Procedure] = {
    "never": never,
    "always": always,
    "each window at 5 %": plain_rate,
    "even spending": even_spending,
    "alpha spending (online-fdr)": bonferroni,
    "LORD++ (online-fdr)": lord,
    "SAFFRON (online-fdr)": saffron,
    "Shiryaev-Roberts e-detector": shiryaev_roberts,
    "conformal martingale, ranks": conformal_martingale,
    "calibrated CUSUM": calibrated_cusum,
}
