"""How well a classifier does on rows without labels, estimated from its scores, and how far off that may be.

What follows from the scores is what would be right if each score still meant what it meant in the reference. So a
window of harder rows is seen, and labels that change while the scores stay (a change of the concept) are not: nothing
that looks at scores alone can see those (Garg et al. 2022).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from detectors.errors import InvalidParameter, TooFewRows
from detectors.performance.chances import ChanceMap
from detectors.performance.metrics import Metric, measured

Values = NDArray[np.float64]

BLOCKS = 20
"""The reference is cut into at least so many: fewer say too little of how far estimates are off."""
MINIMUM_BLOCK_ROWS = 20
_MEASURED_BLOCKS = BLOCKS // 2
_FOLDS = 5
_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """Of one window."""

    estimated: float
    """NaN where the metric is not defined for these rows, as precision is where nothing is predicted positive."""
    lower: float
    """Between these two the realised metric lies in 95 % of windows that are like blocks of the reference."""
    upper: float


@dataclass(frozen=True, slots=True, eq=False)
class Estimator:
    """Fitted on a reference with labels."""

    metric: Metric
    threshold: float
    chances: ChanceMap
    realised: float
    """The metric of the reference itself, from its labels."""
    labelled_rows: int
    block_rows: int
    """Of the blocks that the error was found with."""
    error: float
    """Half of an interval of 95 % for a window as long as a block."""

    @classmethod
    def fit(cls, scores: Values, labels: Values, metric: Metric, threshold: float, window_rows: int) -> Self:
        """From rows in time order, shape (rows,): scores in [0, 1], labels 0 or 1; NaN where either is not known.

        Contiguous blocks, as long as a window where there are 20 of these, are each estimated by a map that was fitted
        on other parts of the reference, and compared with their labels: the error is that of this very estimator on
        this very stream, with all that its rows have in common. Raises `InvalidParameter`, `TooFewRows`.
        """
        scored = ~np.isnan(scores)
        known = scored & ~np.isnan(labels)
        _refuse_nonsense(scores[scored], labels[known])
        scores, labels = scores[known], labels[known]
        least = BLOCKS * MINIMUM_BLOCK_ROWS
        if len(labels) < least:
            raise TooFewRows(f"{len(labels)} rows have a prediction and a label, and at least {least} are needed")
        if labels.min() == labels.max():
            raise InvalidParameter("labels", "are all the same in the reference, which then says nothing of the other")
        block_rows = min(window_rows, len(labels) // BLOCKS)
        errors = np.array(list(_errors(scores, labels, metric, threshold, block_rows)))
        errors = errors[~np.isnan(errors)]
        if len(errors) < _MEASURED_BLOCKS:
            message = f"{metric} is not defined in most blocks of {block_rows} rows: choose another, or larger windows"
            raise TooFewRows(message)
        realised = measured(metric, scores, labels, threshold)
        chances = ChanceMap.of(scores, labels)
        return cls(metric, threshold, chances, realised, len(labels), block_rows, _half_interval(errors))

    def estimate(self, scores: Values) -> Estimate:
        """Of a window's scores, shape (rows,); those that are missing are left out."""
        scores = scores[~np.isnan(scores)]
        estimated = measured(self.metric, scores, self.chances(scores), self.threshold)
        # Fewer rows vary more, as independent ones would. More vary less, but by how much depends on their neighbours.
        error = self.error * np.sqrt(max(1.0, self.block_rows / max(len(scores), 1)))
        return Estimate(estimated, float(np.maximum(estimated - error, 0.0)), float(np.minimum(estimated + error, 1.0)))


def _refuse_nonsense(scores: Values, labels: Values) -> None:
    if not ((scores >= 0) & (scores <= 1)).all():
        message = (
            "are no probabilities, which lie between 0 and 1: of other predictions nothing is known without labels"
        )
        raise InvalidParameter("scores", message)
    if not np.isin(labels, (0.0, 1.0)).all():
        raise InvalidParameter("labels", "must be 0 or 1, or missing")


def _errors(scores: Values, labels: Values, metric: Metric, threshold: float, block_rows: int) -> Iterator[float]:
    """Of each block: what is estimated less what is realised."""
    for fold in np.array_split(np.arange(len(labels) // block_rows), _FOLDS):
        held = slice(fold[0] * block_rows, (fold[-1] + 1) * block_rows)
        chances = ChanceMap.of(np.delete(scores, held), np.delete(labels, held))
        for block in fold:
            rows = slice(block * block_rows, (block + 1) * block_rows)
            found = measured(metric, scores[rows], chances(scores[rows]), threshold)
            yield found - measured(metric, scores[rows], labels[rows], threshold)


def _half_interval(errors: Values) -> float:
    """Of a prediction for one more block: the estimator's bias is in it, because nobody knows it better than so."""
    blocks = len(errors)
    quantile = float(stdtrit(blocks, (1 + _CONFIDENCE) / 2))
    return quantile * float(np.sqrt((errors**2).mean() * (1 + 1 / blocks)))
