"""What makes a window differ from its reference: which features, by how much, and numbers ready to be drawn.

An explanation is bounded whatever the rows are: `Detail` says by how much. It measures; it does not decide.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from math import isnan
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import frozen, measurable_rows
from detectors.data_frames import names_of, refuse_other_columns, rows_of
from detectors.effects import EffectSizes, effect_sizes
from detectors.errors import InvalidParameter
from detectors.parameters import whole_number
from detectors.protocols import Detector
from detectors.results import DriftResult, Scope

Values = NDArray[np.float64]
Counts = NDArray[np.int64]

_TAIL = 0.005  # of the reference on each side, beyond the histogram: one outlier would leave all else in one bin
_HAIR = 1e-9  # of a row: p * n of a whole number of rows is not always whole in binary


@dataclass(frozen=True, slots=True)
class Detail:
    """How much an explanation says at most."""

    features: int = 10
    """Features, those that differ most."""
    bins: int = 20
    """Bins of a histogram."""
    categories: int = 20
    """Categories counted one by one, the most frequent ones."""
    probabilities: tuple[float, ...] = (0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1)
    """Of the quantiles; 0 is the least value and 1 the largest."""

    def __post_init__(self) -> None:
        for name in ("features", "bins", "categories"):
            whole_number(name, getattr(self, name), at_least=1, at_most=1000)
        if len(self.probabilities) > 1000 or not all(0 <= probability <= 1 for probability in self.probabilities):
            raise InvalidParameter("probabilities", "probabilities are at most 1000 numbers from 0 to 1")


DETAIL = Detail()


@runtime_checkable
class HasWitness(Protocol):
    """A detector that can say which rows carry a joint difference."""

    def witness(self, reference: Any, rows: Any, /) -> Values:
        """How much more each window row is like the window than like the reference, by the detector's own kernel.

        Shape (rows,); NaN for rows with a missing value. Raises `InvalidRows`.
        """
        ...


@dataclass(frozen=True, slots=True)
class Measured:
    """What one detector said of one feature, or of all together."""

    detector: str
    statistic: float
    effect: float
    p_value: float
    """NaN where there was too little to measure."""
    missing: int


@dataclass(frozen=True, slots=True, eq=False)
class Quantiles:
    """The points of a quantile-quantile plot: window over reference."""

    probabilities: Values
    reference: Values
    """The least value with at least that fraction of values at or below it; NaN without values."""
    window: Values


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """Values counted in bins of one width over the reference's range, without half a percent of it on each side."""

    edges: Values
    """Ascending, shape (bins + 1,). A bin has its lower edge but not its upper one; the last has both."""
    reference: Counts
    window: Counts
    reference_below: int
    reference_above: int
    window_below: int
    window_above: int


@dataclass(frozen=True, slots=True, eq=False)
class Categories:
    """Values counted one by one."""

    values: Values
    """Ascending."""
    reference: Counts
    window: Counts
    reference_other: int
    """Values that are not listed, because these are more frequent."""
    window_other: int


@dataclass(frozen=True, slots=True, eq=False)
class FeatureExplanation:
    """One feature's difference."""

    feature: str
    column: int
    share_moved: float
    """See `EffectSizes.share_moved`."""
    effects: Mapping[str, float]
    """This feature's number of each array of `EffectSizes`."""
    measured: tuple[Measured, ...]
    """By every detector that measures features."""
    quantiles: Quantiles
    histogram: Histogram | None
    """None where the values are counted as categories, or where there are none."""
    categories: Categories | None
    """Where there are few distinct values: see `EffectSizes.total_variation`."""
    reference_missing: int
    window_missing: int


