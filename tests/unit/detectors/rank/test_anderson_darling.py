"""The statistic by its definition, and both ways to it."""

from dataclasses import replace

import numpy as np
import pytest

from detectors.rank.anderson_darling import AndersonDarling


def column(values):
    return np.array([values], dtype=float).T


def result(reference, window):
    detector = AndersonDarling()
    fitted = detector.fit(column(reference))
    return detector.test(fitted, detector.summarise(fitted, column(window)))


def test_a_published_example():
    """F. W. Scholz and M. A. Stephens (1987), table 4: smoothness of paper, laboratories 1 and 2, A^2 with midranks."""
    first = [38.7, 41.5, 43.8, 44.5, 45.5, 46.0, 47.7, 58.0]
    second = [39.2, 39.3, 39.7, 41.4, 41.8, 42.9, 43.3, 45.8]
    both, values = np.sort(first + second), np.unique(first + second)
    terms = []
    for value in values:
        of_both, of_second = (np.sum(np.array(x) < value) + np.sum(np.array(x) == value) / 2 for x in (both, second))
        equals = np.sum(both == value)
        terms.append(equals * (16 * of_second - 8 * of_both) ** 2 / (of_both * (16 - of_both) - 16 * equals / 4))
    squares = 15 / 16 / 64 * sum(terms)
    found = result(first, second)
    assert found.effect[0] == pytest.approx(np.sqrt(squares * 16 / 64))


@pytest.mark.parametrize("seed", range(5))
def test_both_ways_agree_where_the_reference_is_untied(seed):
    generator = np.random.default_rng(seed)
    detector = AndersonDarling()
    reference, window = generator.normal(size=(300, 3)), generator.normal(0.1, size=(200, 3))
    window[:20], window[50:60], window[60:65] = reference[:20], window[49], reference[7]
    fitted = detector.fit(reference)
    summary = detector.summarise(fitted, window)
    every_value = replace(fitted, untied=False)
    np.testing.assert_allclose(
        detector.measure(fitted, summary).statistic, detector.measure(every_value, summary).statistic, rtol=1e-9
    )


def test_the_tails_weigh_as_much_as_the_middle():
    rows = np.linspace(0, 1, 1001)
    tails, middle = rows.copy(), rows.copy()
    tails[:30] -= 5  # beyond what the reference has, where Cramér and von Mises see next to nothing
    middle[485:515] = rows[470:500]
    assert result(rows, tails).statistic[0] == pytest.approx(result(rows, rows).statistic[0])  # ranks do not change
    tails[:30] = -5
    assert result(rows, tails).statistic[0] > result(rows, middle).statistic[0]


def test_fewer_than_four_values_have_no_deviation():
    assert result([1, 2], [3]).undecided.all()
    assert not result([1, 2], [3, 4]).undecided.any()
