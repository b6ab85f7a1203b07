"""From a classifier's scores to the chances of what they stand for, learnt from rows whose labels are known."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import frozen

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class ChanceMap:
    """Isotonic regression of labels on scores (Zadrozny and Elkan 2002), linear between what it was fitted on."""

    scores: Values
    """Ascending."""
    chances: Values
    """Of these scores; never descending."""

    @classmethod
    def of(cls, scores: Values, labels: Values) -> Self:
        """Both of shape (rows,); labels are 0 or 1."""
        from scipy.optimize import isotonic_regression  # noqa: PLC0415 - 15 MiB, for those only who need it

        distinct, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
        fitted = isotonic_regression(np.bincount(place, labels) / counts, weights=counts)
        ends = np.unique(np.concatenate([fitted.blocks[:-1], fitted.blocks[1:] - 1]))  # of each level
        return cls(frozen(distinct[ends]), frozen(np.clip(fitted.x[ends], 0.0, 1.0)))

    def __call__(self, scores: Values) -> Values:
        return np.interp(scores, self.scores, self.chances)
