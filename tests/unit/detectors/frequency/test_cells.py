"""Which categories and intervals a reference makes."""

import numpy as np
import pytest

from detectors.errors import InvalidRows, TooFewRows
from detectors.frequency.cells import MAXIMUM_CATEGORIES, categories, cells_of, measured_columns


def column(values):
    return np.asarray(values, dtype=np.float64).reshape(-1, 1)


def values_of(rows, bins):
    return cells_of(column(rows), bins).of_feature(0).tolist()


def test_categories_are_the_distinct_values_and_zero_has_no_sign():
    rows = np.array([[2.0, np.nan], [-0.0, np.nan], [0.0, np.nan], [np.nan, np.nan]])
    cells = cells_of(rows, None)
    assert cells.of_feature(0).tolist() == [0.0, 2.0]
    assert cells.of_feature(1).tolist() == []
    assert cells.owners.tolist() == [0, 0]
    assert not cells.covering.any()


def test_too_many_categories_are_refused_with_column_limit_and_a_way_out():
    rows = np.column_stack([np.zeros(MAXIMUM_CATEGORIES + 1), np.arange(MAXIMUM_CATEGORIES + 1.0)])
    with pytest.raises(
        InvalidRows, match=r"column 1 has 1001 .* 1000 categories .*population_stability_index"
    ) as error:
        categories(measured_columns(rows), 0)
    assert not isinstance(error.value, TooFewRows)
    assert len(categories(measured_columns(rows[:-1]), 0).values) == MAXIMUM_CATEGORIES + 1


def test_intervals_are_equally_frequent():
    cells = cells_of(column(np.random.default_rng(0).permutation(1000)), 10)
    assert cells.of_feature(0).tolist() == [*(99.0 + 100 * np.arange(9)), np.inf]
    assert cells.covering.all()


def test_no_more_intervals_than_a_fifth_of_the_rows():
    assert len(values_of(np.arange(30), 10)) == 6
    assert len(values_of(np.arange(3), 10)) == 2


def test_few_repeated_values_are_taken_as_they_are():
    assert values_of([1, 1, 2, 2, 5, 5], 10) == [1, 2, 5]
    assert values_of([4, 4], 10) == [4]
    assert values_of([4], 10) == [4]
    assert np.inf in values_of([1, 2, 3, 3], 10)


@pytest.mark.parametrize("most", [0.0, 500.0])
def test_a_heavy_end_does_not_leave_everything_in_one_interval(most):
    rows = np.full(500, most)
    rows[:40] = np.arange(100, 140)
    ends = values_of(rows, 10)
    assert len(ends) >= 2
    inside = np.bincount(np.searchsorted(ends, rows), minlength=len(ends))
    assert (inside > 0).all()


def test_nothing_but_missing_values_is_one_interval():
    assert values_of([np.nan, np.nan], 10) == [np.inf]


def test_extreme_values_make_intervals_without_overflow():
    ends = values_of([-1.7e308, -1e308, -5e-324, 0, 5e-324, 1e308, 1.7e308, 1.79e308, 3, 4, 5], 10)
    assert ends == sorted(ends)
    with pytest.raises(TooFewRows):
        cells_of(np.empty((0, 2)), 10)
