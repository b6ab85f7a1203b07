"""What a law for large samples says of features some of whose cells are rare, mended where it may not be trusted."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors import conditional
from detectors.frequency import comparison
from detectors.frequency.comparison import FrequencyReference, Tables
from detectors.frequency.counts import Counts
from detectors.protocols import Detector
from detectors.results import DriftResult, Measurement

Integers = NDArray[np.int64]
Values = NDArray[np.float64]
Flags = NDArray[np.bool_]

FEWEST_EXPECTED = (10, 100)
"""In each cell of the smaller sample, and in the rarer one of two: with fewer, a chi-square law is not relied on.

Two cells have few outcomes, so that the exact law costs nothing, and each of these is a large step of the statistic."""
METHOD = "conditional"
"""What `DriftResult.method` says where a p-value is not the chi-square law's: see `detectors.conditional`."""


def result(
    detector: Detector[Any, Any],
    reference: FrequencyReference,
    summary: Counts,
    tables: Tables,
    measured: Measurement,
    tested: tuple[Callable[[Tables], Values], Values],
    fewest_expected: tuple[int, int] = FEWEST_EXPECTED,
    kept_above: float = 1.0,
) -> DriftResult:
    """With p-values of the chi-square law, where it holds.

    `tested` are a statistic that rises with what is measured, and what the law says of it: p-values that are kept
    above a limit if the law is known to alarm too often, not too seldom.
    """
    probabilities, mended = _mended(tables, *tested, _rare(tables, fewest_expected) & (tested[1] <= kept_above))
    seed, method = (conditional.SEED, METHOD) if mended else (None, "chi-square")
    return comparison.result(detector, reference.count, summary, measured, probabilities, method, seed)


def _mended(
    tables: Tables, statistic: Callable[[Tables], Values], probabilities: Values, asked: Flags
) -> tuple[Values, bool]:
    """The p-values, and whether the law given the cells' totals says any of them; for these features it is asked.

    Which they are depends on their totals alone, and on the probability being small enough to matter.
    """
    found, mended = probabilities.copy(), False
    for feature in np.flatnonzero(asked).tolist():
        cells = tables.owners == feature
        window = tables.window[cells].astype(np.int64)
        totals = tables.reference[cells].astype(np.int64) + window
        exact = conditional.p_value(
            totals, window, partial(_statistics, statistic, totals, tables.fixed[cells]), feature
        )
        if not np.isnan(exact):
            found[feature], mended = exact, True
    return found, mended


def _rare(tables: Tables, fewest_expected: tuple[int, int]) -> Flags:
    """Shape (features,): some cell is expected to hold too few values of the smaller sample."""
    n, m = tables.reference_total, tables.window_total
    least = n + m
    np.minimum.at(least, tables.owners, tables.reference + tables.window)
    enough = np.where(tables.freedom == 1, fewest_expected[1], fewest_expected[0])
    rare: Flags = least * np.minimum(n, m) / np.maximum(n + m, 1) < enough
    return rare & tables.decided


def _statistics(statistic: Callable[[Tables], Values], totals: Integers, fixed: Flags, window: Integers) -> Values:
    return statistic(_tables(totals, fixed, window))


def _tables(totals: Integers, fixed: Flags, window: Integers) -> Tables:
    """What might have been, each outcome in the place of a feature; `window` has the shape (outcomes, cells)."""
    outcomes, cells = window.shape
    drawn = window.sum(axis=1).astype(np.float64)
    return Tables(
        owners=np.repeat(np.arange(outcomes), cells),
        reference=(totals - window).reshape(-1).astype(np.float64),
        window=window.reshape(-1).astype(np.float64),
        lumped=np.zeros(window.size, dtype=np.bool_),
        fixed=np.tile(fixed, outcomes),
        reference_total=totals.sum() - drawn,
        window_total=drawn,
    )
