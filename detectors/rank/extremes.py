"""How far the distribution functions of window and reference get apart, feature by feature, in whole numbers."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import frozen
from detectors.rank.counts import Counts
from detectors.rank.reference import Integers, RankReference

_NARROW = int(np.iinfo(np.int32).max)

Candidates = tuple[NDArray[Any], NDArray[Any], int]
"""Of shape (features, rows): nm times a difference, the reference values i that it is with; and what is off from j."""


@dataclass(frozen=True, slots=True, eq=False)
class Extremes:
    """The largest difference between i/n and j/m: values of reference and window up to a place, of all there are.

    Arrays have the shape (features,).
    """

    reference_values: Integers
    """n: those that are not missing."""
    window_values: Integers
    """m: likewise."""
    reached: Integers
    """nm times the largest difference."""
    distance: NDArray[np.float64]
    """The largest difference as |i/n - j/m|, which is how SciPy divides and rounds otherwise than a quotient would.

    Read-only; NaN where there are no values, and for one against one."""

    @classmethod
    def of(cls, reference: RankReference, summary: Counts, alternative: str) -> Self:
        """`greater` asks where i/n is larger, `less` where j/m is."""
        cells, missing = summary.numbers, summary.missing
        n, m = reference.present, np.array([[summary.count]])
        present = None
        if missing.any():
            m = m - missing.reshape(-1, 1)
            present = np.arange(summary.count) < m
            cells = np.where(present, cells, 0)
        reached = np.zeros(reference.features, dtype=np.int64)
        distance = np.zeros(reference.features)
        for first, some in reference.parts(cells) if summary.count else ():
            features = slice(first, first + len(some))
            here = None if present is None else present[features]
            reached[features], distance[features] = _largest(
                _candidates(reference, some, features, alternative, _of(n, features), _of(m, features)),
                here, _of(n, features), _of(m, features),
            )  # fmt: skip
        flat_n, flat_m = (np.broadcast_to(each[:, 0], reached.shape) for each in (n, m))
        distance[(np.minimum(flat_n, flat_m) < 1) | (np.maximum(flat_n, flat_m) < 2)] = np.nan
        return cls(flat_n, flat_m, reached, frozen(distance))

    def alike(self) -> Iterator[tuple[int, int, NDArray[np.intp] | slice]]:
        """The features that can be measured, by their n and m."""
        measured = ~np.isnan(self.distance)
        sizes = np.stack([self.reference_values, self.window_values], axis=1)
        if measured.all() and (sizes == sizes[0]).all():
            yield int(sizes[0, 0]), int(sizes[0, 1]), slice(None)
            return
        for n, m in np.unique(sizes[measured], axis=0).tolist():
            yield n, m, np.flatnonzero(measured & (sizes == (n, m)).all(axis=1))


def _of(counts: Integers, features: slice) -> Integers:
    return counts if len(counts) == 1 else counts[features]


def _candidates(
    reference: RankReference, cells: NDArray[np.int32], features: slice, alternative: str, n: Integers, m: Integers
) -> Iterator[Candidates]:
    """Where the differences may be largest: at a window value, and just below one.

    The reference is flat between its values. Of equals the last is the extreme one upwards and the first downwards, so
    that ties need no care.
    """
    narrow = np.int32 if int(n.max()) * int(m.max()) <= _NARROW else np.int64
    n, m = n.astype(narrow), m.astype(narrow)
    ends = n * np.arange(1, cells.shape[1] + 1, dtype=narrow)
    if alternative != "greater":
        not_above = reference.below((cells + 1) >> 1, features)
        yield ends - m * not_above, not_above, 0
    if alternative != "less":
        below = reference.below(cells >> 1, features)
        yield m * below - (ends - n), below, 1


def _largest(
    candidates: Iterator[Candidates], present: NDArray[np.bool_] | None, n: Integers, m: Integers
) -> tuple[Integers, NDArray[np.float64]]:
    """Shape (features,): nm times the largest difference, and this itself, the largest of those that round apart."""
    found = [
        (differences if present is None else np.where(present, differences, -1), i, off)
        for differences, i, off in candidates
    ]
    reached = np.maximum.reduce([differences.max(axis=1) for differences, _, _ in found])
    distance = np.zeros(reached.shape)
    flat_n, flat_m = (np.broadcast_to(np.maximum(each[:, 0], 1), reached.shape) for each in (n, m))
    for differences, i, off in found:
        where = np.flatnonzero(differences == reached[:, np.newaxis])  # sooner than in two dimensions
        feature, place = np.divmod(where, differences.shape[1])
        fraction = i.reshape(-1)[where] / flat_n[feature] - (place + (1 - off)) / flat_m[feature]
        np.maximum.at(distance, feature, np.abs(fraction))
    return reached.astype(np.int64), distance
