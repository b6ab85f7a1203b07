"""The sorted values of a window: what the rank tests need that rest on the ranks of both samples together.

Two window values in one gap of the reference fall into one cell whether they are tied or not, and the midranks of the
joint sample tell these apart. Whether a value is tied with one of another window can only be known from the value, so
exactness leaves no smaller summary. Sorted, it still merges without loss, and the order of arrival is forgotten.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import frozen, on_host
from detectors.rank.ordered import Ordered, numbers_of
from detectors.rank.reference import RankReference, ordered_window

MISSING = float("inf")


@dataclass(frozen=True, slots=True, eq=False)
class Values(Ordered):
    """The sorted values of the rows summarised, float64."""

    key: ClassVar[str] = "values"
    absent: ClassVar[float] = MISSING


def empty(reference: RankReference) -> Values:
    """The values of no rows."""
    return Values(reference.digest, (frozen(np.empty((reference.features, 0))),))


def summarise(reference: RankReference, rows: Any) -> Values:
    """Sort the rows of each feature; raises `InvalidRows`."""
    parts, missing = ordered_window(reference, rows)
    values = np.empty((reference.features, rows.shape[0]))
    for first, ordered in parts:
        values[first : first + ordered.shape[0]] = on_host(ordered)
    values += 0.0  # zero has one sign
    if missing is not None:
        values[missing] = MISSING
    return Values(reference.digest, (frozen(values),))


def restored(reference: RankReference, arrays: Mapping[str, NDArray[Any]]) -> Values:
    """What `Values.arrays` gave; raises `InvalidDocument`."""

    def allowed(values: NDArray[Any]) -> bool:
        return not (np.isnan(values) | (values == -np.inf) | ((values == 0) & np.signbit(values))).any()

    return Values(reference.digest, (numbers_of(arrays, "values", np.float64, reference.features, allowed),))
