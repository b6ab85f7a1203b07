"""What alibi-detect says when it is asked directly is what it says through us, to the last bit."""

import random

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from detectors.alibi.engine import alibi_detect
from detectors.arrays import open_backend
from detectors.compatibility import as_alibi
from detectors.registry import create
from detectors.sample.rows import in_canonical_order

cd = alibi_detect()
GENERATOR = np.random.default_rng(11)
REFERENCE = GENERATOR.normal(size=(120, 4))
WINDOW = GENERATOR.normal(size=(80, 4)) + np.array([0, 0, 0.2, 0.6])
ORDERED = in_canonical_order(WINDOW)


def ours(name, reference=REFERENCE, window=WINDOW, **parameters):
    detector = create(name, parameters)
    fitted = detector.fit(reference)
    return detector.test(fitted, detector.summarise(fitted, window))


def theirs(make, *predicted, seed=0):
    """`predict`, with the generators of the process where we put them."""
    np.random.seed(seed)  # noqa: NPY002
    random.seed(seed)
    torch.manual_seed(seed)
    return make().predict(*predicted)["data"]


def assert_same(result, data):
    assert result.statistic.tolist() == np.atleast_1d(data["distance"]).astype(np.float64).tolist()
    assert result.p_value.tolist() == np.atleast_1d(data["p_val"]).astype(np.float64).tolist()


@pytest.mark.parametrize("alternative", ["two-sided", "less", "greater"])
def test_ks_drift(alternative):
    result = ours("alibi_ks_drift", alternative=alternative)
    data = cd.KSDrift(REFERENCE, p_val=0.05, alternative=alternative).predict(WINDOW)["data"]
    assert_same(result, data)
    answer = as_alibi(result, p_val=0.05)["data"]
    assert answer["is_drift"] == data["is_drift"]
    assert answer["threshold"] == data["threshold"]
    assert bool((result.p_value < 0.05 / 4).any()) == bool(data["is_drift"])


def test_ks_drift_with_its_defaults_only():
    assert_same(ours("alibi_ks_drift"), cd.KSDrift(REFERENCE).predict(WINDOW)["data"])


def test_tabular_drift():
    reference, window = (2 * REFERENCE).round(), (2 * WINDOW).round()
    data = cd.TabularDrift(reference, categories_per_feature={0: None, 3: None}).predict(window)["data"]
    result = ours("alibi_tabular_drift", reference, window, categories="3,0")
    assert_same(result, data)
    assert result.effect[1:3].tolist() == result.statistic[1:3].tolist()
    assert result.effect[[0, 3]] == pytest.approx(np.sqrt(result.statistic[[0, 3]] / 200))


@pytest.mark.parametrize("sigma", [None, 1.5])
@pytest.mark.parametrize("seed", [0, 5])
def test_mmd_drift(sigma, seed):
    theirs_sigma = None if sigma is None else np.array([sigma])
    data = theirs(lambda: cd.MMDDrift(REFERENCE, backend="pytorch", sigma=theirs_sigma), ORDERED, seed=seed)
    assert_same(ours("alibi_mmd_drift", sigma=sigma, seed=seed), data)


@pytest.mark.parametrize("seed", [0, 5])
def test_lsdd_drift(seed):
    data = theirs(lambda: cd.LSDDDrift(REFERENCE, backend="pytorch"), ORDERED, seed=seed)
    assert_same(ours("alibi_lsdd_drift", seed=seed), data)


def test_classifier_drift():
    centre, deviation = REFERENCE.mean(axis=0), REFERENCE.std(axis=0)

    def make():
        model = LogisticRegression(max_iter=1000)
        rows = (REFERENCE - centre) / deviation
        return cd.ClassifierDrift(rows, model, backend="sklearn", preds_type="probs", n_folds=5, train_size=None)

    data = theirs(make, (ORDERED - centre) / deviation)
    assert_same(ours("alibi_classifier_drift", n_folds=5), data)


@pytest.mark.filterwarnings("ignore:The `cv='prefit'`:FutureWarning")
def test_context_mmd_drift():
    rows, context = REFERENCE[:, :2], REFERENCE[:, 2:]
    data = theirs(
        lambda: cd.ContextMMDDrift(rows, context, backend="pytorch", n_permutations=60), ORDERED[:, :2], ORDERED[:, 2:]
    )
    assert_same(ours("alibi_context_mmd_drift", context_features=2, n_permutations=60), data)


def test_rows_of_torch_are_tested_the_same():
    there = open_backend("torch")
    for name in ("alibi_ks_drift", "alibi_mmd_drift", "alibi_lsdd_drift", "alibi_classifier_drift"):
        on_torch = ours(name, there.put(REFERENCE), there.put(WINDOW))
        assert on_torch.p_value.tobytes() == ours(name).p_value.tobytes()


def test_missing_values_are_left_out_feature_by_feature():
    reference, window = REFERENCE.copy(), WINDOW.copy()
    reference[:5, 0], window[3:30, 0], window[:, 1] = np.nan, np.nan, np.nan
    result = ours("alibi_ks_drift", reference, window)
    data = cd.KSDrift(REFERENCE[5:, :1]).predict(np.delete(WINDOW[:, :1], range(3, 30), axis=0))["data"]
    assert result.statistic[0] == data["distance"][0]
    assert result.undecided.tolist() == [False, True, False, False]
    assert result.statistic[2:].tolist() == ours("alibi_ks_drift").statistic[2:].tolist()
    assert result.missing.tolist() == [27, 80, 0, 0]


def test_the_generators_of_the_process_are_left_as_they_were():
    np.random.seed(1)  # noqa: NPY002
    random.seed(2)
    torch.manual_seed(3)
    expected = np.random.random(), random.random(), torch.rand(1).item()  # noqa: NPY002, S311
    np.random.seed(1)  # noqa: NPY002
    random.seed(2)
    torch.manual_seed(3)
    for name in ("alibi_ks_drift", "alibi_mmd_drift", "alibi_lsdd_drift", "alibi_classifier_drift"):
        ours(name)
    ours("alibi_classifier_drift", model="neural_network")
    assert (np.random.random(), random.random(), torch.rand(1).item()) == expected  # noqa: NPY002, S311


def test_features_of_any_magnitude_are_told_apart():
    """Without scaling, theirs sees no difference between these: squares are beyond float32, or below 1e-30."""
    for unit in (1e-200, 1e-20, 1e20, 1e200):
        result = ours("alibi_mmd_drift", REFERENCE * unit, (WINDOW + 1) * unit)
        assert result.p_value <= 0.05
        result = ours("alibi_lsdd_drift", REFERENCE * unit, (WINDOW + 1) * unit)
        assert result.p_value <= 0.05
