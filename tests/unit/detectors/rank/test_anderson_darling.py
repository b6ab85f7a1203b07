"""The statistic by its definition, and both ways to it."""

from dataclasses import replace

import numpy as np
import pytest

from detectors.rank.anderson_darling import AndersonDarling
from detectors.rank.cramer_von_mises import CramerVonMises


def column(values):
    return np.array([values], dtype=float).T


def result(reference, window):
    detector = AndersonDarling()
    fitted = detector.fit(column(reference))
    return detector.test(fitted, detector.summarise(fitted, column(window)))


def test_the_definition():
    """F. W. Scholz and M. A. Stephens (1987), eq. 7, for two of the laboratories of their example."""
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


def test_a_few_values_beyond_all_of_the_reference_s_are_seen_sooner_than_by_cramer_and_von_mises():
    reference, window = np.linspace(0, 1, 1000), np.linspace(0.01, 0.99, 500)
    window[-40:] += 1
    other = CramerVonMises()
    fitted = other.fit(column(reference))
    assert (
        result(reference, window).p_value[0]
        < other.test(fitted, other.summarise(fitted, column(window))).p_value[0] / 2
    )


def test_fewer_than_four_values_have_no_deviation():
    assert result([1, 2], [3]).undecided.all()
    assert not result([1, 2], [3, 4]).undecided.any()
