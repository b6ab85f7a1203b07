"""Which rows carry a difference: the witness function of two samples, at the window's rows.

Gretton et al., JMLR 13 (2012), section 2.3: a row's mean kernel with the rows of the one sample, minus that with those
of the other. The sign is turned, so that it is large where the window has what the reference lacks.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Backend, Rows, measurable_rows
from detectors.kernel.tiles import mean_kernel
from detectors.sample.rows import Positions

Values = NDArray[np.float64]


def at_complete_rows(rows: Any, features: int, witness: Callable[[Rows], Values]) -> Values:
    """The witness of the complete ones of these rows, NaN for the others; shape (rows,). Raises `InvalidRows`."""
    measurable = measurable_rows(rows, features=features)
    incomplete = np.isnan(measurable).any(axis=1)
    values = np.full(len(measurable), np.nan)
    if not incomplete.all():
        values[~incomplete] = witness(measurable[~incomplete])
    return values


def witness(backend: Backend, placed: Rows, chosen: Positions, reference: Rows) -> Values:
    """At each of the window's placed rows, of which those chosen are compared with the reference's; shape (rows,).

    Each row counts as one of the window, even where only a choice of its rows is compared with.
    """
    like_window = mean_kernel(backend, placed, placed[chosen])
    besides = np.ones(len(placed))
    besides[chosen] = 0
    like_window += besides * (1 - like_window) / (len(chosen) + 1)  # the mean with one more value, that of 1
    values: Values = like_window - mean_kernel(backend, placed, reference)
    return values
