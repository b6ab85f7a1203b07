"""What counts as rows, and what the refusal says."""

import numpy as np
import pytest

from detectors.arrays import checked_rows, frozen, some_at_a_time
from detectors.errors import InvalidRows


def test_float64_rows_are_taken_without_a_copy():
    rows = np.ones((3, 2))
    assert checked_rows(rows) is rows or np.shares_memory(checked_rows(rows), rows)


@pytest.mark.parametrize("dtype", ["float16", "float32", "int8", "uint64", ">f4", "longdouble"])
def test_other_numbers_become_float64(dtype):
    checked = checked_rows(np.array([[1, 2], [3, 4]], dtype=dtype))
    assert checked.dtype == np.float64
    assert checked.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.zeros(3), r"two dimensions .* these have 1"),
        (np.zeros((1, 2, 3)), "these have 3"),
        (np.zeros((3, 0)), "no features"),
        (np.zeros((3, 2), dtype=bool), "real numbers, not bool"),
        (np.zeros((3, 2), dtype=complex), "real numbers, not complex128"),
        (np.zeros((3, 2), dtype=object), "real numbers, not object"),
        (np.array([["1", "2"]]), "real numbers"),
        (np.zeros((3, 2), dtype="datetime64[s]"), "real numbers"),
        (np.array([[0, 1], [2, np.nan]]), "row 1, column 1 is nan"),
        (np.array([[0, np.inf], [2, np.nan]]), "row 0, column 1 is inf"),
        (np.array([[0, 1], [-np.inf, 0]], dtype=np.float32), "row 1, column 0 is -inf"),
        (np.array([[np.longdouble("1e4000")]]), "row 0, column 0 is inf"),
        (np.ma.masked_array(np.zeros((2, 2)), mask=np.eye(2)), "masked"),
        ([[1.0, 2.0]], "not a list"),
        (None, "not a NoneType"),
        ("rows", "not a str"),
    ],
)
def test_what_are_no_rows_is_refused_with_the_place(rows, message):
    with pytest.raises(InvalidRows, match=message):
        checked_rows(rows)


def test_the_number_of_features_is_checked_where_it_is_known():
    assert checked_rows(np.zeros((0, 2)), features=2).shape == (0, 2)
    with pytest.raises(InvalidRows, match="2 features, and the reference has 3"):
        checked_rows(np.zeros((1, 2)), features=3)


def test_frozen_arrays_cannot_be_written():
    with pytest.raises(ValueError, match="read-only"):
        frozen(np.zeros(2))[0] = 1


@pytest.mark.parametrize(("features", "rows"), [(0, 5), (3, 0), (100, 1000), (7, 10**6)])
def test_parts_cover_all_features_once(features, rows):
    covered = [feature for part in some_at_a_time(features, rows) for feature in range(features)[part]]
    assert covered == list(range(features))
