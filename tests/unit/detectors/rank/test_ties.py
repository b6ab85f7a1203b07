"""Means and variances with ties, against every way to share the values out."""

from itertools import combinations

import numpy as np
import pytest

from detectors.rank import anderson_darling, cramer_von_mises
from detectors.rank.anderson_darling import AndersonDarling
from detectors.rank.cramer_von_mises import CramerVonMises
from detectors.rank.placement import Placement
from detectors.rank.ties import merged, tied, together


def column(values):
    return np.array([values], dtype=float).T


def placed(reference, window):
    detector = CramerVonMises()
    fitted = detector.fit(column(reference))
    return fitted, Placement.of(fitted, detector.summarise(fitted, column(window)))


@pytest.mark.parametrize(
    ("reference", "window", "expected"),
    [
        ([1, 2, 3], [0, 2.5], False),
        ([1, 2, 2], [0, 2.5], True),
        ([1, 2, 3], [0, 2], True),
        ([1, 2, 3], [5, 5], True),
    ],
)
def test_values_are_tied_within_either_sample_or_between_them(reference, window, expected):
    assert bool(tied(*placed(reference, window))) is expected


def test_how_many_are_equal():
    found = together(*placed([1, 2, 2, 4, 6], [0, 2, 3, 3, 6, 9]), 0)
    assert [each.tolist() for each in found] == [[1, 1, 3, 2, 1, 2, 1], [1, 0, 1, 2, 0, 1, 1]]


def statistics_of_every_split(detector, values, m):
    values = np.array(values, dtype=float)
    for places in combinations(range(len(values)), m):
        window = np.isin(np.arange(len(values)), places)
        fitted = detector.fit(column(values[~window]))
        yield detector.measure(fitted, detector.summarise(fitted, column(values[window])))


@pytest.mark.parametrize("values", [[1, 1, 1, 2, 3, 3, 4, 5], [0, 0, 0, 0, 0, 0, 1, 1], [1, 2, 3, 4, 5, 6, 7, 8]])
def test_the_mean_of_the_statistics_over_every_split(values):
    equals = np.unique(values, return_counts=True)[1]
    found = [each.statistic[0] for each in statistics_of_every_split(CramerVonMises(), values, 3)]
    assert np.mean(found) == pytest.approx(cramer_von_mises._mean(equals))
    found = [each.statistic[0] for each in statistics_of_every_split(AndersonDarling(), values, 3)]
    assert np.mean(found) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("shares", [[250] * 4, [500, 500], [900, 100], [600, *[20] * 20]])
def test_the_variances_over_random_splits(shares):
    generator = np.random.default_rng(1)
    equals = np.array(shares)
    window = generator.multivariate_hypergeometric(equals, 400, size=20_000)
    n, m, both = 600, 400, 1000
    up_to = np.cumsum(equals)
    difference = np.cumsum(equals - window, axis=1) / n - np.cumsum(window, axis=1) / m
    found = n * m / both**2 * (equals * difference**2).sum(axis=1)
    assert found.var() == pytest.approx(cramer_von_mises._limiting_variance(equals), rel=0.08)
    midranks, mine = up_to - equals / 2, np.cumsum(window, axis=1) - window / 2
    spread = midranks * (both - midranks) - both * equals / 4
    found = (both - 1) / (both * n * m) * (equals * (both * mine - m * midranks) ** 2 / spread).sum(axis=1)
    assert found.mean() == pytest.approx(1, rel=0.03)
    assert found.var() == pytest.approx(anderson_darling._limiting_variance(equals), rel=0.08)


def test_without_ties_the_variances_tend_to_the_limits():
    untied = np.ones(20_000, dtype=np.int64)
    assert cramer_von_mises._limiting_variance(untied) == pytest.approx(1 / 45, rel=1e-3)
    assert anderson_darling._limiting_variance(untied) == pytest.approx(2 * (np.pi**2 - 9) / 3, rel=1e-3)


@pytest.mark.parametrize("values", [16, 17, 24, 25, 1000, 1001])
def test_neighbours_are_taken_together_and_the_outermost_are_not(values):
    counts = np.arange(1, values + 1)
    found = merged(counts, 16)
    assert len(found) in {15, 16}
    assert found.sum() == counts.sum()
    assert found[:4].tolist() == counts[:4].tolist()
    assert found[-4:].tolist() == counts[-4:].tolist()
    sizes = merged(np.ones_like(counts), 16)
    assert (sizes > 0).all()
    assert sizes.tolist() == sizes[::-1].tolist()
