"""What an online detector says of a row, and of many rows at once: measurements against thresholds fixed beforehand."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.results import Scope

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class OnlineResult:
    """What is known after one row."""

    detector: str
    scope: Scope
    row: int
    """The number of the row since the start; the first is 1."""
    statistic: Values
    """Shape (statistics, k), k being the number of features or 1; NaN while there is too little to measure, and once
    nothing was measured in the latest `silent_after` rows."""
    threshold: Values
    """Same shape: what was learnt for the stated expected run time; NaN where the reference could not teach it."""

    @property
    def alarm(self) -> bool:
        """Whether anything lies above its threshold."""
        return bool((self.statistic > self.threshold).any())

    @property
    def features(self) -> tuple[int, ...]:
        """The features above a threshold, ascending; none for `Scope.JOINT`, which speaks of all together."""
        if self.scope is Scope.JOINT:
            return ()
        return tuple(np.flatnonzero((self.statistic > self.threshold).any(axis=0)).tolist())

    @property
    def undecided(self) -> NDArray[np.bool_]:
        """Same shape: where there was too little to measure, nothing was measured lately, or there is no threshold."""
        return np.isnan(self.statistic) | np.isnan(self.threshold)


@dataclass(frozen=True, slots=True, eq=False)
class OnlineResults:
    """What is known after each of several rows."""

    detector: str
    scope: Scope
    first_row: int
    """The number of the first of them since the start."""
    statistic: Values
    """Shape (rows, statistics, k)."""
    threshold: Values
    """Shape (statistics, k)."""

    def __len__(self) -> int:
        return len(self.statistic)

    def __getitem__(self, row: int, /) -> OnlineResult:
        position = range(len(self))[row]
        statistic = self.statistic[position]
        return OnlineResult(self.detector, self.scope, self.first_row + position, statistic, self.threshold)

    @property
    def alarms(self) -> NDArray[np.bool_]:
        """Shape (rows,): after which rows anything lay above its threshold."""
        return np.asarray((self.statistic > self.threshold).any(axis=(1, 2)))

    @property
    def first_alarm(self) -> OnlineResult | None:
        """The earliest result with an alarm."""
        alarms = self.alarms
        return self[int(alarms.argmax())] if alarms.any() else None
