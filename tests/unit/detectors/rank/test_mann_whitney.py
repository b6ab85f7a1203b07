"""The rank sum by hand."""

import numpy as np
import pytest

from detectors.rank.mann_whitney import MannWhitney


def result(reference, window):
    detector = MannWhitney()
    fitted = detector.fit(np.array([reference], dtype=float).T)
    return detector.test(fitted, detector.summarise(fitted, np.array([window], dtype=float).T))


def test_the_effect_comes_from_the_pairs_that_are_in_order():
    found = result([1, 2, 4], [2, 5])  # 1 < 2, 2 = 2, 4 > 2, and all three below 5: 4.5 of 6
    assert found.effect[0] == pytest.approx(2 * 4.5 / 6 - 1)
    assert (found.method, found.seed) == ("normal", None)


def test_the_statistic_is_in_standard_deviations():
    found = result([1, 2, 3], [4, 5, 6])
    assert found.statistic[0] == pytest.approx(4.5 / np.sqrt(9 * 7 / 12))
    assert found.effect[0] == 1


def test_equal_window_values_in_a_gap_of_the_reference_count_as_tied():
    tied, apart = result([1, 2, 3, 9], [4, 4, 4]), result([1, 2, 3, 9], [4, 5, 6])
    assert tied.effect[0] == apart.effect[0]
    assert tied.statistic[0] > apart.statistic[0]


def test_a_change_of_spread_alone_is_not_seen():
    rows = np.linspace(-1, 1, 101)
    assert result(rows, 3 * rows).p_value[0] > 0.99


@pytest.mark.parametrize(("window", "superiority"), [([4, 5], 1.0), ([0, 0], 0.0), ([2, 2], 0.5), ([2, 9], 0.75)])
def test_the_probability_of_superiority_tells_the_direction(window, superiority):
    detector = MannWhitney()
    fitted = detector.fit(np.array([[1.0], [2.0], [3.0]]))
    summary = detector.summarise(fitted, np.array([window], dtype=float).T)
    assert detector.probability_of_superiority(fitted, summary)[0] == superiority
    assert detector.measure(fitted, summary).effect[0] == abs(2 * superiority - 1)
    assert np.isnan(detector.probability_of_superiority(fitted, detector.empty(fitted))[0])
