"""Rows as the client writes them are rows as the service reads them."""

import json
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from driftwarden_client import rows as client_rows
from service.domain.forwarding import ROWS_KIND
from service.http.formats import read_table
from service.http.formats.table import Table

NUMBERS = st.none() | st.floats(allow_infinity=False) | st.integers(-(2**53), 2**53) | st.booleans()
TIME = 1_770_000_000_000


def read(rows: object, predictions: object = None, features: list[str] | None = None) -> Table:
    numbers, width = client_rows.packed(rows, predictions, 10_000)
    pieces = client_rows.document(numbers, width, features, TIME)
    return read_table(client_rows.MEDIA_TYPE, b"".join(pieces))


def expected(rows: list[list[float | None]]) -> np.ndarray:
    return np.array([[np.nan if value is None else value for value in row] for row in rows], dtype=np.float64)


@given(st.integers(1, 5).flatmap(lambda width: st.lists(st.lists(NUMBERS, min_size=width, max_size=width), min_size=1)))
def test_lists_arrive_bit_for_bit_with_holes_and_times(rows: list[list[float | None]]) -> None:
    table = read(rows)
    np.testing.assert_array_equal(table.rows, expected(rows))
    assert table.features is None
    assert table.times is not None
    assert table.times.tolist() == [TIME] * len(rows)
    assert table.observed_at == datetime.fromtimestamp(TIME / 1000, UTC)


@given(
    arrays.arrays(
        st.sampled_from([np.float64, np.float32, np.float16, np.int32, np.uint8, np.bool_]),
        st.tuples(st.integers(1, 6), st.integers(1, 4)),
        elements={"allow_infinity": False},
    )
)
def test_arrays_arrive_bit_for_bit_whatever_their_type_and_order(array: np.ndarray) -> None:
    np.testing.assert_array_equal(read(array).rows, array.astype(np.float64))
    np.testing.assert_array_equal(read(np.asfortranarray(array)).rows, array.astype(np.float64))


@pytest.mark.parametrize(
    "predictions", [[0.5, 0.25], [[0.5], [0.25]], np.array([0.5, 0.25]), np.array([[0.5], [0.25]])]
)
def test_predictions_stand_behind_the_features_under_their_names(predictions: object) -> None:
    table = read([[1, 2], [3, None]], predictions, ["a", "ä", "predicted"])
    np.testing.assert_array_equal(table.rows, [[1, 2, 0.5], [3, np.nan, 0.25]])
    assert table.features == ["a", "ä", "predicted"]


class Frame:
    """What a data frame of any library offers of its numbers."""

    size = 4

    def to_numpy(self) -> np.ndarray:
        return np.array([[1.0, 2.0], [3.0, 4.0]])


def test_data_frames_are_asked_for_their_numbers() -> None:
    np.testing.assert_array_equal(read(Frame()).rows, [[1, 2], [3, 4]])


def test_the_kind_is_the_services_own() -> None:
    (head, *_) = client_rows.document(*client_rows.packed([[1.0]], None, 1), None, TIME)
    assert json.loads(head[8:])["kind"] == ROWS_KIND


@pytest.mark.parametrize(
    "rows",
    [None, 3, "12", [], [[]], [1, 2], [[1], [1, 2]], [["a"]], [["1"]], [[1j]], [[[1]]], ["12"], {"a": 1}, iter([[1]])],
)
def test_what_is_no_table_of_numbers_is_told_apart(rows: object) -> None:
    with pytest.raises(client_rows.NotRows):
        client_rows.packed(rows, None, 100)


@pytest.mark.parametrize("predictions", [[1], [1, 2, 3], "ab", [[1], [1, 2]], 7])
def test_predictions_are_one_for_each_row(predictions: object) -> None:
    with pytest.raises(client_rows.NotRows):
        client_rows.packed([[1], [2]], predictions, 100)


@pytest.mark.parametrize("features", [[1], ["\ud800"]])
def test_names_are_text(features: list[object]) -> None:
    with pytest.raises(client_rows.NotRows):
        client_rows.document(*client_rows.packed([[1.0]], None, 1), features, TIME)  # type: ignore[arg-type]


@pytest.mark.parametrize("rows", [np.zeros((11, 1)), [[0.0] * 11], [[0.0]] * 11])
def test_more_numbers_than_may_be_copied_are_not(rows: object) -> None:
    with pytest.raises(client_rows.TooManyNumbers):
        client_rows.packed(rows, None, 10)


VALUES = st.none() | st.floats(allow_infinity=False) | st.booleans() | st.text(max_size=5)


@given(st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(VALUES, min_size=width, max_size=width), min_size=1)))
def test_rows_with_text_are_json_that_says_the_same(rows: list[list[object]]) -> None:
    written = json.loads(client_rows.with_text(rows, None, ["a"] * len(rows[0]), TIME, 10_000))
    assert written["rows"] == [[None if value != value else value for value in row] for row in rows]  # noqa: PLR0124
    assert datetime.fromisoformat(written["observed_at"]).timestamp() * 1000 == TIME


def test_text_of_arrays_and_predictions_stands_in_its_columns() -> None:
    rows = np.array([["Bern", 2.5], ["Genf", np.nan]], dtype=object)
    written = json.loads(client_rows.with_text(rows, np.array([0.5, 1.0]), None, TIME, 100))
    assert written["rows"] == [["Bern", 2.5, 0.5], ["Genf", None, 1.0]]


@pytest.mark.parametrize(
    "rows",
    [
        "text",
        ["text"],
        [[b"bytes"]],
        [[object()]],
        [[float("inf"), "a"]],
        [[["a"]]],
        None,
        5,
        [],
        [[]],
        [["a"], ["b", "c"]],
    ],
)
def test_what_is_no_table_of_numbers_and_texts_is_refused(rows: object) -> None:
    with pytest.raises(client_rows.NotRows):
        client_rows.with_text(rows, None, None, TIME, 100)


def test_of_too_many_texts_no_more_are_looked_at() -> None:
    with pytest.raises(client_rows.TooManyNumbers):
        client_rows.with_text([["a"] * 11], None, None, TIME, 10)
