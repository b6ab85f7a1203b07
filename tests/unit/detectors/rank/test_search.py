"""The guide table finds exactly what a binary search finds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from detectors.rank.search import Knots

finite = st.floats(allow_nan=False, allow_infinity=False)


def expected_cells(knots, numbers):
    return [
        knot.searchsorted(row) + knot.searchsorted(row, side="right") for knot, row in zip(knots, numbers, strict=True)
    ]


@given(st.data(), st.integers(1, 3), st.integers(0, 20))
def test_any_finite_numbers(data, features, rows):
    kind = data.draw(st.sampled_from([finite, st.floats(-3, 3), st.integers(-5, 5).map(float)]))
    knots = [np.unique(data.draw(hnp.arrays(np.float64, st.integers(1, 60), elements=kind))) for _ in range(features)]
    numbers = data.draw(hnp.arrays(np.float64, (features, rows), elements=kind | st.sampled_from(list(knots[0]))))
    numbers.sort(axis=1)
    assert np.array_equal(Knots.of(knots).cells(numbers), expected_cells(knots, numbers))


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
    found = Knots.of(knots)
    assert set(found.crowded) == {1, 5}
    numbers = np.sort(
        [
            np.concatenate([column[:500], generator.normal(size=300), knot[:10]])
            for column, knot in zip(columns, [np.resize(knot, 10) for knot in knots], strict=True)
        ],
        axis=1,
    )
    numbers = np.concatenate([np.full((6, 1), -1.7e308), numbers, np.full((6, 1), 1.7e308)], axis=1)
    assert np.array_equal(found.cells(numbers), expected_cells(knots, numbers))


def test_neighbouring_floats_are_told_apart():
    knots = np.array([1.0])
    while len(knots) < 40:
        knots = np.append(knots, np.nextafter(knots[-1], 2))
    numbers = np.sort(np.concatenate([knots, [0.999, 1.1], np.nextafter(knots[-1:], 2)]))[np.newaxis]
    assert np.array_equal(Knots.of([knots]).cells(numbers), expected_cells([knots], numbers))
