"""The inverse of a covariance that may be singular: Ledoit and Wolf's shrinkage."""

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

_LEAST_SHRINKAGE = 1e-4
"""Of features that follow from one another exactly, so that what is left of them can be inverted."""


def whitening(centred: Values) -> Values:
    """W such that the rows of `centred @ W` are uncorrelated and of variance 1, shape (features, features).

    Of normal scores: where values are tied, their scores vary by less than 1, and what is missing is what scores would
    vary by if the ties were broken at random. It is added, or the rarer of two categories would look ever so strange.
    """
    covariance = centred.T @ centred / len(centred)
    shrinkage = _shrinkage(centred, covariance)
    places = np.diag_indices_from(covariance)
    covariance[places] = np.maximum(covariance[places], 1)
    mean = float(np.trace(covariance)) / len(covariance)
    covariance *= 1 - shrinkage
    covariance[places] += shrinkage * mean
    return np.ascontiguousarray(np.linalg.inv(np.linalg.cholesky(covariance)).T)


def _shrinkage(centred: Values, covariance: Values) -> float:
    """Towards a multiple of the identity, by as much as the covariance is likely to err (Ledoit and Wolf 2004)."""
    rows, features = centred.shape
    mean = float(np.trace(covariance)) / features
    squares = float((covariance**2).sum())
    distance = squares - features * mean**2
    error = (float(((centred**2).sum(axis=1) ** 2).mean()) - squares) / rows
    return 1.0 if distance <= max(error, 0.0) else max(error / distance, _LEAST_SHRINKAGE)
