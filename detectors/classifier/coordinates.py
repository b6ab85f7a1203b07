"""Where classifiers see rows: each feature's values replaced by normal quantiles of their ranks."""

import numpy as np
from scipy.special import ndtri

from detectors.arrays import Rows


def normal_scores(rows: Rows) -> Rows:
    """Van der Waerden scores of each feature, equal values sharing the mean of their ranks; shape (rows, features).

    Every feature becomes moderate and roughly normal, whatever its unit and its outliers. Ranks among all rows do not
    know which of them are called reference, so no test on them becomes less valid.
    """
    from scipy.stats import rankdata  # noqa: PLC0415 - a second and 30 MiB, for those only who need it

    if not len(rows):
        return rows
    scores: Rows = np.ascontiguousarray(ndtri(rankdata(rows, axis=0) / (len(rows) + 1)))
    return scores
