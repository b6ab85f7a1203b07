"""How large the difference of each feature is: measures that are one number a feature and do not grow with the rows.

From rows here, and without them in `merged_effects`. Nothing here is a test. A missing value is left out of its own
feature only, and what cannot be measured is NaN.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Rows, frozen, measurable_rows, some_at_a_time

Values = NDArray[np.float64]
Counts = NDArray[np.int64]

FEW_VALUES = 20
"""A feature with no more distinct values than this may be made of categories,"""
ROWS_PER_VALUE = 5
"""if on average each value is there this often."""

_TOGETHER = 64  # features that are transposed at once: one by one, a cache line would be read for each value
_LARGEST = float(np.finfo(np.float64).max)


@dataclass(frozen=True, slots=True, eq=False)
class EffectSizes:
    """Each of shape (features,), float64, read-only; NaN where there is too little to measure.

    Beyond the largest float64 stands that number: results are finite or NaN.
    """

    kolmogorov_smirnov: Values
    """D: the largest distance between the two distribution functions; from 0 to 1."""
    standardised_shift: Values
    """Difference of the means, window minus reference, in units of `reference_unit`."""
    probability_of_superiority: Values
    """P(window > reference) + P(equal) / 2, for one value of each; 0.5 is none. The area under the ROC curve."""
    wasserstein: Values
    """The area between the two distribution functions, in the feature's unit: how far values moved, on average."""
    standardised_wasserstein: Values
    """The same in units of `reference_unit`."""
    total_variation: Values
    """Half the sum of the differences in frequency over all values, from 0 to 1; NaN unless there are few values.

    Few are at most `FEW_VALUES` distinct ones, each there `ROWS_PER_VALUE` times on average: of others, each value is
    there once, and all frequencies differ.
    """
    missing_rate_change: Values
    """Fraction of values missing in the window, minus that in the reference; from -1 to 1."""
    reference_unit: Values
    """The reference's standard deviation (divided by n); of a constant, its magnitude; of zeros only, 1."""

    @property
    def share_moved(self) -> Values:
        """The least share that moved, by whichever shows most; from 0 to 1, and comparable over features.

        D and `total_variation` are lower bounds of the share of values, among those not missing, that would have to
        change to turn the one sample into the other; the change of the missing rate is one of the share of rows.
        """
        bounds = np.stack([self.kolmogorov_smirnov, self.total_variation, np.abs(self.missing_rate_change)])
        unknown: NDArray[np.bool_] = np.isnan(bounds).all(axis=0)
        return np.where(unknown, np.nan, np.where(np.isnan(bounds), 0, bounds).max(axis=0))


@dataclass(frozen=True, slots=True, eq=False)
class Pooled:
    """The values of both samples in one order, and how many of each lie at or below every one of them.

    Arrays have the shape (features, rows), those of counts (features, 1). NaN are last, and are counted nowhere.
    """

    values: Values
    """In units of 2^exponent, so that neither differences nor sums of them overflow."""
    exponents: NDArray[np.intc]
    reference_below: Counts
    window_below: Counts
    """Both move at the last of equal values only."""
    reference: Counts
    """Values that are not missing."""
    window: Counts


def effect_sizes(reference_rows: Any, window_rows: Any) -> EffectSizes:
    """Measure every feature of the window against the reference; raises `InvalidRows`.

    Rows have the shape (rows, features). The cost is that of sorting them.
    """
    reference = measurable_rows(reference_rows)
    window = measurable_rows(window_rows, features=reference.shape[1])
    features = reference.shape[1]
    found: dict[str, Values] = {}
    for first in range(0, features, _TOGETHER):
        before, after = (_columns(rows, first) for rows in (reference, window))
        for some in some_at_a_time(len(before), len(reference) + len(window)):
            chosen = slice(first + some.start, first + min(some.stop, len(before)))
            of_these = of_ordered(np.sort(before[some], axis=1), np.sort(after[some], axis=1))
            put(found, chosen, of_these, features)
    rates = [np.isnan(rows).mean(axis=0) if len(rows) else np.full(features, np.nan) for rows in (reference, window)]
    return sizes(found, rates[1] - rates[0])


