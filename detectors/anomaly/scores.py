"""What a score of single rows promises, and the scores there are, by name."""

from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from detectors.anomaly.rank_mahalanobis import RankMahalanobis
from detectors.arrays import Rows
from detectors.parameters import one_of

Values = NDArray[np.float64]


class FittedScore(Protocol):
    """Immutable, shared by threads."""

    def score(self, rows: Rows, /) -> Values:
        """Of each row, in whatever company: the larger the stranger, the smaller the more typical; finite.

        Rows are as `measurable_rows` gives them: values are finite, or NaN where they are missing.
        """
        ...


class Score(Protocol):
    """How strange rows are, measured by reference rows."""

    name: ClassVar[str]

    def fit(self, rows: Rows, /) -> FittedScore:
        """Learn from at least two complete rows; the same rows give the same bits."""
        ...


SCORES: tuple[type[Score], ...] = (RankMahalanobis,)


def checked_name(parameter: str, name: object) -> str:
    """Raises `InvalidParameter` unless there is a score of that name."""
    return one_of(parameter, name, [each.name for each in SCORES])


def score_of(name: str) -> Score:
    """The score of a name that was checked."""
    return next(each for each in SCORES if each.name == name)()
