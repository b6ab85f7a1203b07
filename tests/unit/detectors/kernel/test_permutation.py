"""All permutations at once, tile by tile, against a plain loop over them."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.arrays import HOST
from detectors.kernel import permutation, tiles
from detectors.kernel.permutation import KnownRows, labellings, p_value, statistic
from detectors.kernel.tiles import Ladder

ONE = np.ones(1)


def kernel_of(rows, power=1.0):
    matrix = np.exp(-power * ((rows[:, np.newaxis] - rows) ** 2).sum(axis=2) / 2)
    np.fill_diagonal(matrix, 0)
    return matrix


def plainly(matrix, chosen):
    """Unbiased MMD^2 of the chosen rows against the others, by the definition."""
    n, m = chosen.sum(), (~chosen).sum()
    within = matrix[np.ix_(chosen, chosen)].sum() / (n * (n - 1)) + matrix[np.ix_(~chosen, ~chosen)].sum() / (
        m * (m - 1)
    )
    return within - 2 * matrix[np.ix_(chosen, ~chosen)].mean()


def known(rows, ladder=None):
    return KnownRows.of(rows, HOST, ladder or Ladder())


def labelled(seed, count, n, m):
    """The labellings that a test of n rows against m draws, in terms of the first n."""
    labels = labellings(np.random.default_rng(seed), count, min(n, m), n + m).astype(bool)
    return labels if n <= m else ~labels


@given(st.integers(2, 9), st.integers(2, 9), st.integers(1, 3), st.integers(0, 2**32), st.integers(1, 4))
def test_every_permutation_as_in_a_loop(n, m, features, seed, tile_rows):
    generator = np.random.default_rng(seed)
    reference, window = generator.normal(size=(n, features)), generator.normal(0.5, size=(m, features))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles, "TILE_ROWS", tile_rows)
        totals, permuted = known(reference).permuted(window, 25, (seed,))
    matrix = kernel_of(np.concatenate([reference, window]))
    expected = [plainly(matrix, chosen) for chosen in labelled((seed,), 25, n, m)]
    assert totals.discrepancies()[0] == pytest.approx(plainly(matrix, np.arange(n + m) < n), abs=1e-13)
    np.testing.assert_allclose(permuted[0], expected, atol=1e-13)


@given(st.integers(2, 12), st.integers(2, 12), st.integers(0, 2**32), st.integers(1, 5))
def test_further_kernels_are_powers_of_the_first(n, m, seed, tile_rows):
    generator = np.random.default_rng(seed)
    reference, window = generator.normal(size=(n, 2)), generator.normal(0.5, size=(m, 2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles, "TILE_ROWS", tile_rows)
        totals, permuted = known(reference, Ladder(3, squares=True)).permuted(window, 7, (seed,))
    rows = np.concatenate([reference, window])
    for each, power in enumerate((1, 4, 16)):
        matrix = kernel_of(rows, power)
        assert totals.discrepancies()[each] == pytest.approx(plainly(matrix, np.arange(n + m) < n), abs=1e-12)
        expected = [plainly(matrix, chosen) for chosen in labelled((seed,), 7, n, m)]
        np.testing.assert_allclose(permuted[each], expected, atol=1e-12)


@pytest.mark.parametrize(("n", "m"), [(2, 4), (3, 3), (4, 3)])
def test_the_spread_is_the_deviation_over_all_labellings_but_for_the_counts(n, m):
    generator = np.random.default_rng(n)
    ratios = []
    for _ in range(3):
        rows = generator.normal(size=(n + m, 2))
        totals = known(rows[:n], Ladder(2, squares=True)).totals(rows[n:])
        for each, power in enumerate((1, 4)):
            matrix = kernel_of(rows, power)
            values = [plainly(matrix, np.isin(np.arange(n + m), c)) for c in combinations(range(n + m), n)]
            assert np.mean(values) == pytest.approx(0, abs=1e-12)
            ratios.append(np.std(values) / totals.spreads()[each])
    # Weights w of the pairs: Var = 2 |w|^2 |C|^2 / (N (N - 3)), and |C|^2 / (N (N - 3)) is the spread's square.
    expected = np.sqrt(2 * (1 / (n * (n - 1)) + 1 / (m * (m - 1)) + 2 / (n * m)))
    np.testing.assert_allclose(ratios, expected, rtol=1e-9)


def test_equal_rows_have_no_spread():
    totals = known(np.ones((5, 2)), Ladder(2, squares=True)).totals(np.ones((4, 2)))
    assert (totals.spreads() == 0).all()


@pytest.mark.parametrize("permutations", [1, 100, 300])
def test_the_p_value_counts_permutations_that_are_as_extreme(permutations, monkeypatch):
    generator = np.random.default_rng(4)
    reference, window = generator.normal(size=(30, 2)), generator.normal(0.3, size=(20, 2))
    totals, permuted = known(reference).permuted(window, permutations, (9,))
    matrix = kernel_of(np.concatenate([reference, window]))
    observed = plainly(matrix, np.arange(50) < 30)
    extreme = sum(plainly(matrix, chosen) >= observed for chosen in labelled((9,), permutations, 30, 20))
    assert p_value(totals, permuted, ONE) == (extreme + 1) / (permutations + 1)
    monkeypatch.setattr(permutation, "LABELLINGS_AT_ONCE", 7)  # the same ones, however many are drawn at a time
    monkeypatch.setattr(permutation, "_DRAWN_AT_ONCE", 100)
    monkeypatch.setattr(permutation, "KEPT_BYTES", 0)
    _, again = known(reference).permuted(window, permutations, (9,))
    np.testing.assert_allclose(again, permuted, atol=1e-14)


def test_testing_gives_the_totals_of_measuring_to_the_bit():
    generator = np.random.default_rng(5)
    reference, window = generator.normal(size=(700, 3)), generator.normal(size=(600, 3))
    fitted = known(reference, Ladder(2, squares=True))
    measured, (tested, _) = fitted.totals(window), fitted.permuted(window, 3, (0,))
    for field in ("reference", "across", "window", "row_squares"):
        assert getattr(measured, field).tobytes() == getattr(tested, field).tobytes()


@given(st.integers(2, 20), st.integers(2, 10), st.integers(1, 10), st.integers(0, 2**32), st.integers(1, 9))
def test_totals_without_some_rows_are_those_of_the_others(left, m, out, seed, tile_rows):
    generator = np.random.default_rng(seed)
    rows, window = generator.normal(size=(left + out, 2)), generator.normal(size=(m, 2))
    left_out = np.sort(generator.choice(left + out, out, replace=False))
    ladder = Ladder(2, squares=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles, "TILE_ROWS", tile_rows)
        found = known(rows, ladder).totals_without(left_out, window)
    expected = known(np.delete(rows, left_out, axis=0), ladder).totals(window)
    assert found.counts == expected.counts
    for field in ("reference", "across", "window", "row_squares"):
        np.testing.assert_allclose(getattr(found, field), getattr(expected, field), rtol=1e-11, atol=1e-11)


def test_labellings_choose_every_row_equally_often():
    labels = labellings(np.random.default_rng(0), 4000, 3, 8)
    assert (labels.sum(axis=1) == 3).all()
    assert abs(labels.mean(axis=0) - 3 / 8).max() < 0.04


def test_a_small_group_is_not_lost_beside_a_large_one():
    generator = np.random.default_rng(6)
    reference, window = generator.normal(size=(3000, 1)), generator.normal(size=(2, 1))
    _, permuted = known(reference).permuted(window, 3, (1,))
    matrix = kernel_of(np.concatenate([reference, window]))
    expected = [plainly(matrix, chosen) for chosen in labelled((1,), 3, 3000, 2)]
    np.testing.assert_allclose(permuted[0], expected, rtol=1e-12, atol=1e-13)


def test_what_differs_by_rounding_only_counts_as_equal():
    rows = np.array([[0.1], [0.2], [0.3], [0.7]])  # every exchange of twins gives the same value but for rounding
    totals, permuted = known(rows).permuted(rows[::-1], 200, (0,))
    assert p_value(totals, permuted, ONE) == 1


def test_tiny_similarities_are_not_taken_for_ties():
    reference, window = np.arange(5.0).reshape(-1, 1) * 20, np.arange(5.0).reshape(-1, 1) * 20 + 1000
    totals, permuted = known(reference).permuted(window, 99, (0,))
    assert 0 < totals.sizes()[0] < 1e-80
    assert p_value(totals, permuted, ONE) < 0.05


def test_the_statistic_is_the_largest_of_the_kernels_that_have_a_weight():
    values = np.array([[1.0, -1.0], [5.0, 5.0], [0.5, -3.0]])
    np.testing.assert_array_equal(statistic(values, np.array([1.0, 0.0, 4.0])), [2.0, -1.0])
    np.testing.assert_array_equal(statistic(values, np.zeros(3)), [0.0, 0.0])
