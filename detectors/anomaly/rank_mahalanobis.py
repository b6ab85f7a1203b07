"""Rank-Gaussian Mahalanobis: how far a row is from the middle once every feature is made normal.

Ranks take the shape of single features away, so that what is left is how features go together: a combination that the
reference does not have is strange although every value is ordinary. What ranks cannot see is how far beyond the others
a value is; that is measured by itself, and the larger of the two counts.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from detectors.anomaly.covariance import whitening
from detectors.anomaly.normal_scores import NormalScores
from detectors.anomaly.tails import Tails
from detectors.arrays import Rows, frozen

Values = NDArray[np.float64]

_FITTED_ROWS = 20_000
"""More reference rows than this, evenly spaced, tell nothing more of ranks and correlations."""
_ORDINARY_DISTANCE = 0.99
"""Share of the rows that a score of about 1 is larger than; and ..."""
_ORDINARY_TAIL = 0.999
"""... of those whose values alone make it so, which are fewer, so that distances lose next to nothing."""
_AT_ONCE = 16_384
"""Values whose intermediate numbers fit a processor's cache."""


@dataclass(frozen=True, slots=True, eq=False)
class FittedRankMahalanobis:
    """A `FittedScore`. A missing value counts as the middle of its feature, and so for less than any other."""

    normal: NormalScores
    middle: Values
    """Shape (features,): the mean normal score."""
    whitening: Values
    tails: Tails
    distance_unit: float
    tail_unit: float

    def score(self, rows: Rows, /) -> Values:
        # The last bits of a matrix product depend on which rows it is of; a row's score must not.
        scores = np.empty(len(rows), dtype=np.float32)
        step = max(1, _AT_ONCE // rows.shape[1])
        for first in range(0, len(rows), step):
            part = slice(first, first + step)
            distances, tails = _parts(self.normal, self.middle, self.whitening, self.tails, rows[part])
            scores[part] = np.maximum(distances / self.distance_unit, tails / self.tail_unit)
        return scores.astype(np.float64)


@dataclass(frozen=True, slots=True)
class RankMahalanobis:
    """A `Score`: 1 is about what one row in a hundred of the reference is beyond."""

    name: ClassVar[str] = "rank_mahalanobis"

    def fit(self, rows: Rows, /) -> FittedRankMahalanobis:
        some = rows[:: -(-len(rows) // _FITTED_ROWS)]
        normal = NormalScores.of(some)
        scores = normal(some)
        middle = scores.mean(axis=0)
        white, tails = whitening(scores - middle), Tails.of(some)
        distances, beyond = _parts(normal, middle, white, tails, some)
        units = _unit(distances, _ORDINARY_DISTANCE), _unit(beyond, _ORDINARY_TAIL)
        return FittedRankMahalanobis(normal, frozen(middle), frozen(white), tails, *units)


def _unit(scores: Values, share: float) -> float:
    """What so many are at most; 1 where that is nothing."""
    return float(np.sort(scores)[int(share * len(scores))]) or 1.0


def _parts(normal: NormalScores, middle: Values, white: Values, tails: Tails, rows: Rows) -> tuple[Values, Values]:
    """Mahalanobis distances, and the largest of each row's tails."""
    centred = normal(rows)
    centred -= middle
    beyond = tails(rows)
    missing = np.isnan(centred)
    if missing.any():
        centred[missing] = 0
        beyond[missing] = 0
    whitened = centred @ white
    return np.sqrt(np.einsum("ij,ij->i", whitened, whitened)), beyond.max(axis=1)
