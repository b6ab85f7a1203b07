"""Fisher's test: exact in whole numbers, and where it is extreme."""

from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.frequency.hypergeometric import ALTERNATIVES, p_values


def by_definition(reference, window, alternative):
    (a, n), (b, m) = reference, window
    low, high = max(0, m - (n + m - a - b)), min(m, a + b)
    ways = {x: comb(a + b, x) * comb(n + m - a - b, m - x) for x in range(low, high + 1)}
    counted = {
        "two-sided": lambda x: ways[x] <= ways[b],
        "greater": lambda x: x >= b,
        "less": lambda x: x <= b,
    }[alternative]
    return float(Fraction(sum(ways[x] for x in ways if counted(x)), comb(n + m, m)))


def p_value(reference, window, alternative):
    there, here = ([np.array([float(each)]) for each in sample] for sample in (reference, window))
    return p_values((there[0], there[1]), (here[0], here[1]), alternative)[0]


@pytest.mark.parametrize("alternative", ALTERNATIVES)
@given(st.integers(0, 60), st.integers(0, 60), st.data())
def test_small_tables_are_exact(alternative, n, m, data):
    reference, window = (data.draw(st.integers(0, n)), n), (data.draw(st.integers(0, m)), m)
    expected = by_definition(reference, window, alternative)
    assert p_value(reference, window, alternative) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("alternative", ALTERNATIVES)
@pytest.mark.parametrize(
    ("reference", "window"),
    [((300, 1000), (420, 1000)), ((0, 2000), (40, 700)), ((52, 6400), (65, 5950)), ((1500, 3000), (1500, 3000))],
)
def test_large_tables_are_exact_far_into_the_tail(alternative, reference, window):
    expected = by_definition(reference, window, alternative)
    assert p_value(reference, window, alternative) == pytest.approx(expected, rel=2e-11)


@pytest.mark.parametrize("size", [10, 1000, 10**6, 10**9])
def test_equally_probable_tables_are_recognised_at_any_size(size):
    # Samples of one size: the mirrored table is as probable, so two sides are twice one.
    more = size // 2 + int(np.sqrt(size))
    one = p_value((size - more, size), (more, size), "greater")
    assert p_value((size - more, size), (more, size), "two-sided") == pytest.approx(2 * one, rel=1e-7)


def test_many_tables_at_once_are_each_as_alone():
    generator = np.random.default_rng(1)
    n, m = generator.integers(1, 5000, 300).astype(float), generator.integers(1, 5000, 300).astype(float)
    a, b = np.floor(n * generator.random(300)), np.floor(m * generator.random(300))
    for alternative in ALTERNATIVES:
        together = p_values((a, n), (b, m), alternative)
        alone = [p_value((a[i], n[i]), (b[i], m[i]), alternative) for i in range(300)]
        np.testing.assert_allclose(together, alone, rtol=1e-11, atol=1e-300)


@pytest.mark.parametrize("alternative", ALTERNATIVES)
def test_no_rows_and_no_events_surprise_nobody(alternative):
    for reference, window in [((0, 0), (0, 0)), ((0, 0), (3, 5)), ((3, 5), (0, 0)), ((0, 9), (0, 4)), ((9, 9), (4, 4))]:
        assert p_value(reference, window, alternative) == pytest.approx(1, abs=1e-13)
