"""Lognormal rows whose features go together, and what poisoners do to some of them."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]
Attack = Callable[["Source", Rows], Rows]
FEATURES = 20


class Source:
    """Twenty lognormal features, each correlated with its neighbours (0.8 to the next one)."""

    def __init__(self, seed: int) -> None:
        self.generator = np.random.default_rng(seed)
        places = np.arange(FEATURES)
        self._root = np.linalg.cholesky(0.8 ** np.abs(places[:, np.newaxis] - places))

    def rows(self, count: int) -> Rows:
        """Independent ones."""
        return np.asarray(np.exp(self.generator.normal(size=(count, FEATURES)) @ self._root.T))


def stuck(_source: Source, rows: Rows) -> Rows:
    """At the medians, which is where a model is least surprised; as many digits as a sensor has do not help."""
    return np.tile(np.median(rows, axis=0), (len(rows), 1))


def broken(source: Source, rows: Rows) -> Rows:
    """Every value is ordinary, and they come from different rows."""
    return np.asarray(source.generator.permuted(rows, axis=0))


def far(source: Source, rows: Rows) -> Rows:
    """One feature eight of its deviations up."""
    changed, feature = rows.copy(), source.generator.integers(FEATURES)
    changed[:, feature] += 8 * rows[:, feature].std()
    return changed


def replayed(_source: Source, rows: Rows) -> Rows:
    """The first of them, over and over."""
    return np.tile(rows[:1], (len(rows), 1))


ATTACKS: Mapping[str, Attack] = {
    "stuck": stuck,
    "broken correlation": broken,
    "one feature 8 sd": far,
    "replay": replayed,
}


def poisoned(source: Source, rows: Rows, attack: Attack, share: float) -> Rows:
    """The rows, of which the first are what the attack makes of ordinary ones."""
    changed, count = rows.copy(), round(share * len(rows))
    changed[:count] = attack(source, source.rows(1000))[:count]
    return changed
