"""What its tests of one feature at a time have in common."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from detectors.alibi import engine
from detectors.alibi.engine import Pair, Values, decided, seeded
from detectors.alibi.reference import AlibiReference
from detectors.arrays import Rows, frozen, measurable_rows
from detectors.errors import InvalidDocument, TooFewRows
from detectors.identity import reference_digest, refuse_other
from detectors.results import DriftResult, Measurement, Scope


@dataclass(frozen=True, slots=True, eq=False)
class SortedColumns:
    """The values of each feature in ascending order, and NaN for those that are missing: all that one feature needs."""

    reference_digest: str
    values: Values
    """Shape (features, rows), read-only."""

    @property
    def count(self) -> int:
        """Rows summarised."""
        return int(self.values.shape[1])

    @classmethod
    def of(cls, digest: str, rows: Rows) -> Self:
        """Each column on its own."""
        return cls(digest, _ascending(rows.T))

    def arrays(self) -> Mapping[str, NDArray[Any]]:
        return {"values": self.values}

    def __add__(self, other: Self, /) -> Self:
        refuse_other(self.reference_digest, other)
        return type(self)(self.reference_digest, _ascending(np.hstack([self.values, other.values])))

    def __eq__(self, other: object, /) -> bool:
        if not isinstance(other, SortedColumns):
            return NotImplemented
        same = np.array_equal(self.values, other.values, equal_nan=True)
        return self.reference_digest == other.reference_digest and same

    def __hash__(self) -> int:
        return hash((self.reference_digest, self.values.shape))


class EachFeature:
    """A test of one feature at a time, all of them in one call as far as no value is missing."""

    __slots__ = ()

    name: ClassVar[str]
    scope: ClassVar[Scope] = Scope.FEATURE
    bounded: ClassVar[bool] = False

    def fit(self, rows: Any, /) -> AlibiReference:
        """Keep the rows; raises `EngineUnavailable`, `InvalidRows`, `TooFewRows`."""
        engine.alibi_detect()
        measurable = measurable_rows(rows)
        self._refuse_features(measurable.shape[1])
        if not len(measurable):
            raise TooFewRows("no reference rows, and at least 1 is needed")
        return AlibiReference(reference_digest(self, measurable), len(measurable), frozen(measurable.copy()), "cpu")

    def empty(self, reference: AlibiReference, /) -> SortedColumns:
        return SortedColumns.of(reference.digest, np.empty((0, reference.features)))

    def summarise(self, reference: AlibiReference, rows: Any, /) -> SortedColumns:
        return SortedColumns.of(reference.digest, measurable_rows(rows, features=reference.features))

    def restore(self, reference: AlibiReference, arrays: Mapping[str, NDArray[Any]], /) -> SortedColumns:
        if arrays.keys() != {"values"}:
            raise InvalidDocument(f"sorted columns hold values, not {sorted(arrays)}")
        values = arrays["values"]
        if values.dtype != np.float64 or values.ndim != 2 or len(values) != reference.features:
            raise InvalidDocument(f"the values are {values.dtype} of shape {values.shape}, not float64 by feature")
        missing = np.isnan(values)
        numbers = np.where(missing, np.inf, values)
        if np.isinf(values).any() or (numbers[:, 1:] < numbers[:, :-1]).any():
            raise InvalidDocument("the values are not finite and ascending, the missing ones last")
        if (values[missing].view(np.uint64) != np.array(np.nan).view(np.uint64)).any():
            raise InvalidDocument("not every missing value is spelt the same")
        return SortedColumns(reference.digest, frozen(values.copy()))

    def measure(self, reference: AlibiReference, summary: SortedColumns, /) -> Measurement:
        statistic, _ = self._pair(reference, summary)
        return Measurement(statistic=statistic, effect=self._effect(statistic, reference, summary))

    def test(self, reference: AlibiReference, summary: SortedColumns, /) -> DriftResult:
        statistic, p_value = self._pair(reference, summary)
        return DriftResult(
            detector=self.name,
            scope=self.scope,
            statistic=statistic,
            p_value=p_value,
            effect=self._effect(statistic, reference, summary),
            missing=np.isnan(summary.values).sum(axis=1, dtype=np.int64),
            reference_count=reference.count,
            window_count=summary.count,
            method="alibi-detect",
            seed=None,
        )

    def _pair(self, reference: AlibiReference, summary: SortedColumns) -> Pair:
        refuse_other(reference.digest, summary)
        ours, theirs = ~np.isnan(reference.rows.T), ~np.isnan(summary.values)
        whole = ours.all(axis=1) & theirs.all(axis=1) & (summary.count > 0)
        measured = np.full((2, reference.features), np.nan)
        if whole.any():
            columns = np.flatnonzero(whole)
            measured[:, columns] = self._predicted(reference.rows[:, columns], summary.values[columns].T, columns)
        for column in np.flatnonzero(~whole & ours.any(axis=1) & theirs.any(axis=1)):
            one = np.array([column])
            present = reference.rows[ours[column]][:, one], summary.values.T[theirs[column]][:, one]
            measured[:, one] = self._predicted(*present, one)
        return decided(measured[0], measured[1])

    def _predicted(self, reference: Rows, window: Rows, columns: NDArray[np.intp]) -> Pair:
        with seeded(0, "cpu"):
            data = self._engine(engine.alibi_detect(), reference.copy(), columns).predict(window.copy())["data"]
        return np.asarray(data["distance"], dtype=np.float64), np.asarray(data["p_val"], dtype=np.float64)

    def _refuse_features(self, features: int) -> None:
        """Raise `InvalidRows` if the parameters need other columns."""

    @abstractmethod
    def _engine(self, alibi: Any, reference: Rows, columns: NDArray[np.intp]) -> Any:
        """Their detector for these rows, which are these of our columns."""

    def _effect(self, statistic: Values, _reference: AlibiReference, _summary: SortedColumns) -> Values:
        return statistic


def _ascending(columns: Values) -> Values:
    """Each line sorted, NaN last; numpy 1 gives them other bits in passing."""
    ordered = np.sort(columns, axis=1)
    ordered[np.isnan(ordered)] = np.nan
    return frozen(ordered)
