"""Maximum mean discrepancy from sums of random features: all rows, no permutations, summaries that merge.

The squared distance of the mean features of window and reference is the MMD^2 of the kernel that the features make,
which is close to the Gaussian one. While nothing changes it follows a known law: see `Null`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from detectors.arrays import Rows, backend_of, complete, frozen, measurable_rows, on_host
from detectors.errors import TooFewRows
from detectors.identity import reference_digest, refuse_other
from detectors.kernel import weighted_chi_squares
from detectors.kernel.drawn_windows import Kinds, Seen, evenly, kinds_of
from detectors.kernel.feature_sums import FeatureMap, FeatureSums
from detectors.kernel.gaussian import Frame, Matrix, median_bandwidth
from detectors.kernel.witness import Values, at_complete_rows
from detectors.parameters import MAXIMUM_SEED, positive_number, whole_number, yes_or_no
from detectors.results import DriftResult, Measurement, Scope

MAXIMUM_FREQUENCIES = 2**16
MINIMUM_REFERENCE_ROWS = 4
"""Fewer leave nothing of a centred kernel without its diagonal."""
NULL_ROWS = 1000
"""The null distribution is estimated from so many reference rows at most: the cost of `fit` grows with the cube."""

_ROUNDED = 2.0**-19  # the squared length of a row's features is 1, but for so much at most

_OF_FREQUENCIES, _OF_NULL = 4, 5  # streams of random numbers of their own
_NOTHING_MEASURED = Measurement(statistic=frozen(np.array([np.nan])), effect=frozen(np.array([np.nan])))


@dataclass(frozen=True, slots=True, eq=False)
class Null:
    """The law of MMD^2 between n and m rows that are distributed alike.

    A. Gretton, K. Fukumizu, Z. Harchaoui and B. Sriperumbudur, "A Fast, Consistent Kernel Two-Sample Test" (NIPS 2009):
    the biased estimate is a sum of chi-squares, weighted by (1/n + 1/m) times the eigenvalues of the centred kernel.
    Here the estimate is the unbiased one. Its mean is zero, and its variance is exactly
    (2/(n(n-1)) + 2/(m(m-1)) + 4/(nm)) times the mean square of the centred kernel (Gretton et al., JMLR 13 (2012)). So
    the eigenvalues are those of the U-centred kernel between reference rows (G. Szekely and M. Rizzo, Annals of
    Statistics 42 (2014), eq. 3.1), whose diagonal is zero: they add up to zero, and their squares to an unbiased
    estimate of that mean square, however few rows there are.
    """

    weights: NDArray[np.float64]
    """Ascending."""

    @classmethod
    def of(cls, kernel: Matrix) -> Self:
        """From the kernel between at least `MINIMUM_REFERENCE_ROWS` rows, each with itself included."""
        backend, n = backend_of(kernel), kernel.shape[0]
        namespace = backend.namespace
        others = 1 - namespace.eye(n, dtype=namespace.float64, device=backend.device)
        kernel = kernel * others
        sums = namespace.sum(kernel, axis=1) / (n - 2)
        total = namespace.sum(sums) / (n - 1)
        centred = (kernel - sums[:, None] - sums[None, :] + total) * others
        weights = on_host(namespace.linalg.eigvalsh(centred)) / np.sqrt(n * (n - 3.0))
        return cls(frozen(weights - weights.mean()))  # zero but for rounding

    def p_value(self, discrepancy: float, n: int, m: int) -> float:
        """The probability of so large an MMD^2."""
        scale = np.sqrt(1 / (n * (n - 1.0)) + 1 / (m * (m - 1.0)) + 2 / (float(n) * m))
        return weighted_chi_squares.survival(self.weights, discrepancy / scale)


@dataclass(frozen=True, slots=True, eq=False)
class FeatureReference:
    """The features' sums over all reference rows, and the law of MMD^2 while nothing changes."""

    digest: str
    count: int
    bandwidth: float
    """Sigma: in standardised units, or without standardising in the rows' own."""
    map: FeatureMap
    sums: FeatureSums
    null: Null
    kinds: Kinds
    """What decides where that law does not hold."""


