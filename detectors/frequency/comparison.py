"""Reference and window side by side: for each feature a table of two rows and as many columns as there are cells."""

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from detectors.arrays import Rows
from detectors.frequency import counts
from detectors.frequency.cells import Cells
from detectors.frequency.counts import Counts, Integers
from detectors.identity import reference_digest, refuse_other
from detectors.protocols import Detector
from detectors.results import DriftResult, Measurement

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class FrequencyReference:
    """The reference's cells, and how many of its values are in each."""

    digest: str
    count: int
    cells: Cells
    known: Integers
    """For each cell, the reference values in it."""
    missing: Integers
    """Shape (features,): reference values that are missing."""


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """The tables of all features in a row, without cells that are empty in both samples."""

    owners: NDArray[np.intp]
    """For each cell, its feature."""
    reference: Values
    """For each cell, the reference values in it."""
    window: Values
    lumped: NDArray[np.bool_]
    """For each cell: it holds window values that are not told apart."""
    fixed: NDArray[np.bool_]
    """For each cell: it is an interval, and there whether the reference has values in it or not."""
    reference_total: Values
    """Shape (features,): reference values that are not missing."""
    window_total: Values

    def together(self) -> Self:
        """With one cell for all of a feature's categories that the reference does not have."""
        unseen = (self.reference == 0) & ~self.fixed
        if not unseen.any():
            return self
        values = np.bincount(self.owners[unseen], weights=self.window[unseen], minlength=len(self.window_total))
        concerned = np.flatnonzero(values)
        added = np.zeros(len(concerned), dtype=np.bool_)

        def followed(cells: NDArray[Any], more: NDArray[Any]) -> NDArray[Any]:
            return np.concatenate([cells[~unseen], more])

        return replace(
            self,
            owners=followed(self.owners, concerned),
            reference=followed(self.reference, np.zeros(len(concerned))),
            window=followed(self.window, values[concerned]),
            lumped=followed(self.lumped, ~added),
            fixed=followed(self.fixed, added),
        )

    @property
    def decided(self) -> NDArray[np.bool_]:
        """Shape (features,): both samples have values."""
        return (self.reference_total > 0) & (self.window_total > 0)

    @property
    def freedom(self) -> NDArray[np.int64]:
        """Shape (features,): degrees of freedom, the cells less one."""
        return np.bincount(self.owners, minlength=len(self.window_total)) - 1

    def shares(self) -> tuple[Values, Values]:
        """For each cell, its share of the reference's values and of the window's; 0 where there are none."""
        totals = np.maximum(self.reference_total, 1), np.maximum(self.window_total, 1)
        return self.reference / totals[0][self.owners], self.window / totals[1][self.owners]

    def smoothed(self) -> tuple[Values, Values]:
        """The shares with one value more per cell in each sample, spread over the cells as both together are.

        None is 0, and equal shares stay equal.
        """
        n, m, added = (each[self.owners] for each in (self.reference_total, self.window_total, self.freedom + 1))
        together = added * (self.reference + self.window) / (n + m)
        return (self.reference + together) / (n + added), (self.window + together) / (m + added)

    def smoothed_variances(self) -> tuple[Values, Values]:
        """Shape (features,): for reference and window, the variance of smoothed shares over that of one value's.

        Without smoothing these were 1 / n and 1 / m; k values more scale a share's deviation by n / (n + k).
        """
        added, n, m = self.freedom + 1, self.reference_total, self.window_total
        return n / np.maximum(n + added, 1) ** 2, m / np.maximum(m + added, 1) ** 2

    def inverse_shares(self) -> Values:
        """Shape (features,): the sum of 1 / r over the cells, r being their shares of both samples together."""
        total = self.reference_total + self.window_total
        return self.summed(total[self.owners] / (self.reference + self.window))

    def summed(self, terms: Values) -> Values:
        """The sum over each feature's cells."""
        return np.asarray(np.bincount(self.owners, weights=terms, minlength=len(self.window_total)), dtype=np.float64)

    def law(self, statistics: Values) -> Values:
        """P(chi-square >= statistic) at each feature's degrees of freedom; 1 where there is but one cell.

        So there is no telling whether a feature changed that is one interval; NaN where a sample has no values.
        """
        varied = self.freedom > 0
        return np.where(varied, chdtrc(np.maximum(self.freedom, 1), statistics), np.where(self.decided, 1.0, np.nan))


def fit(detector: Any, rows: Rows, cells: Cells) -> FrequencyReference:
    """Count the reference, which was checked."""
    digest = reference_digest(detector, rows)
    counted = counts.of(digest, cells, rows)
    return FrequencyReference(digest, len(rows), cells, counted.known, counted.missing)


def tables(reference: FrequencyReference, summary: Counts, *, held_out: bool = False) -> Tables:
    """The window beside the reference; beside the rest of it, if the window was a part of it."""
    refuse_other(reference.digest, summary)
    known, missing, count = reference.known, reference.missing, reference.count
    if held_out:
        known, missing, count = known - summary.known, missing - summary.missing, count - summary.count
    features = np.arange(len(missing))
    owners = np.concatenate([reference.cells.owners, summary.unseen_features, features])
    unseen = np.zeros(len(summary.unseen_features) + len(features), dtype=np.int64)
    of_reference = np.concatenate([known, unseen])
    of_window = np.concatenate([summary.known, summary.unseen_counts, summary.others])
    used = of_reference + of_window > 0
    lumped = np.arange(len(owners)) >= len(owners) - len(features)
    fixed = np.zeros(len(owners), dtype=np.bool_)
    fixed[: len(known)] = reference.cells.covering[reference.cells.owners]
    return Tables(
        owners=owners[used],
        reference=of_reference[used].astype(np.float64),
        window=of_window[used].astype(np.float64),
        lumped=lumped[used],
        fixed=fixed[used],
        reference_total=(count - missing).astype(np.float64),
        window_total=summary.measured.astype(np.float64),
    )


def measurement(decided: NDArray[np.bool_], statistic: Values, effect: Values) -> Measurement:
    """NaN where nothing could be compared."""
    return Measurement(np.where(decided, statistic, np.nan), np.where(decided, effect, np.nan))


def result(
    detector: Detector[Any, Any],
    reference_count: int,
    summary: Counts,
    measured: Measurement,
    p_value: Values,
    method: str,
    seed: int | None = None,
) -> DriftResult:
    """The measurement with its p-value; NaN where nothing was measured."""
    return DriftResult(
        detector=detector.name,
        scope=detector.scope,
        statistic=measured.statistic,
        p_value=np.where(np.isnan(measured.statistic), np.nan, p_value),
        effect=measured.effect,
        missing=summary.missing,
        reference_count=reference_count,
        window_count=summary.count,
        method=method,
        seed=seed,
    )