@dataclass(frozen=True, slots=True, eq=False)
class WitnessRows:
    """Window rows that carry a joint difference most."""

    detector: str
    rows: NDArray[np.int64]
    """Their places in the window as it was given, the one with the largest value first."""
    values: Values
    """How much more each is like the window than like the reference; above zero."""


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """A window's difference from its reference, feature by feature."""

    reference_count: int
    window_count: int
    features: tuple[FeatureExplanation, ...]
    """Those that differ most, the largest difference first."""
    features_left_out: int
    """Those that differ less, and are not explained."""
    joint: tuple[Measured, ...]
    """By every detector that measures all features together."""
    witnesses: tuple[WitnessRows, ...]
    effects: EffectSizes
    """Of all features, in the order of their columns."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, None for NaN; without `effects`, whose size is not bounded."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self) if field.name != "effects"}


def explain(
    reference_rows: Any,
    window_rows: Any,
    results: DriftResult | Sequence[DriftResult] = (),
    features: Sequence[str] | None = None,
    *,
    order_by: str | None = None,
    witnesses: Sequence[WitnessRows] = (),
    detail: Detail = DETAIL,
) -> Explanation:
    """Explain these results for these rows; raises `InvalidRows`, `InvalidParameter`.

    Rows are arrays or data frames of the shape (rows, features). Features have the names given, or the columns', or
    `feature_0` and so on. The order is that of `EffectSizes.share_moved`, or of the effect that the detector named by
    `order_by` measured; features without it come last, equals in the order of their columns.
    """
    refuse_other_columns(names_of(reference_rows), window_rows)
    reference = measurable_rows(rows_of(reference_rows))
    window = measurable_rows(rows_of(window_rows), features=reference.shape[1])
    names = _names(features, names_of(reference_rows), reference.shape[1])
    by_feature, joint = _by_scope(results, reference.shape[1])
    effects = effect_sizes(reference, window)
    order = _order(effects, by_feature, order_by)[: detail.features]
    return Explanation(
        reference_count=len(reference),
        window_count=len(window),
        features=tuple(
            _explain_feature(names, int(column), reference, window, effects, by_feature, detail) for column in order
        ),
        features_left_out=len(names) - len(order),
        joint=tuple(_measured(result, 0) for result in joint),
        witnesses=tuple(witnesses),
        effects=effects,
    )


def witness_rows(detector: Detector[Any, Any], reference: Any, window_rows: Any, limit: int = 10) -> WitnessRows:
    """The window rows that carry the difference most, at most `limit`; incomplete rows carry none.

    Gretton et al., JMLR 13 (2012), section 2.3: the witness function is large where the window is denser than the
    reference. Rows with a value of zero or less are left out: they are as much like the reference. Raises
    `InvalidParameter` for a detector that has no witness function, and `InvalidRows`.
    """
    whole_number("limit", limit, at_least=0, at_most=10_000)
    if not isinstance(detector, HasWitness):
        raise InvalidParameter("detector", f"{detector.name} has no witness function; kernel tests have one")
    values = detector.witness(reference, rows_of(window_rows))
    carrying = np.flatnonzero(values > 0)  # NaN is not
    chosen = carrying[np.argsort(-values[carrying], kind="stable")][:limit].astype(np.int64)
    return WitnessRows(detector.name, frozen(chosen), frozen(values[chosen]))


def _names(given: Sequence[str] | None, columns: tuple[str, ...] | None, count: int) -> tuple[str, ...]:
    names = columns if given is None else tuple(given)
    if names is None:
        return tuple(f"feature_{column}" for column in range(count))
    if len(names) != count:
        raise InvalidParameter("features", f"{len(names)} names for {count} features")
    return names


def _by_scope(
    results: DriftResult | Sequence[DriftResult], features: int
) -> tuple[list[DriftResult], list[DriftResult]]:
    """Those of single features, and those of all together."""
    given = [results] if isinstance(results, DriftResult) else list(results)
    by_feature = [result for result in given if result.scope is Scope.FEATURE]
    for result in by_feature:
        if len(result.statistic) != features:
            message = f"{result.detector} measured {len(result.statistic)} features, and the rows have {features}"
            raise InvalidParameter("results", message)
    return by_feature, [result for result in given if result.scope is Scope.JOINT]


def _order(effects: EffectSizes, by_feature: Sequence[DriftResult], order_by: str | None) -> NDArray[np.intp]:
    sizes = effects.share_moved
    if order_by is not None:
        found = [result.effect for result in by_feature if result.detector == order_by]
        if not found:
            raise InvalidParameter("order_by", f"no result of features is by {order_by!r}")
        sizes = found[0]
    return np.argsort(-sizes, kind="stable")  # NaN last


def _explain_feature(
    names: Sequence[str],
    column: int,
    reference: Values,
    window: Values,
    effects: EffectSizes,
    by_feature: Sequence[DriftResult],
    detail: Detail,
) -> FeatureExplanation:
    sizes = {field.name: float(getattr(effects, field.name)[column]) for field in fields(effects)}
    before, after = _present(reference[:, column]), _present(window[:, column])
    few = not isnan(sizes["total_variation"])
    histogram = None if few else _histogram(before, after, detail.bins)
    return FeatureExplanation(
        feature=names[column],
        column=column,
        share_moved=float(effects.share_moved[column]),
        effects=sizes,
        measured=tuple(_measured(result, column) for result in by_feature),
        quantiles=_quantiles(before, after, detail.probabilities),
        histogram=histogram,
        categories=_categories(before, after, detail.categories) if histogram is None else None,
        reference_missing=len(reference) - len(before),
        window_missing=len(window) - len(after),
    )


def _measured(result: DriftResult, place: int) -> Measured:
    return Measured(
        detector=result.detector,
        statistic=float(result.statistic[place]),
        effect=float(result.effect[place]),
        p_value=float(result.p_value[place]),
        missing=int(result.missing[place]),
    )


def _present(values: Values) -> Values:
    """Ascending, without what is missing; -0 is 0."""
    return np.sort(values[~np.isnan(values)]) + 0.0


def _quantiles(reference: Values, window: Values, probabilities: Sequence[float]) -> Quantiles:
    at = np.array(probabilities, dtype=np.float64)
    return Quantiles(frozen(at), frozen(_quantile(reference, at)), frozen(_quantile(window, at)))


def _quantile(ordered: Values, probabilities: Values) -> Values:
    """Values that are there, so that nothing lies between two of the largest numbers, or between categories."""
    if not len(ordered):
        return np.full(len(probabilities), np.nan)
    places = np.ceil(probabilities * len(ordered) - _HAIR).astype(np.intp) - 1
    quantile: Values = ordered[np.maximum(places, 0)]
    return quantile


def _histogram(reference: Values, window: Values, bins: int) -> Histogram | None:
    """None where all values are one, or none."""
    edges = _edges(reference, window, bins)
    if len(edges) < 2:
        return None
    before, before_below, before_above = _in_bins(reference, edges)
    after, after_below, after_above = _in_bins(window, edges)
    return Histogram(frozen(edges), before, after, before_below, before_above, after_below, after_above)


def _edges(reference: Values, window: Values, bins: int) -> Values:
    """Over most of the reference; where that is one value, over all of it, and then over the window as well."""
    both = np.concatenate([reference, window])
    if not len(both):
        return np.empty(0)
    least, most = both.min(), both.max()
    if len(reference):
        tails = _quantile(reference, np.array([_TAIL, 1 - _TAIL]))
        for low, high in (tails, reference[[0, -1]]):
            if low < high:
                least, most = low, high
                break
    edges = np.clip(2 * np.linspace(least / 2, most / 2, bins + 1), least, most)  # most - least might overflow
    edges[0], edges[-1] = least, most
    return np.unique(edges)


def _in_bins(ordered: Values, edges: Values) -> tuple[Counts, int, int]:
    """How many are in each bin, below them all, and above."""
    places = np.searchsorted(ordered, edges, side="left")
    places[-1] = np.searchsorted(ordered, edges[-1], side="right")
    return frozen(np.diff(places).astype(np.int64)), int(places[0]), len(ordered) - int(places[-1])


def _categories(reference: Values, window: Values, limit: int) -> Categories | None:
    values, places = np.unique(np.concatenate([reference, window]), return_inverse=True)
    if not len(values):
        return None
    before = np.bincount(places[: len(reference)], minlength=len(values))
    after = np.bincount(places[len(reference) :], minlength=len(values))
    listed = np.sort(np.argsort(-(before + after), kind="stable")[:limit])
    return Categories(
        values=frozen(values[listed]),
        reference=frozen(before[listed].astype(np.int64)),
        window=frozen(after[listed].astype(np.int64)),
        reference_other=int(before.sum() - before[listed].sum()),
        window_other=int(after.sum() - after[listed].sum()),
    )


def _plain(value: Any) -> Any:
    """JSON's own types; None for NaN."""
    if isinstance(value, float):
        return None if isnan(value) else value
    if isinstance(value, np.ndarray):
        return [_plain(each) for each in value.tolist()]
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    return value
