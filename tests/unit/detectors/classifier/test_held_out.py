from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import mannwhitneyu, norm

from detectors.classifier.held_out import Trial, dealt, drops, mean_area, p_value, trial


@pytest.mark.parametrize(
    ("reference", "window", "folds"), [(100, 40, 5), (7, 3, 10), (2, 2, 2), (50, 2, 4), (23, 19, 10)]
)
def test_each_classifier_is_trained_on_what_earlier_ones_scored_and_were_trained_on(reference, window, folds):
    found = dealt(reference, window, folds, np.random.default_rng(1))
    assert len(found) == min(folds, reference, window) - 1
    for before, after in pairwise(found):
        assert set(after.training) == {*before.training, *before.held_out}
    last = found[-1]
    assert sorted([*last.training, *last.held_out]) == list(range(reference + window))
    for fold in found:
        for part in (fold.training, fold.held_out):
            of_window = int((part >= reference).sum())
            assert 0 < of_window < len(part)
        assert int((fold.held_out < reference).sum()) - reference // (len(found) + 1) in {0, 1}


@pytest.mark.parametrize(("reference", "window"), [(1, 10), (10, 1), (0, 5), (5, 0)])
def test_too_few_rows_make_no_folds(reference, window):
    assert dealt(reference, window, 5, np.random.default_rng(1)) == []
    assert np.isnan([mean_area([]), p_value([])]).all()


@pytest.mark.parametrize("decimals", [0, 1, 12])
def test_one_fold_is_the_test_of_mann_and_whitney(decimals):
    generator = np.random.default_rng(2)
    scores = generator.normal(size=70).round(decimals)
    labels = np.arange(70) >= 40
    scores[labels] += 1 / 2
    scores = scores.round(decimals)
    found = trial(scores, labels, trained_on=25)
    expected = mannwhitneyu(scores[labels], scores[~labels], alternative="greater", method="asymptotic")
    assert found.area == pytest.approx(expected.statistic / (30 * 40))
    assert mean_area([found]) == found.area
    assert p_value([found]) == pytest.approx(expected.pvalue, rel=1e-9)


def test_weights_are_those_with_the_most_power_while_signals_grow_with_the_square_root_of_the_training_rows():
    scores, labels = np.arange(40.0), np.arange(40) % 2 == 0
    few, many = trial(scores, labels, 100), trial(scores, labels, 400)
    assert many.weight == 2 * few.weight
    # In units of its deviation, a fold counts as the square root of its training rows.
    assert few.weight * few.deviation == pytest.approx(10)


def test_folds_add_up_like_independent_normal_variables():
    trials = [Trial(0.6, 0.05, 2.0, 1e-9), Trial(0.7, 0.1, 3.0, 1e-9), Trial(0.4, 0.02, 1.0, 1e-9)]
    assert mean_area(trials) == pytest.approx((1.2 + 2.1 + 0.4) / 6)
    deviation = np.sqrt(0.1**2 + 0.3**2 + 0.02**2)
    assert p_value(trials) == pytest.approx(norm.sf((0.2 + 0.6 - 0.1) / deviation), rel=1e-6)


def test_equal_scores_are_no_evidence_and_neither_are_worse_ones_than_by_guessing():
    labels = np.arange(20) < 8
    same = trial(np.zeros(20), labels, 10)
    assert (same.area, same.deviation) == (0.5, 0)
    assert p_value([same]) == 1
    assert p_value([trial(-1.0 * labels, labels, 10)]) > 0.999


@pytest.mark.parametrize(("reference", "window"), [(2, 2), (5, 5), (10, 4), (10, 10), (20, 20), (50, 20), (300, 60)])
def test_by_chance_small_p_values_are_never_more_frequent_than_they_say(reference, window):
    """Any classifier will do, for the labels of a fold are exchangeable: here, one that scores by the row's number."""
    generator = np.random.default_rng(3)
    probabilities = []
    for _ in range(800):
        folds = dealt(reference, window, 5, generator)
        labels = np.arange(reference + window) >= reference
        trials = []
        for fold in folds:
            held_out = generator.permutation(labels[fold.held_out])
            trials.append(trial(np.arange(len(held_out)) * 1.0, held_out, len(fold.training)))
        probabilities.append(p_value(trials))
    for level in (0.01, 0.05, 0.25, 0.5):
        rate = np.mean(np.array(probabilities) <= level)
        assert rate <= level + 3.5 * np.sqrt(level * (1 - level) / 800)
        if min(reference, window) >= 20:
            assert rate >= 0.8 * level - 3.5 * np.sqrt(level * (1 - level) / 800)


def test_a_feature_is_as_important_as_the_area_that_its_shuffling_costs():
    generator = np.random.default_rng(4)
    labels = np.arange(400) % 2 == 0
    rows = generator.normal(size=(400, 3))
    rows[:, 1] += 3 * labels
    before = rows.copy()
    lost = list(drops(lambda each: each[:, 1], rows, labels, 100, generator))
    whole = trial(rows[:, 1], labels, 100).area
    assert lost[0] == lost[2] == 0
    assert lost[1] == pytest.approx(whole - 0.5, abs=0.1)
    assert np.array_equal(rows, before)
