"""Kernel, bandwidth and frame against their definitions."""

import array_api_strict as strict
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from detectors.arrays import on_host
from detectors.kernel import gaussian
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


@pytest.mark.parametrize("device", [None, strict.Device("device1")], ids=str)
def test_rows_that_are_far_out_are_as_far_from_one_another_as_they_are(device):
    """Squares of 1e9 bandwidths have no digits left for a distance of one."""
    places = np.array([0.0, 0.5, 1e5, 1e5 + 0.5, 1e9, 1e9 + 1, -1e9, 1e150, 1e300, -1e300, 1e307])
    rows = np.column_stack([places, np.zeros(len(places))])
    with np.errstate(over="ignore"):
        expected = np.exp(-squares(rows, rows) / 2)
    there = rows if device is None else strict.asarray(rows, device=device)
    np.testing.assert_allclose(on_host(kernel(there, there)), expected, rtol=1e-12)
    np.testing.assert_allclose(on_host(kernel(there[:4, :], there[3:, :])), expected[:4, 3:], rtol=1e-12)
    assert median_bandwidth(there[:5, :]) == pytest.approx(1e5 / np.sqrt(2), rel=1e-4)


def test_rows_far_from_a_given_bandwidth_are_not_all_one():
    rows = np.random.default_rng(6).normal(size=(100, 1)) * 1e9
    frame = Frame.around(rows, standardise=False, length=1.0)
    placed = frame.within(1.0 / frame.unit()).place(rows)
    np.testing.assert_array_equal(kernel(placed, placed), np.eye(100))


@pytest.mark.parametrize("outlier", [1e9, 1e308, np.finfo(np.float64).max])
def test_an_outlier_changes_no_distance_between_the_others(outlier):
    rows = np.random.default_rng(7).normal(3, 1, size=(1000, 2))
    with_one = rows.copy()
    with_one[0, 0] = outlier
    for standardise in (True, False):
        here, there = (Frame.around(each, standardise=standardise) for each in (rows, with_one))
        found, expected = there.place(with_one), here.place(rows)
        units = 1.0 if standardise else there.unit() / here.unit()
        np.testing.assert_allclose(
            squares(found[1:50], found[1:50]) * units**2, squares(*[expected[1:50]] * 2), rtol=0.06
        )
        assert (np.abs(found[0, 0] - found[1:, 0]) > 30 / units).all()
        assert median_bandwidth(found) * units == pytest.approx(median_bandwidth(expected), rel=0.06)


def test_a_constant_feature_is_measured_in_its_own_magnitude():
    frame = Frame.around(np.full((5, 1), 1000.0), standardise=True)
    assert frame.place(np.array([[1000.0]]))[0, 0] == 0
    assert 0.5 <= frame.place(np.array([[2000.0]]))[0, 0] <= 1


def test_bands_change_nothing(monkeypatch):
    generator = np.random.default_rng(3)
    left, right = generator.normal(size=(150, 3)), generator.normal(size=(40, 3))
    whole, within = kernel(left, right), kernel_within(left)
    assert (np.diag(within) == 0).all()
    assert (within + np.eye(150) > 0).all()
    monkeypatch.setattr(gaussian, "_AT_ONCE", 100)
    np.testing.assert_allclose(kernel(left, right), whole, rtol=1e-13)
    np.testing.assert_allclose(kernel_within(left), within, rtol=1e-13)


def test_no_rows_have_an_empty_kernel():
    assert kernel(np.empty((0, 2)), np.ones((3, 2))).shape == (0, 3)
    assert kernel(np.ones((3, 2)), np.empty((0, 2))).shape == (3, 0)
    assert kernel_within(np.empty((0, 2))).shape == (0, 0)


@pytest.mark.parametrize("device", [strict.Device("CPU_DEVICE"), strict.Device("device1")], ids=str)
def test_any_library_and_device_will_do(device):
    left, right = np.random.default_rng(4).normal(size=(2, 90, 3))
    left_there, right_there = strict.asarray(left, device=device), strict.asarray(right, device=device)
    for found, expected in (
        (kernel(left_there, right_there), kernel(left, right)),
        (kernel_within(left_there), kernel_within(left)),
    ):
        assert found.device == device
        np.testing.assert_allclose(on_host(found), expected, rtol=1e-13)
    assert median_bandwidth(left_there) == pytest.approx(median_bandwidth(left), rel=1e-13)


def test_the_bandwidth_of_many_rows_is_that_of_a_choice_among_them(monkeypatch):
    rows = np.random.default_rng(5).normal(size=(900, 2))
    everything = median_bandwidth(rows)
    monkeypatch.setattr(gaussian, "BANDWIDTH_ROWS", 300)
    chosen = median_bandwidth(rows)
    assert chosen != everything
    assert chosen == pytest.approx(everything, rel=0.1)
    assert chosen == median_bandwidth(rows[::-1].copy())  # whatever the order they came in
    assert chosen == median_bandwidth(rows) != median_bandwidth(rows, seed=1)
