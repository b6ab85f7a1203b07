"""Classifiers that tell window rows from reference rows: one of our own, and those of an optional library.

They are given coordinates (see `detectors.classifier.coordinates`): moderate, finite numbers, for all features alike.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from detectors.arrays import Rows
from detectors.errors import EngineUnavailable

LOGISTIC, GRADIENT_BOOSTING, RANDOM_FOREST = "logistic", "gradient_boosting", "random_forest"
MODELS = (LOGISTIC, GRADIENT_BOOSTING, RANDOM_FOREST)

LINEAR, SQUARES, PRODUCTS = "linear", "squares", "products"
TERMS = (LINEAR, SQUARES, PRODUCTS)
MAXIMUM_FEATURES_OF_PRODUCTS = 50
"""These make 1325 terms, and a matrix of 14 MiB."""

Scores = NDArray[np.float64]
Labels = NDArray[np.bool_]
"""True for window rows."""
Scorer = Callable[[Rows], Scores]
"""A trained classifier: higher scores for rows that look like window rows."""

_STEPS = 15  # the first is the least-squares classifier, and of the last hardly a score moves
_BOOSTS = 30
_TREES = 50
_LEAF = 10  # rows of a leaf, at least: single ones are noise where two samples are nearly alike


def refuse_unavailable(model: str) -> None:
    """Raise `EngineUnavailable` if the model needs a library that is not there."""
    if model != LOGISTIC:
        _ensemble()


def trained(model: str, rows: Rows, labels: Labels, *, terms: str, ridge: float, seed: int) -> Scorer:
    """The classifier, trained on rows of both kinds; raises `EngineUnavailable`."""
    if model == LOGISTIC:
        return _logistic(rows, labels, terms, ridge)
    classifier = _boosting(seed) if model == GRADIENT_BOOSTING else _forest(seed)
    with _one_thread():
        classifier.fit(rows, labels)

    def score(others: Rows) -> Scores:
        with _one_thread():
            scores: Scores = classifier.predict_proba(others)[:, 1]
        return scores

    return score


def expanded(rows: Rows, terms: str) -> Rows:
    """The logistic model's terms: orthonormal (Hermite) polynomials of what are normal coordinates without drift."""
    columns = [rows]
    if terms != LINEAR:
        columns.append((rows**2 - 1) / np.sqrt(2))
    if terms == PRODUCTS:
        first, second = np.triu_indices(rows.shape[1], 1)
        columns.append(rows[:, first] * rows[:, second])
    return np.concatenate(columns, axis=1)


def _logistic(rows: Rows, labels: Labels, terms: str, ridge: float) -> Scorer:
    """Ridge-penalised logistic regression: least mean log loss + ridge / 2 |weights|^2, the constant unpenalised.

    D. Boehning and B. G. Lindsay, "Monotonicity of Quadratic-Approximation Algorithms", Annals of the Institute of
    Statistical Mathematics 40 (1988): with p (1 - p) at its bound of 1/4, the Hessian is the same in every step. It is
    factorised once, and no step makes the loss larger.
    """
    from scipy.linalg import cho_factor, cho_solve  # noqa: PLC0415 - 5 MiB, for those only who need it

    design = np.column_stack([np.ones(len(rows)), expanded(rows, terms)])
    penalty = np.full(design.shape[1], ridge * len(rows))
    penalty[0] = 0.0
    curvature = design.T @ design / 4
    curvature[np.diag_indices_from(curvature)] += penalty
    factor = cho_factor(curvature, overwrite_a=True)
    weights = np.zeros(design.shape[1])
    for _ in range(_STEPS):
        gradient = design.T @ (labels - expit(design @ weights)) - penalty * weights
        weights += cho_solve(factor, gradient)

    def score(others: Rows) -> Scores:
        # Not a product of matrices: equal rows have to get equal scores, to the last bit.
        scores: Scores = (expanded(others, terms) * weights[1:]).sum(axis=1)
        return scores

    return score


def _boosting(seed: int) -> Any:
    return _ensemble().HistGradientBoostingClassifier(
        max_iter=_BOOSTS, max_leaf_nodes=8, min_samples_leaf=_LEAF, early_stopping=False, random_state=seed
    )


def _forest(seed: int) -> Any:
    return _ensemble().RandomForestClassifier(n_estimators=_TREES, min_samples_leaf=_LEAF, n_jobs=1, random_state=seed)


def _one_thread() -> AbstractContextManager[Any]:
    """Boosting would take all processors, and can only be told otherwise so (threadpoolctl comes with scikit-learn)."""
    limited: AbstractContextManager[Any] = import_module("threadpoolctl").threadpool_limits(1, user_api="openmp")
    return limited


def _ensemble() -> ModuleType:
    try:
        return import_module("sklearn.ensemble")
    except ImportError as error:
        raise EngineUnavailable(
            f"scikit-learn cannot be imported; install the extra driftwarden[classifier] ({error})"
        ) from error
