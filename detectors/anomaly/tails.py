"""How far values are beyond the quartiles of their feature, in units of what its own tails are long.

Tukey's fences (1977) with a length for each side, so that a long-tailed feature does not drown the others.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Rows, frozen

Values = NDArray[np.float64]

_QUARTER = 0.25
"""Of every value is what is computed with, so that no difference is too large."""
_LARGEST = 1e6
"""Farther is not stranger; and scores stay finite."""
_OF_A_CONSTANT = 1e-9
"""Relative: anything else than a constant's value is far from it."""


@dataclass(frozen=True, slots=True, eq=False)
class Tails:
    """Shape (features,) each."""

    lower: Values
    """The quartiles ..."""
    upper: Values
    below: Values
    """... and the lengths of the tails on either side of them."""
    above: Values

    @classmethod
    def of(cls, rows: Rows) -> Self:
        """From complete rows."""
        ascending = np.sort(rows * _QUARTER, axis=0)
        first, lower, upper, last = (ascending[round(share * (len(rows) - 1))] for share in (0.01, 0.25, 0.75, 0.99))
        constant = _OF_A_CONSTANT * np.maximum(np.abs(upper), 1)
        spread = _first_positive(upper - lower, ascending[-1] - ascending[0], constant)
        below, above = _first_positive(lower - first, spread), _first_positive(last - upper, spread)
        return cls(*(frozen(np.ascontiguousarray(each)) for each in (lower, upper, below, above)))

    def __call__(self, rows: Rows) -> Values:
        """Same shape, at least 0; NaN where a value is missing."""
        scaled = rows * _QUARTER
        with np.errstate(over="ignore"):
            beyond = np.maximum((scaled - self.upper) / self.above, (self.lower - scaled) / self.below)
        return np.clip(beyond, 0, _LARGEST, out=beyond)


def _first_positive(*lengths: Values) -> Values:
    found = lengths[0]
    for other in lengths[1:]:
        found = np.where(found > 0, found, other)
    return found
