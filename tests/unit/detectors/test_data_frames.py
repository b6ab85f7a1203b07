"""Data frames, by stand-ins that behave as those of pandas and polars do."""

from decimal import Decimal

import numpy as np
import pytest

from detectors.data_frames import names_of, refuse_other_columns, rows_of
from detectors.errors import InvalidRows
from tests.unit.detectors.frames import Column, Frame, NAType


def test_columns_become_float64_in_their_order():
    frame = Frame(amount=[1.5, np.nan], items=np.array([3, 2**53], dtype=np.int64), paid=[True, False])
    rows = rows_of(frame)
    assert rows.dtype == np.float64
    np.testing.assert_array_equal(rows, [[1.5, 3, 1], [np.nan, 2**53, 0]])
    assert names_of(frame) == ("amount", "items", "paid")


def test_what_is_missing_by_any_word_is_nan():
    frame = Frame(a=np.array([1, None, NAType(), True], dtype=object))
    np.testing.assert_array_equal(rows_of(frame)[:, 0], [1, np.nan, np.nan, 1])


@pytest.mark.parametrize(
    "values",
    [
        ["a", "b"],
        np.array(["2026-01-01"], dtype="datetime64[s]"),
        np.array([1, "b"], dtype=object),
        np.array([Decimal(1)], dtype=object),
        np.array([1j]),
    ],
)
def test_what_is_no_number_is_refused_by_its_column(values):
    with pytest.raises(InvalidRows, match=r"column 'b' holds .*codes"):
        rows_of(Frame(a=[1.0] * len(values), b=values))


@pytest.mark.parametrize(
    "values",
    [
        np.array([1, 2**53 + 1], dtype=np.int64),
        np.array([None, 2**53 + 1], dtype=object),
        np.array([None, 2**2000], dtype=object),
    ],
)
def test_integers_that_float64_cannot_hold_are_refused_by_column_and_row(values):
    with pytest.raises(InvalidRows, match=r"column 'b', row 1 is .* a whole number that float64 cannot hold"):
        rows_of(Frame(a=[1.0, 1.0], b=values))


def test_integers_that_a_library_made_floating_point_for_what_is_missing_are_not_trusted_beyond_it():
    values = np.array([np.nan, 2.0**53])
    assert rows_of(Frame(a=values))[1, 0] == 2**53
    frame = Frame(a=values)
    frame["a"].dtype = "Int64"
    with pytest.raises(InvalidRows, match="column 'a', row 1"):
        rows_of(frame)


def test_other_rows_are_left_as_they_are():
    rows = np.ones((2, 2))
    assert rows_of(rows) is rows
    assert names_of(rows) is None
    assert rows_of(Column([1.0, 2.0])).tolist() == [1.0, 2.0]


def test_frames_without_rows_or_columns_are_rows_too():
    assert rows_of(Frame(a=[], b=[])).shape == (0, 2)
    assert rows_of(Frame()).shape == (0, 0)


def test_two_columns_of_one_name_are_refused():
    frame = Frame(a=[1.0])
    frame.columns = ["a", "a"]
    with pytest.raises(InvalidRows, match="twice"):
        names_of(frame)


def test_columns_have_to_be_the_references_where_both_have_names():
    refuse_other_columns(("a", "b"), Frame(a=[1.0], b=[1.0]))
    refuse_other_columns(("a", "b"), np.ones((1, 2)))
    refuse_other_columns(None, Frame(b=[1.0], a=[1.0]))
    with pytest.raises(InvalidRows, match=r"\['b', 'a'\].*\['a', 'b'\]"):
        refuse_other_columns(("a", "b"), Frame(b=[1.0], a=[1.0]))
