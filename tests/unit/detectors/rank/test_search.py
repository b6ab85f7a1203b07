"""The guide table finds exactly what a binary search finds."""

import array_api_strict as strict
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from detectors.arrays import HOST, backend_of, on_host
from detectors.rank.search import Knots

finite = st.floats(allow_nan=False, allow_infinity=False)
ELSEWHERE = backend_of(strict.zeros((1, 1), device=strict.Device("device1")))


def expected_cells(knots, numbers):
    return [
        knot.searchsorted(row) + knot.searchsorted(row, side="right") for knot, row in zip(knots, numbers, strict=True)
    ]


@given(st.data(), st.integers(1, 3), st.integers(0, 20), st.sampled_from([HOST, ELSEWHERE]))
def test_any_finite_numbers(data, features, rows, backend):
    kind = data.draw(st.sampled_from([finite, st.floats(-3, 3), st.integers(-5, 5).map(float)]))
    knots = [np.unique(data.draw(hnp.arrays(np.float64, st.integers(0, 60), elements=kind))) for _ in range(features)]
    known = list(knots[0]) or [0.0]
    numbers = data.draw(hnp.arrays(np.float64, (features, rows), elements=kind | st.sampled_from(known)))
    numbers.sort(axis=1)
    found = Knots.of(knots, backend).cells(backend.put(numbers), 0)
    assert np.array_equal(on_host(found), expected_cells(knots, numbers))


@pytest.mark.parametrize("seed", range(4))
def test_features_with_and_without_a_guide_side_by_side(seed):
    generator = np.random.default_rng(seed)
    columns = [
        generator.normal(size=5000),
        generator.standard_cauchy(size=5000),
        generator.integers(0, 4, size=5000).astype(float),
        np.exp(generator.normal(size=5000)),
        np.concatenate([generator.normal(size=4990), generator.normal(size=10) * 1e300]),
        np.full(5000, 2.5),
    ]
    knots = [np.unique(column) for column in columns]
    found = Knots.of(knots, HOST)
    assert set(found.crowded) == {1, 5}
    numbers = np.sort(
        [
            np.concatenate([column[:500], generator.normal(size=300), knot[:10]])
            for column, knot in zip(columns, [np.resize(knot, 10) for knot in knots], strict=True)
        ],
        axis=1,
    )
    numbers = np.concatenate([np.full((6, 1), -1.7e308), numbers, np.full((6, 1), 1.7e308)], axis=1)
    expected = expected_cells(knots, numbers)
    assert np.array_equal(found.cells(numbers, 0), expected)
    assert np.array_equal(found.cells(numbers[4:], 4), expected[4:])


@pytest.mark.parametrize(("middle", "width"), [(1.6e9, 1e-3), (0.0, 1e-310), (1e300, 1e285), (-1.0, 3e-15)])
def test_values_whose_keys_are_equal_are_told_apart(middle, width):
    generator = np.random.default_rng(3)
    knots = np.unique(middle + width * generator.normal(size=3000))
    numbers = np.sort(np.concatenate([middle + width * generator.normal(size=2000), knots[::7]]))[np.newaxis]
    assert np.array_equal(Knots.of([knots], HOST).cells(numbers, 0), expected_cells([knots], numbers))


def test_neighbouring_floats_are_told_apart():
    knots = np.array([1.0])
    while len(knots) < 40:
        knots = np.append(knots, np.nextafter(knots[-1], 2))
    numbers = np.sort(np.concatenate([knots, [0.999, 1.1], np.nextafter(knots[-1:], 2)]))[np.newaxis]
    assert np.array_equal(Knots.of([knots], HOST).cells(numbers, 0), expected_cells([knots], numbers))


def test_more_values_than_the_narrowest_table_holds():
    knots = np.arange(40_000.0)
    numbers = np.arange(-1.0, 40_001.0, 0.5)[np.newaxis]
    assert np.array_equal(Knots.of([knots], HOST).cells(numbers, 0), expected_cells([knots], numbers))
