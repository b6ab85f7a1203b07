"""All permutations at once against a plain loop over them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.kernel.gaussian import kernel, kernel_within
from detectors.kernel.permutation import Blocks, discrepancy, labellings, p_value, permuted


def blocks_of(reference, window):
    return Blocks(kernel_within(reference), kernel(reference, window), kernel_within(window))


def plainly(rows, chosen):
    """Unbiased MMD^2 of the chosen rows against the others, by the definition."""
    x, y = rows[chosen], rows[~chosen]
    n, m = len(x), len(y)
    k = {
        (a, b): np.exp(-((p[:, None] - q) ** 2).sum(axis=2) / 2)
        for a, p in (("x", x), ("y", y))
        for b, q in (("x", x), ("y", y))
    }
    within_x = (k["x", "x"].sum() - n) / (n * (n - 1))
    within_y = (k["y", "y"].sum() - m) / (m * (m - 1))
    return within_x + within_y - 2 * k["x", "y"].mean()


@given(st.integers(2, 9), st.integers(2, 9), st.integers(1, 3), st.integers(0, 2**32))
def test_every_permutation_as_in_a_loop(n, m, features, seed):
    generator = np.random.default_rng(seed)
    reference, window = generator.normal(size=(n, features)), generator.normal(0.5, size=(m, features))
    blocks, rows = blocks_of(reference, window), np.concatenate([reference, window])
    assert discrepancy(blocks) == pytest.approx(plainly(rows, np.arange(n + m) < n), abs=1e-13)
    labels = labellings(np.random.default_rng(seed), 25, n, m)
    expected = [plainly(rows, column.astype(bool)) for column in labels.T]
    np.testing.assert_allclose(permuted(blocks, labels), expected, atol=1e-13)


@pytest.mark.parametrize("permutations", [1, 100, 300])
def test_the_same_permutations_give_the_same_p_value(permutations):
    generator = np.random.default_rng(4)
    reference, window = generator.normal(size=(30, 2)), generator.normal(0.3, size=(20, 2))
    blocks, rows = blocks_of(reference, window), np.concatenate([reference, window])
    observed = plainly(rows, np.arange(50) < 30)
    stream, extreme = np.random.default_rng((9,)), 0
    for start in range(0, permutations, 128):
        for column in labellings(stream, min(128, permutations - start), 30, 20).T:
            extreme += plainly(rows, column.astype(bool)) >= observed
    assert p_value(blocks, discrepancy(blocks), permutations, (9,)) == (extreme + 1) / (permutations + 1)


def test_labellings_choose_every_row_equally_often():
    labels = labellings(np.random.default_rng(0), 4000, 3, 5)
    assert (labels.sum(axis=0) == 3).all()
    assert abs(labels.mean(axis=1) - 3 / 8).max() < 0.04


def test_what_differs_by_rounding_only_counts_as_equal():
    rows = np.array([[0.1], [0.2], [0.3], [0.7]])
    blocks = blocks_of(rows, rows[::-1])  # every exchange of twins gives the same value but for rounding
    assert p_value(blocks, discrepancy(blocks), 200, (0,)) == 1


def test_tiny_similarities_are_not_taken_for_ties():
    reference, window = np.arange(5.0).reshape(-1, 1) * 0.1, np.arange(5.0).reshape(-1, 1) * 0.1 + 30
    far = Blocks(kernel_within(reference) * 1e-30, kernel(reference, window) * 1e-30, kernel_within(window) * 1e-30)
    assert p_value(far, discrepancy(far), 99, (0,)) < 0.05
