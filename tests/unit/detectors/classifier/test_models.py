import sys

import numpy as np
import pytest
from scipy.optimize import minimize

from detectors.classifier.models import (
    GRADIENT_BOOSTING,
    LINEAR,
    LOGISTIC,
    MODELS,
    PRODUCTS,
    RANDOM_FOREST,
    SQUARES,
    expanded,
    refuse_unavailable,
    trained,
)
from detectors.errors import EngineUnavailable

OF_TREES = (GRADIENT_BOOSTING, RANDOM_FOREST)


def two_kinds(rows, features, shift, seed=1):
    generator = np.random.default_rng(seed)
    labels = np.arange(rows) % 3 == 0
    found = generator.normal(size=(rows, features))
    found[labels, 0] += shift
    return found, labels


def penalised_loss(weights, design, labels, ridge):
    scores = weights[0] + design @ weights[1:]
    return np.logaddexp(0, np.where(labels, -scores, scores)).mean() + ridge / 2 * (weights[1:] ** 2).sum()


@pytest.mark.parametrize("terms", [LINEAR, SQUARES, PRODUCTS])
@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_the_logistic_model_has_the_least_penalised_loss(terms, shift):
    rows, labels = two_kinds(400, 3, shift)
    design = expanded(rows, terms)
    least = minimize(penalised_loss, np.zeros(design.shape[1] + 1), (design, labels, 0.1), tol=1e-10)
    scorer = trained(LOGISTIC, rows, labels, terms=terms, ridge=0.1, seed=0)
    np.testing.assert_allclose(scorer(rows), design @ least.x[1:], atol=0.002)


@pytest.mark.parametrize("ridge", [1e-6, 1.0, 1e6])
def test_rows_that_can_be_told_apart_without_error_are_no_difficulty(ridge):
    rows, labels = two_kinds(60, 2, 50.0)
    scores = trained(LOGISTIC, rows, labels, terms=LINEAR, ridge=ridge, seed=0)(rows)
    assert np.isfinite(scores).all()
    assert scores[labels].min() > scores[~labels].max()


def test_terms_are_orthonormal_for_normal_rows():
    rows = np.random.default_rng(2).normal(size=(100_000, 3))
    terms = expanded(rows, PRODUCTS)
    assert terms.shape == (100_000, 9)
    np.testing.assert_allclose(terms.T @ terms / len(rows), np.eye(9), atol=0.03)
    assert expanded(rows, SQUARES).shape == (100_000, 6)
    assert expanded(rows, LINEAR).shape == (100_000, 3)


@pytest.mark.parametrize("model", MODELS)
def test_equal_rows_get_equal_scores_wherever_they_stand(model):
    rows, labels = two_kinds(90, 5, 1.0)
    scorer = trained(model, rows, labels, terms=SQUARES, ridge=0.1, seed=0)
    scores = scorer(np.repeat(rows, 7, axis=0)).reshape(90, 7)
    assert (scores == scores[:, :1]).all()


@pytest.mark.parametrize("model", MODELS)
def test_window_rows_get_the_higher_scores_and_the_seed_decides_the_rest(model):
    rows, labels = two_kinds(300, 2, 2.0)
    scores = [trained(model, rows, labels, terms=LINEAR, ridge=0.1, seed=seed)(rows) for seed in (4, 4, 5)]
    assert np.median(scores[0][labels]) > np.quantile(scores[0][~labels], 0.9)
    assert scores[0].tobytes() == scores[1].tobytes()
    assert (scores[0].tobytes() == scores[2].tobytes()) == (model != RANDOM_FOREST)


@pytest.mark.parametrize("model", MODELS)
def test_one_row_of_each_kind_is_enough_to_train_on(model):
    scorer = trained(model, np.array([[0.5], [-0.5]]), np.array([False, True]), terms=SQUARES, ridge=0.1, seed=0)
    assert np.isfinite(scorer(np.array([[0.1], [0.2]]))).all()


@pytest.mark.parametrize("model", OF_TREES)
def test_without_scikit_learn_the_extra_is_named(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    with pytest.raises(EngineUnavailable, match=r"driftwarden\[classifier\]"):
        refuse_unavailable(model)
    refuse_unavailable(LOGISTIC)
