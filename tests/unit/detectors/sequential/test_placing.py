import numpy as np
import pytest
from scipy.spatial.distance import cdist, pdist

from detectors.sequential.placing import FARTHEST, ONE, Placing, kernel, kernel_sums


def test_the_kernel_is_gaussian_in_deviations_with_the_median_distance():
    rows = np.random.default_rng(1).normal(size=(60, 3)) * [1, 100, 1e-5]
    placed = Placing.around(rows, None).place(rows)
    scaled = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    expected = np.exp(-(cdist(scaled, scaled) ** 2) / (2 * np.median(pdist(scaled) ** 2)))
    np.testing.assert_allclose(kernel(placed, placed) / ONE, expected, atol=1e-9)
    assert np.array_equal(kernel_sums(placed, placed), kernel(placed, placed).sum(axis=1))
    assert np.array_equal(kernel(placed, placed), kernel(placed, placed).T)


def test_one_row_has_the_same_bits_as_many():
    rows = np.random.default_rng(2).normal(size=(50, 5))
    placing = Placing.around(rows, 0.7)
    placed = placing.place(rows)
    for position in (0, 17, 49):
        one = placing.place(rows[position : position + 1])
        assert one.tobytes() == placed[position : position + 1].tobytes()
        assert np.array_equal(kernel(one, placed)[0], kernel(placed, placed)[position])


@pytest.mark.parametrize("value", [0.0, 3.0, 1.7976931348623157e308, 5e-324])
def test_hostile_values_are_placed_somewhere_finite(value):
    rows = np.full((20, 2), value)
    rows[:10, 1] = -value
    placing = Placing.around(rows, None)
    far = placing.place(np.array([[1.7976931348623157e308, -1.7976931348623157e308], [0.0, 5e-324]]))
    assert (np.abs(far) <= FARTHEST).all()
    placed = placing.place(rows)
    assert kernel(placed, placed).max() == ONE
    assert (kernel(far, placed) >= 0).all()
