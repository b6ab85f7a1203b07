"""The cells of a window, by hand, and what is no summary."""

import numpy as np
import pytest

from detectors.errors import InvalidDocument, TooFewRows
from detectors.rank import counts
from detectors.rank import reference as references
from detectors.rank.counts import MISSING
from detectors.rank.kolmogorov_smirnov import KolmogorovSmirnov


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
