"""Least-squares density difference: whether all features together are distributed as they were, by a permutation test.

M. Sugiyama, T. Kanamori, T. Suzuki, M. C. du Plessis, S. Liu and I. Takeuchi, "Density-Difference Estimation", Neural
Computation 25 (2013); for detecting changes L. Bu, C. Alippi and D. Zhao, "A pdf-Free Change Detection Test Based on
Density Difference Estimation", IEEE TNNLS 29 (2018). The difference of the two densities is modelled by Gaussians
around some centres. With H their inner products, h the difference of their means over the two samples and a ridge r,
the model's weights are theta = (H + r)^-1 h, and the squared L2 distance of the densities is 2 theta'h - theta'H theta.

That is h'Mh with M = 2 (H + r)^-1 - (H + r)^-1 H (H + r)^-1, which is positive definite. So with M = AA', the rows'
Gaussians times A are an embedding in which the statistic is the squared distance of two means: permutations need
nothing but means of embedded rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Backend, Rows, backend_of, frozen, measurable_rows, on_host
from detectors.errors import InvalidParameter, TooFewRows
from detectors.identity import reference_digest, refuse_other
from detectors.kernel.gaussian import Frame, Matrix, kernel, median_bandwidth
from detectors.parameters import MAXIMUM_SEED, positive_number, whole_number, yes_or_no
from detectors.results import DriftResult, Measurement, Scope
from detectors.sample import rows as samples
from detectors.sample.rows import RowSample

MAXIMUM_ROWS = 10_000
MAXIMUM_CENTRES = 1000
MAXIMUM_PERMUTATIONS = 100_000

_LEAST = 2  # rows of each sample: one has no variance
_SHARE = 4  # at most one reference row in so many is set aside
_LEAST_RIDGE = 1e-9  # less is lost in the rounding of H
_LABELS = 2**18  # labels in one product: 2 MiB
_ROUNDING = 1e-13  # of the embedding's norm, and far above what adding thousands of rows can lose

_OF_REFERENCE, _OF_CENTRES, _OF_WINDOW, _OF_PERMUTATIONS = range(4)  # one seed, four streams of random numbers


@dataclass(frozen=True, slots=True, eq=False)
class DensityReference:
    """Centres, and the embedding of the reference rows that windows are compared with."""

    digest: str
    count: int
    backend: Backend
    """Where the reference rows came from, and all matrices are."""
    frame: Frame
    bandwidth: float
    """Sigma: in standardised units, or without standardising in the rows' own."""
    centres: Matrix
    """Shape (centres, features), placed in the frame."""
    basis: Matrix
    """A, shape (centres, centres)."""
    norm: float
    """The longest that an embedded row may be."""
    origins: samples.Positions
    """Which of the reference rows are compared with windows."""
    embedded: Matrix
    """These, shape (rows, centres)."""

    @property
    def features(self) -> int:
        """Columns of the reference."""
        return int(self.centres.shape[1])


