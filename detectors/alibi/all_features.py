"""What its tests of all features together have in common, and the units that they see rows in."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from detectors.alibi import engine
from detectors.alibi.engine import Pair, Values, decided, seeded
from detectors.alibi.reference import AlibiReference
from detectors.arrays import Rows, backend_of, complete, frozen, is_torch_namespace, measurable_rows
from detectors.errors import TooFewRows
from detectors.identity import reference_digest, refuse_other
from detectors.results import DriftResult, Measurement, Scope
from detectors.sample import rows as samples
from detectors.sample.rows import RowSample

FARTHEST = 2.0**60
"""Beyond it nothing is told apart: what they keep as float32 can still be squared."""
_EXPONENTS = (-30, 50)  # within these powers of two, squares of what they keep as float32 are still numbers


class AllFeatures:
    """A test of all features together, on complete rows."""

    __slots__ = ()

    name: ClassVar[str]
    scope: ClassVar[Scope] = Scope.JOINT
    bounded: ClassVar[bool] = False
    least_rows: ClassVar[int] = 2
    """Of the reference and of the window."""

    seed: int

    def fit(self, rows: Any, /) -> AlibiReference:
        """Keep the complete rows; raises `EngineUnavailable`, `InvalidRows`, `TooFewRows`."""
        engine.alibi_detect()
        measurable = measurable_rows(rows)
        self._refuse_features(measurable.shape[1])
        kept = complete(measurable)
        if len(kept) < self._least_rows():
            raise TooFewRows(f"{len(kept)} complete reference rows, and at least {self._least_rows()} are needed")
        backend = backend_of(rows)
        device = backend.device if is_torch_namespace(backend.namespace) else "cpu"
        return AlibiReference(reference_digest(self, measurable), len(measurable), frozen(kept.copy()), device)

    def empty(self, reference: AlibiReference, /) -> RowSample:
        return samples.of(reference.digest, np.empty((0, reference.features)), reference.features)

    def summarise(self, reference: AlibiReference, rows: Any, /) -> RowSample:
        return samples.of(reference.digest, rows, reference.features)

    def restore(self, reference: AlibiReference, arrays: Mapping[str, NDArray[Any]], /) -> RowSample:
        return samples.restored(reference.digest, reference.features, arrays)

    def measure(self, reference: AlibiReference, summary: RowSample, /) -> Measurement:
        statistic, _ = self._pair(reference, summary, fewest=True)
        return Measurement(statistic=statistic, effect=self._effect(statistic))

    def test(self, reference: AlibiReference, summary: RowSample, /) -> DriftResult:
        statistic, p_value = self._pair(reference, summary, fewest=False)
        return DriftResult(
            detector=self.name,
            scope=self.scope,
            statistic=statistic,
            p_value=p_value,
            effect=self._effect(statistic),
            missing=np.array([summary.missing]),
            reference_count=len(reference.rows),
            window_count=summary.count,
            method="alibi-detect",
            seed=self.seed,
        )

    def _pair(self, reference: AlibiReference, summary: RowSample, *, fewest: bool) -> Pair:
        refuse_other(reference.digest, summary)
        if len(summary.rows) < self._least_rows():
            return np.full(1, np.nan), np.full(1, np.nan)
        rows, window = self._placed(reference.rows, samples.in_canonical_order(summary.rows))
        with seeded(self.seed, reference.device):
            data = self._prediction(engine.alibi_detect(), rows, window, reference.device, fewest=fewest)["data"]
        return decided(np.array([data["distance"]], dtype=np.float64), np.array([data["p_val"]], dtype=np.float64))

    def _placed(self, reference: Rows, window: Rows) -> tuple[Rows, Rows]:
        """As theirs is to see them."""
        return in_one_unit(reference, window)

    def _refuse_features(self, features: int) -> None:
        """Raise `InvalidRows` if the parameters need other columns."""

    def _least_rows(self) -> int:
        return self.least_rows

    @abstractmethod
    def _prediction(self, alibi: Any, reference: Rows, window: Rows, device: Any, *, fewest: bool) -> Any:
        """What theirs says of these rows, with the fewest permutations if only the distance is wanted."""

    def _effect(self, statistic: Values) -> Values:
        """The root of a squared distance, whose estimate may be negative."""
        return np.sqrt(np.maximum(statistic, 0))


def _exponents(largest: Values) -> NDArray[np.intc]:
    """The powers of two to divide by so that extreme magnitudes come near 1; 0 for all others."""
    exponents: NDArray[np.intc] = np.frexp(largest)[1]
    return np.where((exponents < _EXPONENTS[0]) | (exponents > _EXPONENTS[1]), exponents, 0)


def in_one_unit(reference: Rows, window: Rows) -> tuple[Rows, Rows]:
    """Both rows in the unit that all features share, unless the reference's magnitude is extreme."""
    exponents = _exponents(np.full(reference.shape[1], np.abs(reference).max()))
    return _scaled(reference, exponents), _scaled(window, exponents)


def each_in_its_unit(reference: Rows, window: Rows) -> tuple[Rows, Rows]:
    """The same, feature by feature, for what standardises them."""
    exponents = _exponents(np.abs(reference).max(axis=0))
    return _scaled(reference, exponents), _scaled(window, exponents)


def _scaled(rows: Rows, exponents: NDArray[np.intc]) -> Rows:
    """Divided by these powers of two, and not beyond what they can square."""
    with np.errstate(over="ignore", under="ignore"):
        return np.clip(np.ldexp(rows, -exponents), -FARTHEST, FARTHEST)
