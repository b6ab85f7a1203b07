"""Scores of reference rows by what was fitted without them, and the cuts that these allow.

Five contiguous parts, because rows that follow one another resemble one another: each is scored by a fit on the other
four. A new row is as likely as any of these n to be the k-th strangest, whatever the law of the scores (Vovk,
Gammerman and Shafer 2005, and for parts that take turns Vovk 2015), so that a cut at the k-th lets k / (n + 1) of
ordinary rows through on average, exactly for rows that do not depend on one another.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from detectors.anomaly.scores import Score
from detectors.arrays import Rows
from detectors.errors import TooFewRows

Values = NDArray[np.float64]

_PARTS = 5
_LEAST = 3
"""Rows: a fit needs two that are not the one to be scored."""


def held_out_scores(score: Score, rows: Rows) -> Values:
    """Of each complete row by a fit without it and its neighbours; raises `TooFewRows`."""
    if len(rows) < _LEAST:
        raise TooFewRows(f"{len(rows)} reference rows without missing values, and at least {_LEAST} are needed")
    bounds = np.linspace(0, len(rows), min(_PARTS, len(rows)) + 1).astype(int).tolist()
    parts = []
    for first, last in pairwise(bounds):
        fitted = score.fit(np.concatenate([rows[:first], rows[last:]]))
        parts.append(fitted.score(rows[first:last]))
    return np.concatenate(parts)


def rank_of(rate: float, count: int) -> int:
    """The largest k with k / (count + 1) <= rate; at least 1."""
    return max(1, int(rate * (count + 1) * (1 + 1e-12)))


def cut_above(scores: Values, rank: int) -> float:
    """The score of that rank from the largest on."""
    return float(np.partition(scores, len(scores) - rank)[len(scores) - rank])


def at_least(flagged: int, rows: int, rank: int, count: int) -> float:
    """Probability that so many of the rows are beyond the `rank`-th of `count` scores, if all come in any order.

    A beta-binomial law. The (flagged + rank - 1) strangest of all have fewer than `rank` of the `count` among them.
    """
    if flagged == 0:
        return 1.0
    strangest = flagged + rank - 1
    of_reference = np.arange(max(0, strangest - rows), min(rank - 1, count) + 1)
    logarithms = _choices(count, of_reference) + _choices(rows, strangest - of_reference)
    return min(1.0, float(np.exp(logarithms - _choices(rows + count, np.array([strangest]))).sum()))


def _choices(among: int, chosen: NDArray[np.int64]) -> Values:
    return np.asarray(gammaln(among + 1) - gammaln(chosen + 1) - gammaln(among - chosen + 1))
