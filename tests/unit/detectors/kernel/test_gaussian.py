"""Kernel, bandwidth and frame against their definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from detectors.kernel.gaussian import Frame, kernel, kernel_within, median_bandwidth


def squares(left, right):
    return ((left[:, np.newaxis] - right) ** 2).sum(axis=2)


def test_the_kernel_is_the_formula():
    generator = np.random.default_rng(0)
    left, right = generator.normal(size=(7, 3)), generator.normal(size=(5, 3))
    np.testing.assert_allclose(kernel(left, right), np.exp(-squares(left, right) / 2), rtol=1e-13)
    within = kernel_within(left)
    assert (np.diag(within) == 0).all()
    np.testing.assert_allclose(within, within.T, rtol=1e-13)


@given(hnp.arrays(np.float64, st.tuples(st.integers(2, 12), st.integers(1, 3)), elements=st.integers(-4, 4).map(float)))
def test_the_bandwidth_is_the_lower_median_of_all_pairs(rows):
    n = len(rows)
    everything = np.sort(squares(rows, rows).ravel())
    defined = everything[n + (n * n - n) // 2 - 1]
    if defined > 0:
        assert median_bandwidth(rows) == pytest.approx(np.sqrt(defined / 2), rel=1e-12)
    else:
        assert median_bandwidth(rows) > 0


def test_equal_rows_have_a_bandwidth_too():
    assert median_bandwidth(np.ones((4, 2))) == 1
    assert median_bandwidth(np.array([[0.0]] * 9 + [[2.0]])) == pytest.approx(np.sqrt(2))


def test_standardising_gives_zero_mean_and_unit_deviation():
    rows = np.random.default_rng(1).normal(3, 1, size=(50, 3)) * np.array([1e-200, 1.0, 1e200])
    placed = Frame.around(rows, standardise=True).place(rows)
    np.testing.assert_allclose(placed.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(placed.std(axis=0), 1, rtol=1e-12)


def test_not_standardising_keeps_distances():
    rows = np.random.default_rng(2).normal(100, 1, size=(20, 3))
    frame = Frame.around(rows, standardise=False)
    placed = frame.place(rows)
    np.testing.assert_allclose(squares(placed, placed) * frame.unit() ** 2, squares(rows, rows), rtol=1e-9)


@pytest.mark.parametrize("standardise", [True, False])
@given(st.data())
def test_places_are_finite_whatever_the_rows(standardise, data):
    anything = st.floats(allow_nan=False, allow_infinity=False)
    features = data.draw(st.integers(1, 3))
    reference, window = (
        data.draw(hnp.arrays(np.float64, (data.draw(st.integers(1, 6)), features), elements=anything)) for _ in range(2)
    )
    frame = Frame.around(reference, standardise=standardise).within(data.draw(st.floats(5e-324, 1e308)))
    assert np.isfinite(frame.place(reference)).all()
    assert np.isfinite(frame.place(window)).all()
    similarities = kernel(frame.place(reference), frame.place(window))
    assert ((similarities >= 0) & (similarities <= 1)).all()


def test_a_constant_feature_is_measured_in_its_own_magnitude():
    frame = Frame.around(np.full((5, 1), 1000.0), standardise=True)
    assert frame.place(np.array([[1000.0]]))[0, 0] == 0
    assert 0.5 <= frame.place(np.array([[2000.0]]))[0, 0] <= 1
