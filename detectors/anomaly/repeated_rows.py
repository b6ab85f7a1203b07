"""Repeated rows: whether more rows of a window are equal to another one of it than in the reference."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from detectors.anomaly.held_out import at_least
from detectors.anomaly.row_hash import Hashes, RowHash, repeated
from detectors.arrays import complete, frozen, measurable_rows
from detectors.errors import InvalidDocument, TooFewRows
from detectors.identity import reference_digest, refuse_other
from detectors.results import DriftResult, Measurement, Scope

_MOST_MISSING = 2**48


@dataclass(frozen=True, slots=True, eq=False)
class RepeatingReference:
    """How often the reference repeats itself."""

    digest: str
    count: int
    features: int
    row_hash: RowHash
    hashes: Hashes
    """Of its complete rows, ascending."""

    @property
    def repeated(self) -> int:
        """Rows that are equal to one before them."""
        return repeated(self.hashes)


@dataclass(frozen=True, slots=True, eq=False)
class HashedRows:
    """The rows' numbers."""

    reference_digest: str
    hashes: Hashes
    """Of complete rows, ascending."""
    missing: int
    """Rows with a missing value."""

    @property
    def count(self) -> int:
        """Rows summarised."""
        return len(self.hashes) + self.missing

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        return {"hashes": self.hashes, "missing": np.array(self.missing, dtype=np.int64)}

    def __add__(self, other: Self, /) -> Self:
        refuse_other(self.reference_digest, other)
        together = frozen(np.sort(np.concatenate([self.hashes, other.hashes])))
        return type(self)(self.reference_digest, together, self.missing + other.missing)

    def __eq__(self, other: object, /) -> bool:
        if not isinstance(other, HashedRows):
            return NotImplemented
        same = (self.reference_digest, self.missing) == (other.reference_digest, other.missing)
        return same and np.array_equal(self.hashes, other.hashes)

    def __hash__(self) -> int:
        return hash((self.reference_digest, self.count, self.missing))


@dataclass(frozen=True, slots=True)
class RepeatedRows:
    """Statistic: the share of window rows that are equal to one before them. Effect: what that is above the reference.

    Rows are told apart by `detectors.anomaly.row_hash`. P-value: a beta-binomial, as if each row of the reference were
    as likely to repeat one as each of the window; the more rows there are the more do, so that it is conservative for
    windows that are shorter than the reference. Rows with a missing value are left out.
    """

    name: ClassVar[str] = "repeated_rows"
    scope: ClassVar[Scope] = Scope.JOINT
    bounded: ClassVar[bool] = False

    def fit(self, rows: Any, /) -> RepeatingReference:
        """Count the reference's own; raises `InvalidRows`, `TooFewRows`."""
        measurable = measurable_rows(rows)
        whole = complete(measurable)
        if not len(whole):
            raise TooFewRows("no reference rows without missing values, and at least 1 is needed")
        row_hash = RowHash.keyed_by(measurable)
        hashes = frozen(np.sort(row_hash(whole)))
        digest = reference_digest(self, measurable)
        return RepeatingReference(digest, len(measurable), measurable.shape[1], row_hash, hashes)

    def empty(self, reference: RepeatingReference, /) -> HashedRows:
        return self.summarise(reference, np.empty((0, reference.features)))

    def summarise(self, reference: RepeatingReference, rows: Any, /) -> HashedRows:
        measurable = measurable_rows(rows, features=reference.features)
        whole = complete(measurable)
        hashes = frozen(np.sort(reference.row_hash(whole)))
        return HashedRows(reference.digest, hashes, len(measurable) - len(whole))

    def restore(self, reference: RepeatingReference, arrays: Mapping[str, NDArray[Any]], /) -> HashedRows:
        if arrays.keys() != {"hashes", "missing"}:
            raise InvalidDocument(f"numbers of rows are hashes and missing, not {sorted(arrays)}")
        hashes, missing = arrays["hashes"], arrays["missing"]
        if hashes.dtype != np.uint64 or hashes.ndim != 1 or (hashes[1:] < hashes[:-1]).any():
            raise InvalidDocument("the hashes are not ascending unsigned 64-bit integers")
        if missing.dtype != np.int64 or missing.shape != () or not 0 <= missing <= _MOST_MISSING:
            raise InvalidDocument("the count of missing rows is no count")
        return HashedRows(reference.digest, frozen(hashes.copy()), int(missing))

    def measure(self, reference: RepeatingReference, summary: HashedRows, /) -> Measurement:
        refuse_other(reference.digest, summary)
        rows = len(summary.hashes)
        if not rows:
            return Measurement(np.array([np.nan]), np.array([np.nan]))
        share = repeated(summary.hashes) / rows
        ordinary = reference.repeated / len(reference.hashes)
        return Measurement(np.array([share]), np.array([max(0.0, share - ordinary)]))

    def measure_held_out(self, reference: RepeatingReference, summary: HashedRows, _held: slice, /) -> Measurement:
        """See `detectors.calibration.LeavesOut`: the statistic is of the rows alone."""
        return self.measure(reference, summary)

    def test(self, reference: RepeatingReference, summary: HashedRows, /) -> DriftResult:
        measured = self.measure(reference, summary)
        return DriftResult(
            detector=self.name,
            scope=self.scope,
            statistic=measured.statistic,
            p_value=np.array([_p_value(reference, summary, measured)]),
            effect=measured.effect,
            missing=np.array([summary.missing]),
            reference_count=len(reference.hashes),
            window_count=summary.count,
            method="exchangeability",
            seed=None,
        )


def _p_value(reference: RepeatingReference, summary: HashedRows, measured: Measurement) -> float:
    if not len(summary.hashes):
        return float("nan")
    if measured.effect[0] == 0:
        return 1.0
    return at_least(repeated(summary.hashes), len(summary.hashes), reference.repeated + 1, len(reference.hashes))
