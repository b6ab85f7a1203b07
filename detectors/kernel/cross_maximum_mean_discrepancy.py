"""Cross maximum mean discrepancy: whether all features together are distributed as they were, without permutations.

S. Shekhar, I. Kim and A. Ramdas, "A permutation-free kernel two-sample test" (NeurIPS 2022). Both samples are split in
two halves. The second ones give a function that is large where the reference has more rows than the window; the first
ones tell by how much its mean differs between them. That is an ordinary two-sample problem of single numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, stdtr

from detectors.arrays import Backend, Rows, backend_of, complete, frozen, measurable_rows
from detectors.errors import TooFewRows
from detectors.identity import reference_digest, refuse_other
from detectors.kernel.gaussian import Frame, median_bandwidth
from detectors.kernel.tiles import mean_kernel
from detectors.kernel.witness import at_complete_rows, witness
from detectors.parameters import MAXIMUM_SEED, positive_number, whole_number, yes_or_no
from detectors.results import DriftResult, Measurement, Scope
from detectors.sample import rows as samples
from detectors.sample.rows import Positions, RowSample

MAXIMUM_ROWS = 100_000
MINIMUM_ROWS = 4
"""Of the reference, and of the window: a half of two rows has a variance."""

_LARGEST = 1e6  # deviations: what is measured where nothing deviates, and still finite
_ROUNDED = 1e-12  # of a kernel that is at most 1: a smaller deviation is what adding its values has left

_OF_REFERENCE, _OF_WINDOW = 6, 7  # streams of random numbers of their own

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Halves:
    """Rows in two halves."""

    first: Rows
    """Placed; one row more, of an odd number."""
    second: Rows
    origins: tuple[Positions, Positions]
    """Where they came from, among the rows that were split."""

    @classmethod
    def of(cls, frame: Frame, rows: Rows, limit: int, stream: tuple[int, int]) -> Self:
        """Of at most `limit` rows; which ones, and which half, the rows and the stream determine.

        The rows are in canonical order, so were it the same draw for all rows, the halves would hold the same ranks of
        the first feature for ever, and not be two independent samples.
        """
        order = samples.at_most(rows, len(rows), stream)
        content = rows[order] + 0.0  # which has no negative zeros: they are equal to the others
        seed = *stream, int.from_bytes(sha256(content.tobytes()).digest(), "little")
        shuffled = order[np.random.default_rng(seed).permutation(len(order))[:limit]]
        middle = (len(shuffled) + 1) // 2
        origins = shuffled[:middle], shuffled[middle:]
        return cls(frozen(frame.place(rows[origins[0]])), frozen(frame.place(rows[origins[1]])), origins)


@dataclass(frozen=True, slots=True, eq=False)
class CrossReference:
    """The reference's halves, and the kernel between them."""

    digest: str
    count: int
    backend: Backend
    """Where kernels are computed."""
    frame: Frame
    bandwidth: float
    """Sigma: in standardised units, or without standardising in the rows' own."""
    halves: Halves
    """With the reference's own positions as origins."""
    near: Values
    """Shape (rows of the first half,): each one's mean kernel with the second half."""

    @property
    def features(self) -> int:
        """Columns of the reference."""
        return int(self.halves.first.shape[1])

    @property
    def used(self) -> int:
        """Reference rows that tests rest on."""
        return len(self.halves.first) + len(self.halves.second)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The witness of the second halves, at the rows of the first ones."""

    reference: Values
    window: Values

    @property
    def discrepancy(self) -> float:
        """An unbiased estimate of MMD^2: the inner product of two independent estimates of the difference."""
        return float(self.reference.mean() - self.window.mean())

    @property
    def studentised(self) -> float:
        """The same in units of its deviation."""
        if self._deviation > _ROUNDED:
            return float(np.clip(self.discrepancy / self._deviation, -_LARGEST, _LARGEST))
        return _LARGEST if self.discrepancy > _ROUNDED else 0.0

    @property
    def p_value(self) -> float:
        """By Student's t-test, corrected for skewness where that makes large values likelier.

        P. Hall, "On the Removal of Skewness by Transformation", Journal of the Royal Statistical Society B 54 (1992),
        eq. 2.5, with the skewness of the difference. Never less than a test of all permutations of the first halves
        could give.
        """
        n, m = self._counts
        least = float(np.exp(gammaln(n + 1.0) + gammaln(m + 1.0) - gammaln(n + m + 1.0)))
        if self._deviation <= _ROUNDED:
            return least if self.discrepancy > _ROUNDED else 1.0
        deviations, skewness = self.studentised, max(self._skewness, 0.0)
        corrected = deviations - skewness / 6 * (deviations**2 - 1) + skewness**2 / 108 * deviations**3
        return max(least, float(stdtr(n + m - 2.0, -corrected)))

    @property
    def _deviation(self) -> float:
        """Of the discrepancy while nothing changes, given the second halves.

        The variance is then one for both first halves, and estimated from both. A window of few rows may well hold none
        of the kind that varies, and says nothing of it then.
        """
        n, m = self._counts
        squares = float(self.reference.var()) * n + float(self.window.var()) * m
        return float(np.sqrt(squares / (n + m - 2) * (1 / n + 1 / m)))

    @property
    def _counts(self) -> tuple[int, int]:
        return len(self.reference), len(self.window)

    @property
    def _skewness(self) -> float:
        """Of the discrepancy, while nothing changes."""
        n, m = self._counts
        values = np.concatenate([self.reference, self.window])
        values -= values.mean()
        deviation = float(np.sqrt((values**2).mean()))
        if deviation <= _ROUNDED:
            return 0.0
        of_one, counts = float(((values / deviation) ** 3).mean()), 1 / n + 1 / m
        return of_one * (1 / n**2 - 1 / m**2) / (counts * float(np.sqrt(counts)))


@dataclass(frozen=True, slots=True)
class CrossMaximumMeanDiscrepancy:
    """Statistic: the cross-MMD^2 in units of its deviation. Effect: its square root before that, or 0 where negative.

    While nothing changes, the statistic is standard normal for many rows, whatever the kernel, the number of features
    and the distribution of the rows. For few it is closer to Student's t, which is what its numbers are compared with.
    The variance is that of both first halves together: while nothing changes they have one, and that of a small window
    alone is nothing to go by where rows of one kind are rare. The p-value is corrected for skewness, in which such rows
    show. No permutations are needed, at the price of some power: the halves of each sample
    are compared with one another only. Rows with a missing value are left out.
    """

    name: ClassVar[str] = "cross_maximum_mean_discrepancy"
    scope: ClassVar[Scope] = Scope.JOINT
    bounded: ClassVar[bool] = False

    seed: int = 0
    """Determines the halves, and which rows are used of more than the following."""
    standardise: bool = True
    """Divide every feature by the deviation of its bulk in the reference, so that none counts more for its unit."""
    maximum_reference_rows: int = 10_000
    """Of more, a random choice is used; cost grows with the product of this and the next."""
    maximum_window_rows: int = 10_000
    """The same for the window."""
    bandwidth: float | None = None
    """Sigma of the kernel; without one, the median heuristic on the reference."""

    def __post_init__(self) -> None:
        whole_number("seed", self.seed, at_least=0, at_most=MAXIMUM_SEED)
        yes_or_no("standardise", self.standardise)
        for parameter in ("maximum_reference_rows", "maximum_window_rows"):
            whole_number(parameter, getattr(self, parameter), at_least=MINIMUM_ROWS, at_most=MAXIMUM_ROWS)
        if self.bandwidth is not None:
            object.__setattr__(self, "bandwidth", positive_number("bandwidth", self.bandwidth))

    def work_of_fitting(self, rows: int, features: int, /) -> int:
        """See `detectors.protocols.WorksHarder`: the kernel between the halves of the chosen rows."""
        return min(rows, self.maximum_reference_rows) ** 2 * (1 + features // 32) // 4

    def fit(self, rows: Any, /) -> CrossReference:
        """Choose scale, bandwidth and halves; raises `InvalidRows`, `TooFewRows`."""
        measurable, backend = measurable_rows(rows), backend_of(rows)
        whole = complete(measurable)
        if len(whole) < MINIMUM_ROWS:
            raise TooFewRows(f"{len(whole)} complete reference rows, and at least {MINIMUM_ROWS} are needed")
        frame = Frame.around(whole, standardise=self.standardise, length=self.bandwidth or 0.0)
        unit = 1.0 if self.standardise else frame.unit()
        placed = frame.place(whole)
        bandwidth = median_bandwidth(placed, seed=self.seed) if self.bandwidth is None else self.bandwidth / unit
        frame = frame.within(bandwidth)
        halves = Halves.of(frame, whole, self.maximum_reference_rows, (self.seed, _OF_REFERENCE))
        origins = np.flatnonzero(~np.isnan(measurable).any(axis=1))
        first, second = (frozen(origins[positions]) for positions in halves.origins)
        return CrossReference(
            digest=reference_digest(self, measurable),
            count=len(measurable),
            backend=backend,
            frame=frame,
            bandwidth=bandwidth * unit,
            halves=Halves(halves.first, halves.second, (first, second)),
            near=frozen(mean_kernel(backend, halves.first, halves.second)),
        )

    def empty(self, reference: CrossReference, /) -> RowSample:
        return samples.of(reference.digest, np.empty((0, reference.features)), reference.features)

    def summarise(self, reference: CrossReference, rows: Any, /) -> RowSample:
        return samples.of(reference.digest, rows, reference.features)

    def restore(self, reference: CrossReference, arrays: Mapping[str, NDArray[Any]], /) -> RowSample:
        return samples.restored(reference.digest, reference.features, arrays)

    def measure(self, reference: CrossReference, summary: RowSample, /) -> Measurement:
        return _measurement(self._compared(reference, summary))

    def measure_held_out(self, reference: CrossReference, summary: RowSample, held: slice, /) -> Measurement:
        """See `detectors.calibration.LeavesOut`.

        Scale, bandwidth and halves stay those of all reference rows: the held ones are taken out of their halves.
        """
        refuse_other(reference.digest, summary)
        first, second = ((rows < held.start) | (rows >= held.stop) for rows in reference.halves.origins)
        if min(first.sum(), second.sum()) < MINIMUM_ROWS // 2:
            return _measurement(None)
        halves = reference.halves
        left, others = halves.first[first], halves.second[second]
        near = reference.near[first]
        gone = halves.second[~second]
        if len(gone):  # the mean over the others follows from that over all
            near = (near * len(halves.second) - mean_kernel(reference.backend, left, gone) * len(gone)) / len(others)
        return _measurement(self._between(reference, summary, left, others, near))

    def witness(self, reference: CrossReference, rows: Any, /) -> Values:
        """See `detectors.explanation.HasWitness`. Between all rows: halves are for what is tested."""

        def at(whole: Rows) -> Values:
            chosen = samples.at_most(whole, self.maximum_window_rows, (self.seed, _OF_WINDOW))
            both = np.concatenate([reference.halves.first, reference.halves.second])
            return witness(reference.backend, reference.frame.place(whole), chosen, both)

        return at_complete_rows(rows, reference.features, at)

    def test(self, reference: CrossReference, summary: RowSample, /) -> DriftResult:
        compared = self._compared(reference, summary)
        measured = _measurement(compared)
        return DriftResult(
            detector=self.name,
            scope=self.scope,
            statistic=measured.statistic,
            p_value=np.array([np.nan if compared is None else compared.p_value]),
            effect=measured.effect,
            missing=np.array([summary.missing], dtype=np.int64),
            reference_count=reference.used,
            window_count=min(len(summary.rows), self.maximum_window_rows) + summary.missing,
            method="student",
            seed=self.seed,
        )

    def _compared(self, reference: CrossReference, summary: RowSample) -> Comparison | None:
        refuse_other(reference.digest, summary)
        return self._between(reference, summary, reference.halves.first, reference.halves.second, reference.near)

    def _between(
        self, reference: CrossReference, summary: RowSample, first: Rows, second: Rows, near: Values
    ) -> Comparison | None:
        """With these halves of the reference; None for too few window rows."""
        if len(summary.rows) < MINIMUM_ROWS:
            return None
        window = Halves.of(reference.frame, summary.rows, self.maximum_window_rows, (self.seed, _OF_WINDOW))
        backend = reference.backend
        return Comparison(
            reference=near - mean_kernel(backend, first, window.second),
            window=mean_kernel(backend, window.first, second) - mean_kernel(backend, window.first, window.second),
        )


def _measurement(compared: Comparison | None) -> Measurement:
    if compared is None:
        return Measurement(statistic=np.array([np.nan]), effect=np.array([np.nan]))
    return Measurement(
        statistic=np.array([compared.studentised]),
        effect=np.array([np.sqrt(max(compared.discrepancy, 0.0))]),
    )
