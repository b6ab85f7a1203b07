"""Rare values and massive ties: p-values against all outcomes there are, and sizes where limiting laws are far off."""

from itertools import combinations, pairwise

import numpy as np
import pytest
from scipy.stats import binom, fisher_exact

from detectors import conditional
from detectors.registry import create

OF_COUNTS = ("chi_square", "population_stability_index", "jensen_shannon")
OF_RANKS = ("mann_whitney", "cramer_von_mises", "anderson_darling")
IMPROBABLE = 1e-4


def result(name, reference, window, **parameters):
    detector = create(name, parameters)
    fitted = detector.fit(reference)
    return detector.test(fitted, detector.summarise(fitted, window))


def share_of_all_splits(name, values, window):
    """How many choices of the window's rows have a statistic as large as the first one, by going through them all."""
    splits = list(combinations(range(len(values)), window))
    columns = [np.delete(values, chosen) for chosen in splits], [values[list(chosen)] for chosen in splits]
    reference, windows = (np.array(side).T for side in columns)
    statistic = ordered_by(name, reference, windows)
    return (statistic >= statistic[0] - 1e-9).mean()


def ordered_by(name, reference, window):
    """The statistic; for Jensen-Shannon, the divergence of the smoothed shares, which its law is of."""
    if name != "jensen_shannon":
        return np.concatenate([result(name, *pair).statistic for pair in split(reference, window)])
    found = []
    for before, after in split(reference, window):
        p, q = ([np.sum(each == value) for value in np.unique([*before, *after])] for each in (before, after))
        p, q = np.array(p, dtype=float), np.array(q, dtype=float)
        added = len(p) * (p + q) / (p.sum() + q.sum())
        p, q = (p + added) / (p.sum() + len(p)), (q + added) / (q.sum() + len(q))
        found.append([(p * np.log(2 * p / (p + q)) + q * np.log(2 * q / (p + q))).sum()])
    return np.concatenate(found)


def split(reference, window):
    return ((reference[:, [each]], window[:, [each]]) for each in range(reference.shape[1]))


@pytest.mark.parametrize("name", [*OF_COUNTS, *OF_RANKS])
@pytest.mark.parametrize(
    "values",
    [[1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1], [1, 1, 1, 2, 0, 0, 0, 0, 0, 0, 2, 0], [3, 2, 2, 1, 0, 0, 0, 0, 0, 1, 0, 0]],
    ids=str,
)
def test_p_values_are_shares_of_all_splits(name, values):
    values = np.array(values, dtype=float)
    found = result(name, values[4:, np.newaxis], values[:4, np.newaxis])
    expected = share_of_all_splits(name, values, 4)
    assert (found.method, found.seed) == ("conditional", conditional.SEED)
    if len(np.unique(values)) == 2:
        assert found.p_value[0] == pytest.approx(expected, rel=1e-9)
    else:
        assert found.p_value[0] == pytest.approx(expected, rel=0.6)  # by draws, until the twentieth


@pytest.mark.parametrize("name", OF_RANKS)
def test_one_value_against_many_is_surprising_by_its_rank(name):
    reference, window = np.arange(1.0, 100)[:, np.newaxis], np.array([[0.0]])
    assert result(name, reference, window).p_value[0] == pytest.approx(2 / 100)
    assert result(name, window, reference).p_value[0] == pytest.approx(2 / 100)


def test_of_two_values_fisher_says_the_same_for_a_one_sided_surprise():
    reference, window = np.repeat([0.0, 1.0], [990, 10])[:, np.newaxis], np.repeat([0.0, 1.0], [14, 6])[:, np.newaxis]
    expected = fisher_exact([[990, 10], [14, 6]]).pvalue
    for name in (*OF_COUNTS, *OF_RANKS):
        assert result(name, reference, window).p_value[0] == pytest.approx(expected, rel=1e-6)


def test_draws_follow_the_law_and_stop_when_they_have_seen_enough():
    totals = np.array([50, 3, 2, 40, 1])
    drawn = [*conditional._draws(totals, 12, 0)]
    counts = np.concatenate(drawn)
    assert len(counts) == 9999
    assert (counts.sum(axis=1) == 12).all()
    assert (counts <= totals).all()
    few = conditional._of_few(np.random.default_rng(1), totals, 3, 20_000)
    assert (few.sum(axis=1) == 3).all()
    for found, window in ((counts, 12), (few, 3)):
        expected = totals * window / totals.sum()
        assert found.mean(axis=0) == pytest.approx(expected, abs=0.05)
    asked = []

    def statistics(window):
        asked.append(len(window))
        return window[:, 0].astype(float)

    assert conditional.p_value(totals, 12, 3.0, statistics) == pytest.approx(0.9, abs=0.2)
    assert sum(asked) == 40


def test_beyond_all_draws_p_values_go_on_falling():
    totals = np.array([500, 10, 10, 480])

    def extreme(observed):
        return conditional.p_value(totals, 200, observed, lambda window: window[:, 1].astype(float) + window[:, 2])

    found = [extreme(float(observed)) for observed in (12, 14, 16, 18, 20)]
    assert all(later < before for before, later in pairwise(found))
    assert 0 < found[-1] < 1e-6


def bernoulli(share):
    return lambda generator, shape: (generator.random(shape) < share).astype(float)


def poisson(mean):
    return lambda generator, shape: generator.poisson(mean, shape).astype(float)


def zipf(generator, shape):
    weights = 1 / np.arange(1, 101)
    return generator.choice(100, size=shape, p=weights / weights.sum()).astype(float)


CASES = [
    *((name, 1000, 200, bernoulli(0.01)) for name in OF_COUNTS),
    *((name, 5000, 200, bernoulli(0.01)) for name in ("population_stability_index", "jensen_shannon")),
    ("population_stability_index", 5000, 201, bernoulli(0.03)),
    ("chi_square", 1000, 20, zipf),
    *((name, 1000, 20, poisson(0.02)) for name in OF_RANKS),
    *((name, 1000, 1, poisson(100.0)) for name in OF_RANKS),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[1]}-{case[2]}")
def test_rare_values_do_not_alarm_more_often_than_stated(case):
    name, n, m, draw = case
    generator, tests = np.random.default_rng(21), 600 if draw is zipf else 1500
    probabilities = result(name, draw(generator, (n, tests)), draw(generator, (m, tests))).p_value
    for level in (0.05, 0.01, 0.001):
        below = int((probabilities <= level).sum())
        assert binom.sf(below - 1, tests, level) > IMPROBABLE, f"{below} of {tests} at {level}"


@pytest.mark.parametrize("name", [*OF_COUNTS, *OF_RANKS])
def test_rare_values_that_become_frequent_are_seen(name):
    generator = np.random.default_rng(22)
    reference, window = bernoulli(0.01)(generator, (1000, 200)), bernoulli(0.1)(generator, (200, 200))
    found = int((result(name, reference, window).p_value <= 0.01).sum())
    assert found > 190
