"""Metrics of a classifier, from each row's score and its chance of being positive.

Chances stand in for labels: a row with the chance c counts as c positives and 1 - c negatives. That gives the expected
confusion matrix, and from it the metrics (confidence-based performance estimation, CBPE, as NannyML documents it:
https://nannyml.readthedocs.io/en/stable/how_it_works/performance_estimation.html; for accuracy it is the average
confidence of Guillory et al. 2021). Where labels are known they are their own chances, 0 or 1, and what comes out is
the realised metric.
"""

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


class Metric(StrEnum):
    """Each lies between 0 and 1, and more is better."""

    ACCURACY = "accuracy"
    PRECISION = "precision"
    RECALL = "recall"
    F1 = "f1"
    ROC_AUC = "roc_auc"


def measured(metric: Metric, scores: Values, chances: Values, threshold: float) -> float:
    """Of rows that count as positive from the threshold on; NaN where the metric is not defined (0 of 0)."""
    if metric is Metric.ROC_AUC:
        return _area(scores, chances)
    positive = scores >= threshold
    hits, misses = chances[positive].sum(), chances[~positive].sum()
    false_alarms = (1 - chances[positive]).sum()
    if metric is Metric.ACCURACY:
        return _share(hits + (1 - chances[~positive]).sum(), len(scores))
    if metric is Metric.PRECISION:
        return _share(hits, hits + false_alarms)
    if metric is Metric.RECALL:
        return _share(hits, hits + misses)
    return _share(2 * hits, 2 * hits + false_alarms + misses)


def _area(scores: Values, chances: Values) -> float:
    """How often a positive has a larger score than a negative, a tie being half of it (Mann and Whitney 1947)."""
    _, place = np.unique(scores, return_inverse=True)
    positives, negatives = np.bincount(place, chances), np.bincount(place, 1 - chances)
    below = np.cumsum(negatives) - negatives / 2
    return _share((positives * below).sum(), positives.sum() * negatives.sum())


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else float("nan")
