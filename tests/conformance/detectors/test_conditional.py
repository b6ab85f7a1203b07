"""Rare values and massive ties: p-values against all outcomes there are, and sizes where limiting laws are far off."""

from itertools import combinations, pairwise
from math import comb

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
    many = np.concatenate([*conditional._draws(totals * 1000, 12_000, 0)])  # value by value instead of row by row
    for found, of, window in ((counts, totals, 12), (many, totals * 1000, 12_000)):
        share, rows = of / of.sum(), of.sum()
        variance = window * share * (1 - share) * (rows - window) / (rows - 1)
        assert found.mean(axis=0) == pytest.approx(window * share, abs=5 * np.sqrt(variance.max() / 9999))
        assert found.var(axis=0) == pytest.approx(variance, rel=0.1)
    asked = []

    def statistics(window):
        asked.append(len(window))
        return window[:, 0].astype(float)

    assert conditional.p_value(totals, np.array([3, 2, 1, 6, 0]), statistics) == pytest.approx(0.99, abs=0.02)
    assert sum(asked) == 1 + 40


def test_beyond_all_draws_p_values_go_on_falling():
    totals = np.array([500, 10, 10, 480])

    def extreme(observed):
        window = np.array([100, observed // 2, observed // 2, 100 - observed])
        return conditional.p_value(totals, window, lambda each: each[:, 1].astype(float) + each[:, 2])

    found = [extreme(observed) for observed in (12, 14, 16, 18, 20)]
    assert all(later < before for before, later in pairwise(found))
    assert 0 < found[-1] < 1e-6


@pytest.mark.parametrize("name", [*OF_COUNTS, *OF_RANKS])
@pytest.mark.parametrize(
    ("reference", "window"),
    [(np.full(40, 7.0), [0.0, 0.25, 0.5]), (np.repeat([0.0, 9.0], 20), [5.0, 5.0, 6.0])],
    ids=["constant", "two values"],
)
def test_no_p_value_is_smaller_than_one_in_all_splits(name, reference, window):
    found = result(name, reference[:, np.newaxis], np.array(window)[:, np.newaxis]).p_value[0]
    assert found >= 1 / comb(43, 3) * (1 - 1e-9)


@pytest.mark.parametrize("name", OF_RANKS)
def test_two_rows_among_thousands_are_no_more_surprising_than_may_be(name):
    reference = np.random.default_rng(23).normal(size=(6000, 1))
    found = result(name, reference, np.array([[8.0], [9.0]])).p_value[0]
    assert 1 / comb(6002, 2) < found * (1 + 1e-9) < 1e-3


@pytest.mark.parametrize("name", OF_RANKS)
def test_what_is_held_at_once_is_bounded_however_many_values_are_distinct(name, monkeypatch):
    detector, sizes = create(name, {}), []
    statistics = type(detector)._statistics

    def noted(self, equals, window):
        sizes.append(window.size)
        return statistics(self, equals, window)

    monkeypatch.setattr(type(detector), "_statistics", noted)
    reference = np.random.default_rng(24).normal(size=(20_000, 1))
    for window in ([[9.0]], [[9.0], [9.5]], [[9.0]] * 5):
        assert result(name, reference, np.array(window)).method == "conditional"
    assert max(sizes) <= 2**17
    assert sum(sizes) <= 3 * 2**23


def test_one_row_among_thousands_is_surprising_by_its_rank():
    reference = np.random.default_rng(25).normal(size=(20_000, 1))
    for name in OF_RANKS:
        found = result(name, reference, np.array([[9.0]])).p_value[0]
        assert 1 <= round(found * 20_001, 6) <= 2


def test_where_rows_are_too_many_to_draw_from_the_law_for_many_is_named():
    detector = create("population_stability_index", {"bins": None})
    fitted = detector.fit(np.repeat([0.0, 1.0, 2.0], [500, 490, 10])[:, np.newaxis])
    summary = detector.summarise(fitted, np.repeat([0.0, 1.0, 2.0], [500, 499, 1])[:, np.newaxis])
    for _ in range(20):
        summary += summary
    found = detector.test(fitted, summary)
    assert (found.method, found.seed) == ("chi-square", None)
    assert 0 < found.p_value[0] < 1


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


@pytest.mark.parametrize("name", ["population_stability_index", "jensen_shannon"])
@pytest.mark.parametrize(("rows", "window", "number"), [(1000, 50, 100), (5000, 1000, 1000)])
def test_many_rare_categories_hide_no_change_of_the_frequent_ones(name, rows, window, number):
    """The chi-square law, which expects a term of each of them, is far too cautious then."""
    generator = np.random.default_rng(26)
    before = 1 / np.arange(1, number + 1)
    after = before.copy()
    after[0], after[9] = 0.3 * before[0], before[9] + 0.7 * before[0]
    draws = [(rows, before), (window, after)]
    sides = [generator.choice(number, size=(count, 10), p=each / each.sum()).astype(float) for count, each in draws]
    found = result(name, *sides, bins=None)
    assert found.method == "conditional"
    assert np.median(found.p_value) < 0.1