@dataclass(frozen=True, slots=True)
class FastMaximumMeanDiscrepancy:
    """Statistic: unbiased MMD^2 of a kernel close to the Gaussian one; effect: its square root, or 0 where negative.

    Its cost grows with the rows of the window alone, a summary is a few kilobytes whatever its rows, and p-values may
    be as small as they are. They rest on the central limit theorem and on eigenvalues estimated from the reference:
    give it 100 reference rows or more. Where the theorem does not hold, because a few rows of a kind of their own make
    most of the variance (sparse features) or the window is very small, the method is `resampling`: the share of windows
    drawn from the reference, see `detectors.kernel.drawn_windows`. Rows with a missing value are left out.
    """

    name: ClassVar[str] = "fast_maximum_mean_discrepancy"
    scope: ClassVar[Scope] = Scope.JOINT
    bounded: ClassVar[bool] = True

    frequencies: int = 2000
    """Each gives two features. More of them bring its power nearer to that of the exact test, and cost as much more."""
    seed: int = 0
    """Determines the frequencies, and the windows that are drawn where no law is known."""
    standardise: bool = True
    """Divide every feature by the deviation of its bulk in the reference, so that none counts more for its unit."""
    bandwidth: float | None = None
    """Sigma of the kernel; without one, the median heuristic on the reference."""

    def __post_init__(self) -> None:
        whole_number("frequencies", self.frequencies, at_least=1, at_most=MAXIMUM_FREQUENCIES)
        whole_number("seed", self.seed, at_least=0, at_most=MAXIMUM_SEED)
        yes_or_no("standardise", self.standardise)
        if self.bandwidth is not None:
            object.__setattr__(self, "bandwidth", positive_number("bandwidth", self.bandwidth))

    def work_of_fitting(self, rows: int, features: int, /) -> int:
        """See `detectors.protocols.WorksHarder`: every row's features, the null's kernel, and the frequencies.

        These are kept, and drawing them takes three times their memory more.
        """
        return self.frequencies * (32 * features + rows + min(rows, NULL_ROWS) ** 2 // 8)

    def fit(self, rows: Any, /) -> FeatureReference:
        """Choose scale, bandwidth and frequencies, and estimate the null; raises `InvalidRows`, `TooFewRows`."""
        measurable, backend = measurable_rows(rows), backend_of(rows)
        whole = complete(measurable)
        if len(whole) < MINIMUM_REFERENCE_ROWS:
            raise TooFewRows(f"{len(whole)} complete reference rows, and at least {MINIMUM_REFERENCE_ROWS} are needed")
        frame = Frame.around(whole, standardise=self.standardise, length=self.bandwidth or 0.0)
        unit = 1.0 if self.standardise else frame.unit()
        bandwidth = (
            median_bandwidth(frame.place(whole), seed=self.seed) if self.bandwidth is None else self.bandwidth / unit
        )
        features = FeatureMap.draw(backend, frame.within(bandwidth), self.frequencies, (self.seed, _OF_FREQUENCIES))
        digest = reference_digest(self, measurable)
        positions, weights = kinds_of(whole, NULL_ROWS)
        gram = features.gram(whole[positions])
        even = backend.put(evenly(weights, NULL_ROWS))
        namespace = backend.namespace
        return FeatureReference(
            digest=digest,
            count=len(measurable),
            bandwidth=bandwidth * unit,
            map=features,
            sums=features.summarise(digest, measurable),
            null=Null.of(namespace.take(namespace.take(gram, even, axis=0), even, axis=1)),
            kinds=Kinds.of(weights, gram),
        )

    def empty(self, reference: FeatureReference, /) -> FeatureSums:
        return reference.map.empty(reference.digest)

    def summarise(self, reference: FeatureReference, rows: Any, /) -> FeatureSums:
        return reference.map.summarise(reference.digest, rows)

    def restore(self, reference: FeatureReference, arrays: Mapping[str, NDArray[Any]], /) -> FeatureSums:
        return reference.map.restore(reference.digest, arrays)

    def measure(self, reference: FeatureReference, summary: FeatureSums, /) -> Measurement:
        refuse_other(reference.digest, summary)
        return _measured(reference.sums, summary)

    def measure_held_out(self, reference: FeatureReference, summary: FeatureSums, held: slice, /) -> Measurement:
        """See `detectors.calibration.LeavesOut`.

        Scale and bandwidth stay those of all reference rows, as they do when a window is measured.
        """
        del held  # whatever rows these are, their sums say all that they have added
        refuse_other(reference.digest, summary)
        return _measured(reference.sums.without(summary), summary)

    def witness(self, reference: FeatureReference, rows: Any, /) -> Values:
        """See `detectors.explanation.HasWitness`. It takes rows: their sums no longer know them."""

        def at(whole: Rows) -> Values:
            window = reference.map.summarise(reference.digest, whole)
            return reference.map.inner(whole, window.means() - reference.sums.means())

        return at_complete_rows(rows, reference.map.features, at)

    def test(self, reference: FeatureReference, summary: FeatureSums, /) -> DriftResult:
        measured, probability, method = self.measure(reference, summary), np.nan, "saddlepoint"
        if not np.isnan(measured.statistic[0]):
            probability, method = self._p_value(reference, summary, float(measured.statistic[0]))
        return DriftResult(
            detector=self.name,
            scope=self.scope,
            statistic=measured.statistic,
            p_value=np.array([probability]),
            effect=measured.effect,
            missing=np.array([summary.missing], dtype=np.int64),
            reference_count=reference.sums.rows,
            window_count=summary.count,
            method=method,
            seed=self.seed,
        )

    def _p_value(self, reference: FeatureReference, summary: FeatureSums, discrepancy: float) -> tuple[float, str]:
        """And how it was had; never less than a test of all permutations could give."""
        n, m = reference.sums.rows, summary.rows
        least = float(np.exp(gammaln(n + 1.0) + gammaln(m + 1.0) - gammaln(n + m + 1.0)))
        if not reference.kinds.doubtful(n, m):
            return min(1.0, max(least, reference.null.p_value(discrepancy, n, m))), "saddlepoint"
        distance, scatters = _distance(reference.sums, summary)
        seen = Seen(discrepancy - 2 * _rounding(n, m), distance, scatters[1] + _ROUNDED)
        seed = (self.seed, _OF_NULL, m, int(reference.digest.rpartition(":")[2], 16))
        return max(least, reference.kinds.p_value(seen, n, m, seed)), "resampling"


def _rounding(n: int, m: int) -> float:
    """What rounding may make of an MMD^2 of nothing."""
    return _ROUNDED * (1 / (n - 1) + 1 / (m - 1))


def _measured(reference: FeatureSums, window: FeatureSums) -> Measurement:
    """MMD^2: the squared distance of the means, less what it is on average for rows that are distributed alike."""
    if min(reference.rows, window.rows) < 2:
        return _NOTHING_MEASURED
    discrepancy, scatters = _distance(reference, window)
    for summary, scatter in zip((reference, window), scatters, strict=True):
        discrepancy -= scatter / (summary.rows - 1)
    if abs(discrepancy) <= _rounding(reference.rows, window.rows):
        discrepancy = 0.0
    return Measurement(
        statistic=np.array([discrepancy]),
        effect=np.array([np.sqrt(max(discrepancy, 0.0))]),
    )


def _distance(reference: FeatureSums, window: FeatureSums) -> tuple[float, tuple[float, float]]:
    """The squared distance of the means, and how much the rows of either scatter around theirs."""
    means = [summary.means() for summary in (reference, window)]
    frequencies = means[0].shape[1]
    first, second = (max(1 - float((mean**2).sum()) / frequencies, 0.0) for mean in means)
    return float(((means[1] - means[0]) ** 2).sum()) / frequencies, (first, second)
