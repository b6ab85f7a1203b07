"""The cells of a window, by hand, and what is no summary."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.errors import InvalidDocument, TooFewRows
from detectors.rank import counts
from detectors.rank import reference as references
from detectors.rank.counts import MISSING, Counts, Tally
from detectors.rank.extremes import Extremes
from detectors.rank.kolmogorov_smirnov import ALTERNATIVES, KolmogorovSmirnov


def reference(rows=((1.0, 5.0), (2.0, 5.0), (2.0, 5.0), (4.0, 5.0))):
    return references.fit(KolmogorovSmirnov(), np.array(rows))


def test_cells_are_between_and_on_the_distinct_values():
    summary = counts.summarise(reference(), np.array([[4.0, 5.0], [0.0, 6.0], [3.0, 4.0], [2.0, 5.0], [9.0, 5.0]]))
    assert summary.cells.tolist() == [[0, 3, 4, 5, 6], [0, 1, 1, 1, 2]]
    assert summary.cells.dtype == np.int32


def test_values_below_a_distinct_one():
    found = reference()
    assert found.below(np.array([[0, 1, 2, 3], [0, 1, 1, 1]])).tolist() == [[0, 1, 3, 4], [0, 4, 4, 4]]
    assert found.squares_below(np.array([[0, 1, 2, 3], [0, 1, 1, 1]])).tolist() == [[0, 1, 5, 6], [0, 16, 16, 16]]
    assert not found.untied
    assert found.power_sums.tolist() == [[6, 10, 1 + 12 + 4], [16, 64, 64]]


def test_zero_has_one_sign():
    assert counts.summarise(reference([[0.0], [-0.0]]), np.array([[-0.0], [0.0]])).cells.tolist() == [[1, 1]]


def test_size_does_not_depend_on_the_reference():
    large = reference(np.random.default_rng(0).normal(size=(5000, 2)))
    assert counts.summarise(large, np.zeros((10, 2))).cells.nbytes == 80


def test_missing_values_come_last_and_are_counted_feature_by_feature():
    nan = np.nan
    summary = counts.summarise(reference(), np.array([[nan, 5.0], [9.0, nan], [nan, nan], [np.inf, 5.0]]))
    assert summary.cells.tolist() == [[6, 6, MISSING, MISSING], [1, 1, MISSING, MISSING]]
    assert summary.missing.tolist() == [2, 2]
    assert (summary + summary).missing.tolist() == [4, 4]
    assert counts.summarise(reference(), np.array([[nan, 5.0]])).missing.tolist() == [1, 0]


def test_missing_reference_values_are_left_out_feature_by_feature():
    found = reference([[1.0, np.nan], [np.nan, np.nan], [1.0, 3.0]])
    assert found.present.tolist() == [[2], [1]]
    assert [each.tolist() for each in found.knots.values] == [[1.0], [3.0]]
    assert reference().present.tolist() == [[4]]


def test_a_reference_without_any_value_is_refused_and_a_feature_without_is_not():
    with pytest.raises(TooFewRows, match="3 reference rows without a value"):
        reference(np.full((3, 2), np.nan))
    found = reference([[np.nan, 1.0]])
    assert counts.summarise(found, np.array([[7.0, 1.0]])).cells.tolist() == [[0], [1]]


def test_a_sum_of_many_is_sorted_now_and_then():
    found = reference()
    one = counts.summarise(found, np.array([[3.0, 5.0]]))
    total = counts.empty(found)
    for _ in range(100):
        total += one
        assert len(total.parts) <= 16
    assert total.count == 100
    assert total == counts.summarise(found, np.tile([[3.0, 5.0]], (100, 1)))


HOSTILE = {
    "no name": {},
    "another name": {"cell": np.zeros((2, 1), dtype=np.int32)},
    "another type": {"cells": np.zeros((2, 1), dtype=np.int64)},
    "another byte order": {"cells": np.zeros((2, 1), dtype=">i4")},
    "one dimension": {"cells": np.zeros(2, dtype=np.int32)},
    "a feature more": {"cells": np.zeros((3, 1), dtype=np.int32)},
    "below zero": {"cells": np.array([[-1], [0]], dtype=np.int32)},
    "beyond its own feature's": {"cells": np.array([[0], [3]], dtype=np.int32)},
    "nearly missing": {"cells": np.array([[MISSING - 1], [0]], dtype=np.int32)},
    "out of order": {"cells": np.array([[1, 0], [0, 0]], dtype=np.int32)},
    "missing before others": {"cells": np.array([[MISSING, 0], [0, 0]], dtype=np.int32)},
}


@pytest.mark.parametrize("arrays", HOSTILE.values(), ids=HOSTILE)
def test_arrays_that_no_summary_holds_are_refused(arrays):
    with pytest.raises(InvalidDocument):
        counts.restored(reference(), arrays)


def test_what_is_restored_is_a_copy():
    cells = np.array([[6, MISSING], [2, 2]], dtype=np.int32)
    summary = counts.restored(reference(), {"cells": cells})
    cells[:] = 0
    assert summary.cells.tolist() == [[6, MISSING], [2, 2]]
    assert not summary.cells.flags.writeable


def test_of_many_rows_it_is_the_rows_in_every_cell_that_are_kept():
    found = reference()  # seven cells and three
    rows = np.array([[4.0, 5.0], [0.0, np.nan], [3.0, 4.0], [2.0, 5.0]])
    first, last = counts.summarise(found, rows[:3]), counts.summarise(found, rows[3:])
    assert first.arrays().keys() == {"cells"}
    one = first + last
    assert one.arrays().keys() == {"counts", "missing"}
    both = one + one
    assert {name: array.tolist() for name, array in both.arrays().items()} == {
        "counts": [2, 0, 0, 2, 2, 2, 0, 2, 4, 0],
        "missing": [0, 2],
    }
    assert (both.count, both.missing.tolist()) == (8, [0, 2])
    assert both.cells.tolist() == [[0, 0, 3, 3, 4, 4, 5, 5], [0, 0, 1, 1, 1, 1, MISSING, MISSING]]
    assert both == counts.summarise(found, np.array([[4.0, 5.0], [0.0, np.nan], [3.0, 4.0], [2.0, 5.0]] * 2))
    assert both == counts.restored(found, both.arrays())
    assert both == counts.restored(found, {"cells": both.cells})
    thousand = sum([both] * 1000, counts.empty(found))
    assert thousand.count == 8000
    assert sum(array.nbytes for array in thousand.arrays().values()) == sum(
        array.nbytes for array in both.arrays().values()
    )


def test_counts_are_written_in_as_few_bytes_as_they_fit_into():
    found = reference()
    one = counts.summarise(found, np.array([[4.0, 5.0], [0.0, np.nan], [3.0, 4.0], [2.0, 5.0]]))
    for doublings, dtype in ((2, np.uint16), (18, np.uint32), (33, np.int64)):
        many = one
        for _ in range(doublings):
            many += many
        arrays = many.arrays()
        assert arrays["counts"].dtype == dtype
        assert counts.restored(found, arrays) == many
        wide = {**arrays, "counts": arrays["counts"].astype(np.int64)}  # as they used to be written
        assert counts.restored(found, wide) == many


@pytest.mark.parametrize("alternative", ALTERNATIVES)
@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 200))
def test_a_tally_is_measured_as_its_rows_are(alternative, seed, reference_rows, window_rows):
    generator = np.random.default_rng(seed)
    rows, window = (generator.integers(0, 9, size=(count, 3)) / 2 for count in (reference_rows, window_rows))
    rows[generator.random(rows.shape) < 0.1] = window[generator.random(window.shape) < 0.1] = np.nan
    if np.isnan(rows).all():
        return
    found = references.fit(KolmogorovSmirnov(), rows)
    summary = counts.summarise(found, window)
    tally = Counts(found.digest, (Tally.of(found, summary.parts),), found)
    as_rows, as_counts = (Extremes.of(found, each, alternative) for each in (summary, tally))
    np.testing.assert_array_equal(as_counts.distance, as_rows.distance)
    measured = ~np.isnan(as_rows.distance)
    assert as_counts.reached[measured].tolist() == as_rows.reached[measured].tolist()


HOSTILE_TALLIES = {
    "too few rows": ([1, 2, 0, 0, 0, 0, 0, 1, 2, 0], [0, 0]),
    "not as many of every feature": ([8, 0, 0, 0, 0, 0, 0, 7, 0, 0], [0, 0]),
    "below zero": ([9, -1, 0, 0, 0, 0, 0, 8, 0, 0], [0, 0]),
    "missing below zero": ([8, 0, 0, 0, 0, 0, 0, 9, 0, 0], [0, -1]),
    "a cell more": ([8, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0], [0, 0]),
    "a feature more": ([8, 0, 0, 0, 0, 0, 0, 8, 0, 0], [0, 0, 0]),
    "more than there can be": ([2**62, 0, 0, 0, 0, 0, 0, 2**62, 0, 0], [0, 0]),
}


@pytest.mark.parametrize("tally", HOSTILE_TALLIES.values(), ids=HOSTILE_TALLIES)
def test_a_tally_that_no_summary_holds_is_refused(tally):
    arrays = {name: np.array(array) for name, array in zip(("counts", "missing"), tally, strict=True)}
    with pytest.raises(InvalidDocument):
        counts.restored(reference(), arrays)
    with pytest.raises(InvalidDocument):
        counts.restored(reference(), {**arrays, "cells": np.zeros((2, 1), dtype=np.int32)})
