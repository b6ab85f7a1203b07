"""Streams whose truth is known: a reference, calm windows, and windows after a change that somebody planted."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

Rows = NDArray[np.float64]
Change = Callable[[Rows, int], Rows]
"""From a window's rows and its number after the change, 1 for the first, to the changed rows."""

WINDOW_ROWS = 500
REFERENCE_WINDOWS = 50


def unchanged(rows: Rows, _number: int) -> Rows:
    return rows


def shifted(rows: Rows, _number: int) -> Rows:
    """The first feature by half a standard deviation."""
    return rows + 0.5 * (np.arange(rows.shape[1]) == 0)


def drifting(rows: Rows, number: int) -> Rows:
    """The first feature by 0.01 standard deviations more in every window."""
    return rows + 0.01 * number * (np.arange(rows.shape[1]) == 0)


def correlated(rows: Rows, _number: int) -> Rows:
    """Features in pairs, 0.6 within each; every feature by itself is what it was."""
    changed = rows.copy()
    changed[:, 1::2] = 0.6 * rows[:, 0::2] + 0.8 * rows[:, 1::2]
    return changed


@dataclass(frozen=True, slots=True)
class Kind:
    """What streams of one kind are made of; features have mean 0 and deviation 1."""

    name: str
    features: int
    calm: int
    """Windows before the change."""
    changed: int = 0
    """Windows after it."""
    change: Change = unchanged
    memory: float = 0.0
    """Correlation of a value with the one before it: AR(1)."""

    def reference_and_windows(self, seed: int) -> tuple[Rows, Iterator[Rows]]:
        """One stream: what comes first is the reference."""
        generator = np.random.default_rng([seed, self.features, self.calm, self.changed])
        pieces = self._pieces(generator)
        reference = np.concatenate([next(pieces) for _ in range(REFERENCE_WINDOWS)])
        return reference, self._windows(pieces)

    def _windows(self, pieces: Iterator[Rows]) -> Iterator[Rows]:
        for number in range(1 - self.calm, 1 + self.changed):
            rows = next(pieces)
            yield rows if number <= 0 else self.change(rows, number)

    def _pieces(self, generator: np.random.Generator) -> Iterator[Rows]:
        state = generator.normal(size=(1, self.features)) * self.memory
        noise = np.sqrt(1 - self.memory**2)
        while True:
            rows = generator.normal(size=(WINDOW_ROWS, self.features))
            if self.memory:
                rows, state = lfilter([noise], [1, -self.memory], rows, axis=0, zi=state)
            yield rows


INDEPENDENT = Kind("independent", features=100, calm=1000)
AUTOREGRESSIVE = Kind("autoregressive", features=20, calm=1000, memory=0.9)
SHIFT = Kind("shift", features=20, calm=20, changed=20, change=shifted)
COVARIANCE = Kind("covariance", features=10, calm=20, changed=20, change=correlated)
SLOW = Kind("slow drift", features=20, calm=20, changed=40, change=drifting)
