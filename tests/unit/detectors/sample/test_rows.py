"""Rows in an order of their own, and choices among them that can be repeated."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from detectors.sample.rows import at_most, in_canonical_order, of

numbers = st.sampled_from([-1.0, 0.0, -0.0, 2.0, 5e-324])


@given(hnp.arrays(np.float64, st.tuples(st.integers(0, 12), st.integers(1, 3)), elements=numbers))
def test_the_canonical_order_is_lexicographic(rows):
    assert in_canonical_order(rows).tolist() == sorted(rows.tolist())


@given(hnp.arrays(np.float64, (9, 2), elements=numbers), st.permutations(range(9)), st.integers(1, 12))
def test_a_choice_depends_on_rows_and_seed_only(rows, order, limit):
    chosen = rows[at_most(rows, limit, (3, 1))]
    assert np.array_equal(chosen, rows[order][at_most(rows[order], limit, (3, 1))])
    assert len(chosen) == min(limit, 9)
    left = rows.tolist()
    for row in chosen.tolist():
        left.remove(row)


def test_seeds_choose_differently():
    rows = np.arange(100.0).reshape(-1, 1)
    assert (
        at_most(rows, 10, (0, 1)).tolist() != at_most(rows, 10, (1, 1)).tolist() != at_most(rows, 10, (1, 2)).tolist()
    )


def test_every_row_is_chosen_equally_often():
    rows = np.arange(10.0).reshape(-1, 1)
    chosen = np.concatenate([rows[at_most(rows, 3, (seed,))] for seed in range(2000)])
    counts = np.bincount(chosen.astype(int).ravel(), minlength=10)
    assert abs(counts - 600).max() < 100  # about five deviations


def test_samples_with_other_rows_are_other_samples():
    assert of("sha256:r", np.ones((2, 1)), 1) != of("sha256:r", np.zeros((2, 1)), 1)
    assert of("sha256:r", np.ones((2, 1)), 1) != of("sha256:s", np.ones((2, 1)), 1)
