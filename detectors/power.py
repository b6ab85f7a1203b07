"""The smallest shift that a detector finds at a window's size: planted into blocks of the reference, and looked for."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import measurable_rows
from detectors.calibration import Values
from detectors.protocols import Detector

SHIFTS = (0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0)
"""Tried in turn, in standard deviations of each feature over the reference."""

_PLANTED_BLOCKS = 10  # spread over the reference: each time of it has its own idea of calm
_MOST = 0.8  # of these


def moving_features(rows: Any) -> NDArray[np.bool_]:
    """Of each feature, whether it has more than one value: what never moves has no deviation to be shifted by."""
    checked = measurable_rows(rows)
    return np.asarray((checked != checked[0]).any(axis=0))


def smallest_shifts(
    detector: Detector[Any, Any],
    reference: Any,
    rows: Any,
    window_rows: int,
    is_found: Callable[[Values], NDArray[np.bool_]],
) -> Values:
    """For each of the detector's statistics, the first of `SHIFTS` that is found in most blocks; NaN if none is.

    All features are shifted at once: a statistic of one feature sees its own shift only, one of all features sees all.
    `is_found` says which of a block's statistics are far enough out. `rows` are those that `reference` was fitted on;
    since they hold the block as it was before, what is found there is found a little sooner in a window.
    """
    checked = measurable_rows(rows)
    with np.errstate(over="ignore", invalid="ignore"):
        step = np.nan_to_num(np.nanstd(checked, axis=0), posinf=0.0)  # rows so extreme are not moved, and nothing found
    step = np.where(moving_features(checked), step, 0.0)  # a mean that is rounded leaves a constant some deviation
    starts = np.unique(np.linspace(0, len(checked) // window_rows - 1, _PLANTED_BLOCKS).astype(int)) * window_rows

    def share_found(shift: float) -> Values:
        planted = (checked[first : first + window_rows] + shift * step for first in starts)
        found = [
            is_found(detector.measure(reference, detector.summarise(reference, each)).statistic) for each in planted
        ]
        return np.asarray(np.mean(found, axis=0))

    smallest = np.where(share_found(SHIFTS[0]) >= _MOST, SHIFTS[0], np.nan)
    for shift in SHIFTS[1:]:
        if not np.isnan(smallest).any():
            break
        smallest = np.where(np.isnan(smallest) & (share_found(shift) >= _MOST), shift, smallest)
    return smallest
