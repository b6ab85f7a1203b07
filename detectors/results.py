"""What a detector says of a window: measurements, never decisions."""

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Scope(StrEnum):
    """What one number of a measurement speaks of."""

    FEATURE = "feature"
    """One number for each feature, in the order of the reference's columns."""
    JOINT = "joint"
    """One number for all features together."""


def _same(one: Any, other: Any) -> bool:
    """Whether two results of one class say the same; NaN is NaN."""
    if type(one) is not type(other):
        return False
    pairs = ((getattr(one, field.name), getattr(other, field.name)) for field in fields(one))
    return all(
        np.array_equal(mine, theirs, equal_nan=mine.dtype.kind == "f")
        if isinstance(mine, np.ndarray)
        else mine == theirs
        for mine, theirs in pairs
    )


@dataclass(frozen=True, slots=True, eq=False)
class Measurement:
    """How far a window is from its reference, without a probability (cheap; what calibration repeats many times)."""

    statistic: NDArray[np.float64]
    """Shape (features,) or (1,): the test statistic, in the detector's own unit; NaN where it cannot be measured."""
    effect: NDArray[np.float64]
    """Same shape: size of the difference on a scale that does not grow with the number of rows; 0 is none."""

    def __eq__(self, other: object, /) -> bool:
        return _same(self, other)

    def __hash__(self) -> int:
        return hash(self.statistic.shape)


@dataclass(frozen=True, slots=True, eq=False)
class DriftResult:
    """One detector's measurement of one window."""

    detector: str
    scope: Scope
    statistic: NDArray[np.float64]
    """Shape (features,) for `Scope.FEATURE`, (1,) for `Scope.JOINT`."""
    p_value: NDArray[np.float64]
    """Same shape: probability of a statistic at least this large if rows were independent and nothing had changed.

    NaN where there is too little to measure, and then nothing may be concluded."""
    effect: NDArray[np.float64]
    """Same shape: see `Measurement.effect`."""
    missing: NDArray[np.int64]
    """Same shape: window values (for `Scope.JOINT`, rows) left out because they, or a value in them, are missing."""
    reference_count: int
    """Reference rows that the test rested on."""
    window_count: int
    """Window rows that the test rested on, those that `missing` counts among them."""
    method: str
    """How the p-value was had, e.g. `kstwo` or `permutation`."""
    seed: int | None
    """Seed of the random choices made, if any: the same rows and seed give the same bits."""

    @property
    def undecided(self) -> NDArray[np.bool_]:
        """Same shape: where there was too little to measure."""
        return np.isnan(self.p_value)

    def __eq__(self, other: object, /) -> bool:
        return _same(self, other)

    def __hash__(self) -> int:
        return hash((self.detector, self.reference_count, self.window_count, self.method, self.seed))
