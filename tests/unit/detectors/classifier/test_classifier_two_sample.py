import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from detectors.classifier.classifier_two_sample import ClassifierTwoSample
from detectors.classifier.models import MODELS
from detectors.errors import EngineUnavailable, InvalidParameter, TooFewRows

every_model = pytest.mark.parametrize("model", MODELS)


def result_of(detector, reference, window):
    fitted = detector.fit(reference)
    return detector.test(fitted, detector.summarise(fitted, window))


def shifted(rows, features, shift, seed):
    generator = np.random.default_rng(seed)
    window = generator.normal(size=(rows, features))
    window[:, 0] += shift
    return generator.normal(size=(rows, features)), window


@every_model
def test_a_shift_is_found_and_none_is_not(model):
    detector = ClassifierTwoSample(model=model, folds=4)
    same, drifted = (result_of(detector, *shifted(200, 3, shift, seed=1)) for shift in (0.0, 1.0))
    assert drifted.p_value[0] < 1e-6
    assert 0.65 < drifted.statistic[0] < 0.85
    assert drifted.effect == 2 * drifted.statistic - 1
    assert same.p_value[0] > 0.05
    assert abs(same.statistic[0] - 0.5) < 0.08


@every_model
def test_the_same_rows_and_seed_give_the_same_bits_in_any_order(model):
    reference, window = shifted(60, 2, 0.3, seed=2)
    detector = ClassifierTwoSample(model=model, folds=3)
    first, second = result_of(detector, reference, window), result_of(detector, reference[::-1], window[::-1])
    assert (first.statistic[0], first.p_value[0]) == (second.statistic[0], second.p_value[0])
    assert result_of(replace(detector, seed=2**53 - 1), reference, window).statistic != first.statistic


def test_two_folds_are_one_test_of_mann_and_whitney_on_the_half_that_was_not_trained_on():
    reference, window = shifted(120, 2, 0.5, seed=3)
    detector = ClassifierTwoSample(folds=2)
    fitted = detector.fit(reference)
    (only,) = detector._evaluations(fitted.rows, window)
    assert len(only.rows) == only.trained_on == 120
    scores = only.scorer(only.rows)
    expected = mannwhitneyu(scores[only.labels], scores[~only.labels], alternative="greater", method="asymptotic")
    trial = only.trial()
    assert trial.area == pytest.approx(expected.statistic / 60**2)


@pytest.mark.parametrize(
    ("terms", "found"),
    [
        ("linear", [True, False, False]),
        ("squares", [True, True, False]),
        ("products", [True, True, True]),
    ],
)
def test_terms_decide_what_the_logistic_model_notices(terms, found):
    generator = np.random.default_rng(4)
    reference, window = generator.normal(size=(600, 2)), generator.normal(size=(600, 2))
    shifted, spread = window + 0.5, window * 1.6
    together = np.column_stack([window[:, 0], 0.7 * window[:, 0] + np.sqrt(0.51) * window[:, 1]])
    detector = ClassifierTwoSample(terms=terms)
    p_values = [result_of(detector, reference, each).p_value[0] for each in (shifted, spread, together)]
    assert [each < 1e-4 for each in p_values] == found


def test_a_change_that_keeps_ranks_is_no_change():
    reference, window = shifted(100, 2, 0.4, seed=5)
    detector = ClassifierTwoSample(folds=3)
    expected, found = result_of(detector, reference, window), result_of(detector, reference**3, window**3)
    assert found.statistic == expected.statistic


@every_model
def test_importances_say_which_features_tell_windows_apart(model):
    reference, window = shifted(300, 4, 1.5, seed=6)
    detector = ClassifierTwoSample(model=model, folds=4)
    fitted = detector.fit(reference)
    summary = detector.summarise(fitted, window)
    importances = detector.importances(fitted, summary)
    assert importances.shape == (4,)
    assert importances[0] > 0.2
    assert np.abs(importances[1:]).max() < 0.05
    assert np.array_equal(importances, detector.importances(fitted, detector.summarise(fitted, window[::-1])))
    assert np.isnan(detector.importances(fitted, detector.empty(fitted))).all()


def test_rows_with_missing_values_are_left_out_and_counted():
    reference, window = shifted(50, 2, 0.5, seed=7)
    detector = ClassifierTwoSample()
    expected = result_of(detector, reference, window)
    holed, holed_window = np.insert(reference, 4, np.nan, axis=0), np.insert(window, [0, 9], [np.nan, 1.0], axis=0)
    found = result_of(detector, holed, holed_window)
    assert found.missing.tolist() == [2]
    assert (found.reference_count, found.window_count) == (50, 52)
    assert found.statistic == expected.statistic


def test_of_too_many_rows_some_are_chosen_and_not_always_the_same_ranks():
    generator = np.random.default_rng(8)
    detector = ClassifierTwoSample(maximum_reference_rows=40, maximum_window_rows=50)
    fitted = detector.fit(generator.normal(size=(300, 1)))
    assert fitted.count == 300
    assert len(fitted.rows) == 40
    means = []
    for _ in range(100):
        window = np.sort(generator.normal(size=(2000, 1)), axis=0)
        chosen = detector._window(fitted, detector.summarise(fitted, window))
        assert len(chosen) == 50
        means.append(np.searchsorted(window[:, 0], chosen[:, 0]).mean() / 2000)
    assert np.std(means) == pytest.approx(np.sqrt(1 / 12 / 50), rel=0.3)  # what independent choices have


def test_too_few_rows():
    detector = ClassifierTwoSample()
    with pytest.raises(TooFewRows, match="1 complete reference rows, and at least 2"):
        detector.fit(np.array([[1.0], [np.nan]]))
    assert result_of(detector, np.arange(9.0)[:, np.newaxis], np.ones((1, 1))).undecided.all()


def test_products_are_of_so_many_features_only():
    with pytest.raises(InvalidParameter, match="50 features at most, not of 51") as caught:
        ClassifierTwoSample(terms="products").fit(np.zeros((5, 51)))
    assert caught.value.parameter == "terms"
    ClassifierTwoSample().fit(np.zeros((5, 51)))


@pytest.mark.parametrize("model", MODELS[1:])
def test_a_model_of_a_library_that_is_not_installed_is_refused_when_fitted(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    detector = ClassifierTwoSample(model=model)
    with pytest.raises(EngineUnavailable, match=r"driftwarden\[classifier\]"):
        detector.fit(np.zeros((5, 2)))
    assert result_of(ClassifierTwoSample(), np.zeros((5, 2)), np.zeros((5, 2))).p_value == 1


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("model", "oracle"),
        ("folds", 1),
        ("folds", 51),
        ("seed", 2**53),
        ("maximum_reference_rows", 1),
        ("maximum_window_rows", 1.5),
        ("terms", "cubes"),
        ("ridge", 0),
        ("ridge", 1e-7),
        ("ridge", 1e7),
    ],
)
def test_parameters_out_of_range_are_refused(parameter, value):
    with pytest.raises(InvalidParameter) as caught:
        replace(ClassifierTwoSample(), **{parameter: value})
    assert caught.value.parameter == parameter
