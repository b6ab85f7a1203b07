"""Lognormal rows whose features go together, and what may be done to some of them."""

import numpy as np

FEATURES = 20


class Source:
    """Twenty lognormal features, each correlated with its neighbours (0.8 to the next one)."""

    def __init__(self, seed):
        self.generator = np.random.default_rng(seed)
        places = np.arange(FEATURES)
        self._root = np.linalg.cholesky(0.8 ** np.abs(places[:, np.newaxis] - places))

    def rows(self, count):
        return np.exp(self.generator.normal(size=(count, FEATURES)) @ self._root.T)

    def broken(self, rows):
        """Every value is ordinary, and they come from different rows."""
        return self.generator.permuted(rows, axis=0)

    def far(self, rows):
        """One feature eight of its deviations up."""
        changed, feature = rows.copy(), self.generator.integers(FEATURES)
        changed[:, feature] += 8 * rows[:, feature].std()
        return changed


def stuck(rows):
    """At the medians, which is where a model is least surprised."""
    return np.broadcast_to(np.median(rows, axis=0), rows.shape)
