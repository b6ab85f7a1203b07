"""The cells of a window, by hand."""

import numpy as np

from detectors.rank import counts


def reference():
    return counts.fit("sha256:r", np.array([[1.0, 5.0], [2.0, 5.0], [2.0, 5.0], [4.0, 5.0]]))


def test_cells_are_between_and_on_the_distinct_values():
    summary = counts.summarise(reference(), np.array([[4.0, 5.0], [0.0, 6.0], [3.0, 4.0], [2.0, 5.0], [9.0, 5.0]]))
    assert summary.cells.tolist() == [[0, 3, 4, 5, 6], [0, 1, 1, 1, 2]]
    assert summary.cells.dtype == np.int32


def test_fractions_below_and_not_above_a_cell():
    cells = np.array([[0, 1, 2, 3, 4, 5, 6], [0, 1, 2, 2, 2, 2, 2]], dtype=np.int32)
    every = slice(None)
    assert reference().fraction_below(cells, every).tolist() == [
        [0, 0, 0.25, 0.25, 0.75, 0.75, 1],
        [0, 0, 1, 1, 1, 1, 1],
    ]
    assert reference().fraction_not_above(cells, every).tolist() == [
        [0, 0.25, 0.25, 0.75, 0.75, 1, 1],
        [0, 1, 1, 1, 1, 1, 1],
    ]


def test_zero_has_one_sign():
    fitted = counts.fit("sha256:r", np.array([[0.0], [-0.0]]))
    assert counts.summarise(fitted, np.array([[-0.0], [0.0]])).cells.tolist() == [[1, 1]]


def test_size_does_not_depend_on_the_reference():
    large = counts.fit("sha256:r", np.random.default_rng(0).normal(size=(5000, 2)))
    assert counts.summarise(large, np.zeros((10, 2))).cells.nbytes == 80