@dataclass(frozen=True, slots=True)
class LeastSquaresDensityDifference:
    """Statistic: the estimated squared L2 distance of the two densities, 2 theta'h - theta'H theta.

    It is measured in units in which a Gaussian of the bandwidth has the norm 1: that leaves out (pi sigma^2)^(features
    / 2), which in many dimensions no float holds, and no test depends on. The effect is the distance itself, without
    what it would be for equal densities and so few rows: the square root of the unbiased estimate of h'Mh, or 0 where
    that is negative. It estimates the same number whatever the counts.

    The permutation test is exact, however few rows there are: scale, bandwidth and centres are taken from reference
    rows that are set aside, and so do not depend on which of the others are called reference.
    """

    name: ClassVar[str] = "least_squares_density_difference"
    scope: ClassVar[Scope] = Scope.JOINT
    bounded: ClassVar[bool] = False

    permutations: int = 100
    """More of them allow smaller p-values: the smallest is 1 / (permutations + 1)."""
    seed: int = 0
    """Determines centres, permutations and sub-samples."""
    standardise: bool = True
    """Divide every feature by the deviation of its bulk in the reference, so that none counts more for its unit."""
    centres: int = 100
    """Reference rows to set aside as centres, but never more than one in four."""
    ridge: float = 0.03
    """What is added to the diagonal of H, which is 1. The power hardly depends on it from 0.001 to 0.1."""
    maximum_reference_rows: int = 1000
    """Of more, a random choice is compared with windows, and all others give the scale."""
    maximum_window_rows: int = 1000
    """Of more, a random choice is used."""
    bandwidth: float | None = None
    """Sigma; None for the median heuristic on the centres."""

    def __post_init__(self) -> None:
        whole_number("permutations", self.permutations, at_least=1, at_most=MAXIMUM_PERMUTATIONS)
        whole_number("seed", self.seed, at_least=0, at_most=MAXIMUM_SEED)
        yes_or_no("standardise", self.standardise)
        whole_number("centres", self.centres, at_least=1, at_most=MAXIMUM_CENTRES)
        object.__setattr__(self, "ridge", positive_number("ridge", self.ridge))
        if not _LEAST_RIDGE <= self.ridge <= 1 / _LEAST_RIDGE:
            raise InvalidParameter("ridge", f"ridge lies between {_LEAST_RIDGE} and {1 / _LEAST_RIDGE}")
        for parameter in ("maximum_reference_rows", "maximum_window_rows"):
            whole_number(parameter, getattr(self, parameter), at_least=_LEAST, at_most=MAXIMUM_ROWS)
        if self.bandwidth is not None:
            object.__setattr__(self, "bandwidth", positive_number("bandwidth", self.bandwidth))

    def work_of_fitting(self, rows: int, features: int, /) -> int:
        """See `detectors.protocols.WorksHarder`: the chosen rows' kernel with the centres."""
        return (min(rows, self.maximum_reference_rows) + self.centres) * self.centres * (8 + features // 32)

    def fit(self, rows: Any, /) -> DensityReference:
        """Set rows aside, choose scale, bandwidth and centres, embed the others; raises `InvalidRows`, `TooFewRows`."""
        checked, backend = measurable_rows(rows), backend_of(rows)
        known = np.flatnonzero(~np.isnan(checked).any(axis=1))
        if len(known) <= _LEAST:
            raise TooFewRows(f"{len(known)} complete reference rows, and at least {_LEAST + 1} are needed")
        compared, aside = self._divided(checked[known])
        others = checked[known[aside]]
        centres = others[samples.at_most(others, self.centres, (self.seed, _OF_CENTRES))]
        frame, bandwidth = self._scale(others, centres)
        placed = frozen(frame.place(centres))
        basis, norm = _basis(placed, self.ridge)
        around, into = backend.put(placed), backend.put(frozen(basis))
        embedded = kernel(backend.put(frame.place(checked[known[compared]])), around) @ into
        return DensityReference(
            digest=reference_digest(self, checked),
            count=len(checked),
            backend=backend,
            frame=frame,
            bandwidth=bandwidth,
            centres=around,
            basis=into,
            norm=norm,
            origins=frozen(known[compared]),
            embedded=frozen(embedded) if isinstance(embedded, np.ndarray) else embedded,
        )

    def empty(self, reference: DensityReference, /) -> RowSample:
        return samples.of(reference.digest, np.empty((0, reference.features)), reference.features)

    def summarise(self, reference: DensityReference, rows: Any, /) -> RowSample:
        return samples.of(reference.digest, rows, reference.features)

    def restore(self, reference: DensityReference, arrays: Mapping[str, NDArray[Any]], /) -> RowSample:
        return samples.restored(reference.digest, reference.features, arrays)

    def measure(self, reference: DensityReference, summary: RowSample, /) -> Measurement:
        window, _ = self._embedded(reference, summary)
        return _measured(reference.embedded, window)

    def measure_held_out(self, reference: DensityReference, summary: RowSample, held: slice, /) -> Measurement:
        """See `detectors.calibration.LeavesOut`.

        Scale, bandwidth and centres stay those of the whole reference, as they do when a window is measured.
        """
        window, _ = self._embedded(reference, summary)
        left = np.flatnonzero((reference.origins < held.start) | (reference.origins >= held.stop))
        others = reference.backend.namespace.take(reference.embedded, reference.backend.put(left), axis=0)
        return _measured(others, window)

    def test(self, reference: DensityReference, summary: RowSample, /) -> DriftResult:
        window, chosen = self._embedded(reference, summary)
        measured = _measured(reference.embedded, window)
        probability = float("nan")
        if not np.isnan(measured.statistic[0]):
            generator = np.random.default_rng(samples.seed_of((self.seed, _OF_PERMUTATIONS), chosen))
            least = float(np.sqrt(measured.statistic[0])) - _ROUNDING * reference.norm
            probability = _p_value(reference, window, least, self.permutations, generator)
        return DriftResult(
            detector=self.name,
            scope=self.scope,
            statistic=measured.statistic,
            p_value=np.array([probability]),
            effect=measured.effect,
            missing=np.array([summary.missing], dtype=np.int64),
            reference_count=len(reference.origins),
            window_count=len(chosen) + summary.missing,
            method="permutation",
            seed=self.seed,
        )

    def _scale(self, others: Rows, centres: Rows) -> tuple[Frame, float]:
        """Where everything is placed, in units of the bandwidth; and that in standardised units or the rows' own."""
        if self.standardise:
            frame = Frame.around(others, standardise=True)
            bandwidth = median_bandwidth(frame.place(centres)) if self.bandwidth is None else self.bandwidth
            return frame.within(bandwidth), bandwidth
        frame = Frame.around(others, standardise=False, length=self.bandwidth or 0.0)
        given = self.bandwidth
        bandwidth = median_bandwidth(frame.place(centres)) if given is None else given / frame.unit()
        return frame.within(bandwidth), bandwidth * frame.unit()

    def _divided(self, rows: Rows) -> tuple[samples.Positions, samples.Positions]:
        """Where the rows are that windows are compared with, and where the others."""
        aside = min(self.centres, max(1, len(rows) // _SHARE))
        limit = min(self.maximum_reference_rows, len(rows) - aside)
        compared = samples.at_most(rows, limit, (self.seed, _OF_REFERENCE))
        others = np.ones(len(rows), dtype=np.bool_)
        others[compared] = False
        return compared, np.flatnonzero(others)

    def _embedded(self, reference: DensityReference, summary: RowSample) -> tuple[Matrix, Rows]:
        """The window rows that the test rests on: embedded, and as they came."""
        refuse_other(reference.digest, summary)
        positions = samples.at_most(summary.rows, self.maximum_window_rows, (self.seed, _OF_WINDOW))
        chosen = summary.rows[positions]
        placed = reference.backend.put(reference.frame.place(chosen))
        return kernel(placed, reference.centres) @ reference.basis, chosen


def _basis(centres: Rows, ridge: float) -> tuple[NDArray[np.float64], float]:
    """A with AA' = 2 (H + r)^-1 - (H + r)^-1 H (H + r)^-1, and the longest that k'A can be for k between 0 and 1.

    The product of two Gaussians of the bandwidth integrates to one of sqrt(2) times the bandwidth.
    """
    closer = centres * np.sqrt(0.5)
    values, vectors = np.linalg.eigh(kernel(closer, closer))
    values = np.maximum(values, 0)
    factors = np.sqrt(values + 2 * ridge) / (values + ridge)
    basis = np.ascontiguousarray(vectors * factors)  # one layout, and so the same bits, whichever library takes it
    return basis, float(factors.max()) * float(np.sqrt(len(centres)))


def _measured(reference: Matrix, window: Matrix) -> Measurement:
    n, m = reference.shape[0], window.shape[0]
    if min(n, m) < _LEAST:
        return Measurement(statistic=np.array([np.nan]), effect=np.array([np.nan]))
    namespace = backend_of(reference).namespace
    means = [namespace.mean(rows, axis=0) for rows in (reference, window)]
    apart = means[0] - means[1]
    squared = float(namespace.sum(apart * apart))
    chance = 0.0
    for rows, mean in zip((reference, window), means, strict=True):
        count, centred = rows.shape[0], rows - mean
        chance += float(namespace.sum(centred * centred)) / (count - 1) / count
    return Measurement(statistic=np.array([squared]), effect=np.sqrt([max(squared - chance, 0.0)]))


def _p_value(
    reference: DensityReference, window: Matrix, least: float, permutations: int, generator: np.random.Generator
) -> float:
    """(b + 1) / (P + 1), with b the permutations in which the means are at least that far from each other.

    Once the mean of all rows is zero, the sum of the rows with one label says where both means are.
    """
    backend, n, m = reference.backend, reference.embedded.shape[0], window.shape[0]
    namespace = backend.namespace
    pooled = namespace.concat([reference.embedded, window], axis=0)
    pooled = pooled - namespace.mean(pooled, axis=0)
    extreme = 0
    at_once = max(1, _LABELS // (n + m))
    for start in range(0, permutations, at_once):
        labels = _labels(generator, min(at_once, permutations - start), n + m, min(n, m))
        sums = backend.put(labels) @ pooled
        distances = on_host(namespace.sqrt(namespace.sum(sums * sums, axis=1))) * (1 / n + 1 / m)
        extreme += int((distances >= least).sum())
    return (extreme + 1) / (permutations + 1)


def _labels(generator: np.random.Generator, count: int, rows: int, chosen: int) -> NDArray[np.float64]:
    """Shape (count, rows): in each row 1 for as many as are chosen, 0 for the others."""
    order = np.argpartition(generator.random((count, rows)), chosen - 1, axis=1)
    labels = np.zeros((count, rows))
    np.put_along_axis(labels, order[:, :chosen], 1.0, axis=1)
    return labels
