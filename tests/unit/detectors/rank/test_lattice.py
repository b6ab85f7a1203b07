"""The exact law, by counting every order there is."""

from itertools import combinations

import numpy as np
import pytest

from detectors.rank import lattice
from detectors.rank.kolmogorov_smirnov import ALTERNATIVES


def reached_by_every_order(n, m, alternative):
    found = []
    for places in combinations(range(n + m), m):
        window = np.isin(np.arange(n + m), places)
        difference = n * np.cumsum(window) - m * np.cumsum(~window)
        found.append({"less": difference, "greater": -difference, "two-sided": np.abs(difference)}[alternative].max())
    return np.array(found)


@pytest.mark.parametrize("alternative", ALTERNATIVES)
@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 4), (5, 2), (4, 4), (6, 3), (3, 7)])
def test_the_share_of_orders_that_get_as_far(n, m, alternative):
    orders = reached_by_every_order(n, m, alternative)
    sought = np.arange(n * m + 2)
    expected = (orders >= sought[:, np.newaxis]).mean(axis=1)
    np.testing.assert_allclose(lattice.survival(n, m, sought, alternative), expected, rtol=1e-13)


def test_the_tail_is_exact():
    """All of one sample below all of the other: two orders out of all."""
    probability = lattice.survival(200, 150, np.array([200 * 150]), "two-sided")[0]
    orders = np.prod(np.arange(201, 351) / np.arange(1, 151))
    np.testing.assert_allclose(probability, 2 / orders, rtol=1e-11)


def test_each_answer_does_not_depend_on_the_others():
    sought = np.array([900, 30, 0, 2500, 30])
    together = lattice.survival(100, 60, sought, "two-sided")
    alone = [lattice.survival(100, 60, sought[[k]], "two-sided")[0] for k in range(5)]
    np.testing.assert_allclose(together, alone, rtol=1e-13)
