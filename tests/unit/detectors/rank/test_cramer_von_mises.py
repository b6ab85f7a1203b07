"""The statistic by its definition, and what ties do to it."""

import numpy as np
import pytest

from detectors.rank.cramer_von_mises import CramerVonMises


def result(reference, window):
    detector = CramerVonMises()
    fitted = detector.fit(np.array([reference], dtype=float).T)
    return detector.test(fitted, detector.summarise(fitted, np.array([window], dtype=float).T))


def test_two_samples_by_hand():
    # F - G at 1, 2, 3, 4, 5: 1/3, 1/3 - 1/2, 2/3 - 1/2, 1 - 1/2, 0
    found = result([1, 3, 4], [2, 5])
    mean = (1 / 9 + 1 / 36 + 1 / 36 + 1 / 4) / 5
    assert found.effect[0] == pytest.approx(np.sqrt(mean))
    assert found.statistic[0] == pytest.approx(mean * 6 / 5)
    assert (found.method, found.seed) == ("asymptotic", None)


def test_few_values_in_equal_shares_are_calm_however_many_rows_there_are():
    assert result(np.arange(10_000) % 5, np.arange(1000) % 5).p_value[0] > 0.99


def test_few_values_in_other_shares_are_found():
    assert result(np.arange(10_000) % 5, np.arange(1000) % 4).p_value[0] < 1e-6


def test_one_value_against_one_says_nothing_and_against_two_something():
    assert result([1], [2]).undecided.all()
    assert not result([1], [2, 3]).undecided.any()