def put(found: dict[str, Values], chosen: slice, values: Mapping[str, Values], features: int) -> None:
    """Write what was found of some of the features to its place."""
    for name, each in values.items():
        found.setdefault(name, np.full(features, np.nan))[chosen] = each


def sizes(found: Mapping[str, Values], missing_rate_change: Values) -> EffectSizes:
    """All of them; NaN for those that could not be found."""
    known = {**found, "missing_rate_change": missing_rate_change}
    unknown = np.full(missing_rate_change.shape, np.nan)
    return EffectSizes(**{each.name: frozen(known.get(each.name, unknown.copy())) for each in fields(EffectSizes)})


def _columns(rows: Rows, first: int) -> Values:
    """Shape (features, rows) for the next few features."""
    return np.ascontiguousarray(rows[:, first : first + _TOGETHER].T)


def of_order(pooled: Pooled) -> dict[str, Values]:
    """What rests on order alone; NaN where one of the samples has no values."""
    with np.errstate(invalid="ignore", divide="ignore"):
        found = {
            "kolmogorov_smirnov": _distances(pooled).max(axis=1, initial=0),
            "probability_of_superiority": _superiority(pooled),
        }
    return _where_measured(pooled, found)


def of_ordered(reference: Values, window: Values) -> dict[str, Values]:
    """What can be had from sorted values, shape (features, rows); NaN where one of the samples has none."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
        pooled = _pool(reference, window)
        deviation, deviation_exponents = _deviation(reference, pooled.reference)
        distances = _distances(pooled)
        gaps = np.diff(pooled.values, axis=1)
        area = (distances[:, :-1] * np.where(np.isnan(gaps), 0, gaps)).sum(axis=1)
        shift = _difference_of_means(reference, window, pooled)
        found = {
            "standardised_shift": _in_units(shift / deviation, pooled.exponents[:, 0] - deviation_exponents),
            "wasserstein": _in_units(area, pooled.exponents[:, 0]),
            "standardised_wasserstein": _in_units(area / deviation, pooled.exponents[:, 0] - deviation_exponents),
            "total_variation": _total_variation(pooled),
        }
        unit = _in_units(deviation, deviation_exponents)
    unit = np.where(pooled.reference[:, 0] == 0, np.nan, unit)
    return {**of_order(pooled), **_where_measured(pooled, found), "reference_unit": unit}


def _where_measured(pooled: Pooled, found: Mapping[str, Values]) -> dict[str, Values]:
    unmeasured = ((pooled.reference == 0) | (pooled.window == 0))[:, 0]
    return {name: np.where(unmeasured, np.nan, values) for name, values in found.items()}


def _distances(pooled: Pooled) -> Values:
    """How far apart the distribution functions are, after each value."""
    # In whole numbers up to the one division, which is how the detector of that distance has it.
    apart = np.abs(pooled.reference_below * pooled.window - pooled.window_below * pooled.reference)
    distances: Values = apart / (pooled.reference * pooled.window)
    return distances


def _pool(reference: Values, window: Values) -> Pooled:
    both = np.concatenate([reference, window], axis=1)
    order = np.argsort(both, axis=1, kind="stable")  # merges two sorted runs: less work than sorting
    values = np.take_along_axis(both, order, axis=1)
    present = ~np.isnan(values)
    exponents = _exponents(values)
    last = np.ones(values.shape, dtype=np.bool_)  # of its equals
    np.not_equal(values[:, 1:], values[:, :-1], out=last[:, :-1])
    of_reference = order < reference.shape[1]
    return Pooled(
        values=np.ldexp(values, -exponents),
        exponents=exponents,
        reference_below=_counts(of_reference & present, last),
        window_below=_counts(~of_reference & present, last),
        reference=(~np.isnan(reference)).sum(axis=1, keepdims=True, dtype=np.int64),
        window=(~np.isnan(window)).sum(axis=1, keepdims=True, dtype=np.int64),
    )


def _exponents(values: Values) -> NDArray[np.intc]:
    """The power of two, shape (features, 1), that brings the largest of each feature below 1."""
    largest = np.abs(np.where(np.isnan(values), 0, values)).max(axis=1, initial=0, keepdims=True)
    exponents: NDArray[np.intc] = np.frexp(largest)[1]
    return exponents


def _counts(members: NDArray[np.bool_], last: NDArray[np.bool_]) -> Counts:
    """How many members lie at or below each value, as it stood at the last of the equals before."""
    counted = np.cumsum(members, axis=1, dtype=np.int64)
    return np.maximum.accumulate(np.where(last, counted, 0), axis=1)


def _steps(counted: Counts) -> Counts:
    """How many members have each value, in the place of the last of its equals."""
    return np.diff(counted, axis=1, prepend=0)


def _superiority(pooled: Pooled) -> Values:
    below = pooled.reference_below.copy()
    below[:, 1:] += pooled.reference_below[:, :-1]  # those below, and once more with those that are equal
    doubled = (_steps(pooled.window_below) * below).sum(axis=1)
    probability: Values = doubled / (2.0 * pooled.reference[:, 0] * pooled.window[:, 0])
    return probability


def _total_variation(pooled: Pooled) -> Values:
    reference, window = _steps(pooled.reference_below), _steps(pooled.window_below)
    distinct = ((reference + window) > 0).sum(axis=1)
    few = (distinct <= FEW_VALUES) & ((pooled.reference + pooled.window)[:, 0] >= ROWS_PER_VALUE * distinct)
    differences = np.abs(reference / pooled.reference - window / pooled.window).sum(axis=1) / 2
    return np.where(few, differences, np.nan)


def _difference_of_means(reference: Values, window: Values, pooled: Pooled) -> Values:
    """In units of the pooled 2^exponent."""
    # Around a value of the reference's own: a large offset costs no digits, and a constant differs from itself by 0.
    middle = np.ldexp(_middle(reference, pooled.reference), -pooled.exponents)
    means = []
    for values, counted in ((reference, pooled.reference), (window, pooled.window)):
        centred = np.ldexp(values, -pooled.exponents) - middle
        means.append(np.where(np.isnan(centred), 0, centred).sum(axis=1) / counted[:, 0])
    difference: Values = means[1] - means[0]
    return difference


def _deviation(reference: Values, counted: Counts) -> tuple[Values, NDArray[np.intc]]:
    """The unit of standardised effects, as a number and a power of two for each feature."""
    exponents = _exponents(reference)
    scaled = np.ldexp(reference, -exponents)
    centred = scaled - _middle(scaled, counted)
    centred = np.where(np.isnan(centred), 0, centred)
    mean = centred.sum(axis=1, keepdims=True) / counted
    squares = np.where(np.isnan(scaled), 0, (centred - mean) ** 2).sum(axis=1) / counted[:, 0]
    magnitude = np.abs(_middle(scaled, counted))[:, 0]
    constant = (centred == 0).all(axis=1)
    unit = np.where(constant, np.where(magnitude == 0, 1.0, magnitude), np.sqrt(squares))
    return unit, exponents[:, 0]


def _middle(values: Values, counted: Counts) -> Values:
    """The lower median, shape (features, 1); NaN where there is no value."""
    if not values.shape[1]:
        return np.full((len(values), 1), np.nan)
    middle: Values = np.take_along_axis(values, np.maximum((counted - 1) // 2, 0), axis=1)
    return middle


def _in_units(values: Values, exponents: NDArray[np.intc]) -> Values:
    """The number times two to the exponent, and the largest float64 beyond it."""
    return np.clip(np.ldexp(values, exponents), -_LARGEST, _LARGEST)
