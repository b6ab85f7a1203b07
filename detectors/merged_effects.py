"""How large the difference of each feature is, from what a rank test keeps of a window: merged summaries, no rows."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import some_at_a_time
from detectors.effects import EffectSizes, Pooled, Values, of_order, of_ordered, put, sizes
from detectors.identity import refuse_other
from detectors.rank import values
from detectors.rank.counts import Counts, Tally
from detectors.rank.reference import RankReference


def effect_sizes_of(reference: RankReference, summary: Counts | values.Values, /) -> EffectSizes:
    """Measure what a rank test summarised, against its reference; raises `ReferenceMismatch`.

    From sorted values (`mann_whitney`, `cramer_von_mises`, `anderson_darling`) these are all that `effect_sizes` has
    from the rows. The summary of `kolmogorov_smirnov` knows how values are ordered among those of the reference, and
    gives D, the probability of superiority and the change of the missing rate; the others are NaN.
    """
    refuse_other(reference.digest, summary)
    found: dict[str, Values] = {}
    if isinstance(summary, Counts):
        tally = Tally.of(reference, summary.parts)
        for feature in range(reference.features):
            put(found, slice(feature, feature + 1), of_order(_by_cells(reference, tally, feature)), reference.features)
    else:
        window = np.where(summary.numbers == values.MISSING, np.nan, summary.numbers)
        for some in some_at_a_time(reference.features, reference.count + summary.count):
            chosen = slice(some.start, min(some.stop, reference.features))
            put(found, chosen, of_ordered(_ordered(reference, chosen), window[chosen]), reference.features)
    present = np.broadcast_to(reference.present[:, 0], (reference.features,))
    with np.errstate(invalid="ignore"):  # no rows
        change = summary.missing / np.float64(summary.count) - (reference.count - present) / reference.count
    return sizes(found, change)


def _by_cells(reference: RankReference, tally: Tally, feature: int) -> Pooled:
    """Cells in the place of values: between two reference values order does not matter, and on one all are equal."""
    window = tally.counts[tally.starts[feature] : tally.starts[feature + 1]]
    known = np.zeros_like(window)
    known[1::2] = _equals(reference, feature)
    return Pooled(
        values=np.arange(len(window), dtype=np.float64)[np.newaxis],
        exponents=np.zeros((1, 1), dtype=np.intc),
        reference_below=np.cumsum(known)[np.newaxis],
        window_below=np.cumsum(window)[np.newaxis],
        reference=known.sum().reshape(1, 1),
        window=window.sum().reshape(1, 1),
    )


def _ordered(reference: RankReference, features: slice) -> Values:
    """The reference's values, shape (these features, rows), ascending, NaN for those that are missing."""
    ordered = np.full((features.stop - features.start, reference.count), np.nan)
    for row, feature in zip(ordered, range(features.start, features.stop), strict=True):
        known = np.repeat(reference.knots.values[feature], _equals(reference, feature))
        row[: len(known)] = known
    return ordered


def _equals(reference: RankReference, feature: int) -> NDArray[Any]:
    """How many reference values equal each distinct one."""
    start, distinct = int(reference.offsets[feature, 0]), len(reference.knots.values[feature])
    return np.diff(reference.ranks[start : start + distinct + 1])
