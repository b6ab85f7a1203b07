"""Payload formats: what they read, and that what they cannot read is told with its place and without its value."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.domain.errors import InvalidInput, UnsupportedFormat
from service.http.formats import read_table

JSON, CSV = "application/json", "text/csv"
PERSONAL = "4711.0815"  # stands for a value of somebody's: it must not come back


def faults(content_type: str | None, body: bytes) -> list[tuple[str, str]]:
    with pytest.raises(InvalidInput) as raised:
        read_table(content_type, body)
    assert PERSONAL not in str(raised.value)
    assert len(str(raised.value)) < 5_000
    return [(fault.place, fault.message) for fault in raised.value.faults]


def places(content_type: str | None, body: bytes) -> list[str]:
    return [place for place, _ in faults(content_type, body)]


tables = st.integers(1, 5).flatmap(
    lambda width: st.lists(
        st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=width, max_size=width),
        min_size=1,
        max_size=8,
    )
)


@given(tables)
def test_json_rows_are_read_to_the_last_bit(values: list[list[float]]) -> None:
    assert read_table(JSON, json.dumps({"rows": values}).encode()).rows.tolist() == values


@given(tables)
def test_csv_rows_are_read_to_the_last_bit(values: list[list[float]]) -> None:
    names = [f"f{index}" for index in range(len(values[0]))]
    lines = [names, *([repr(value) for value in row] for row in values)]
    table = read_table(CSV, "\n".join(",".join(line) for line in lines).encode())
    assert table.rows.tolist() == values
    assert table.features == names


@given(st.sampled_from([JSON, CSV]), st.binary(max_size=200))
def test_arbitrary_bytes_are_rows_or_a_fault_and_nothing_else(content_type: str, body: bytes) -> None:
    try:
        rows: NDArray[np.float64] = read_table(content_type, body).rows
    except InvalidInput:
        return
    assert rows.ndim == 2
    assert rows.size
    assert not np.isinf(rows).any()


@pytest.mark.parametrize("content_type", [None, JSON, "Application/JSON", "application/json; charset=utf-8"])
def test_json_is_read_by_its_media_type_and_without_one(content_type: str | None) -> None:
    assert read_table(content_type, b'{"rows": [[1]]}').rows.tolist() == [[1.0]]


@pytest.mark.parametrize("content_type", ["application/xml", "text/plain", "json", "multipart/form-data", "*/*", ""])
def test_other_media_types_are_refused_with_those_that_are_read(content_type: str) -> None:
    if content_type == "":
        assert read_table(content_type, b'{"rows": [[1]]}').rows.size == 1
        return
    with pytest.raises(UnsupportedFormat, match=r"application/json, text/csv"):
        read_table(content_type, b'{"rows": [[1]]}')


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ('{"rows": [[1, 2], [3]]}', "rows[1]"),
        ('{"rows": [[1, 2], [3, 4], [5, 6, 7]]}', "rows[2]"),
        ('{"rows": [[1, NaN]]}', "rows[0][1]"),
        ('{"rows": [[1, Infinity]]}', "rows[0][1]"),
        ('{"rows": [[-Infinity]]}', "rows[0][0]"),
        ('{"rows": [[1e400]]}', "rows[0][0]"),
        ('{"rows": [[1' + "0" * 400 + "]]}", "rows[0][0]"),
        ('{"rows": [["4711.0815"]]}', "rows[0][0]"),
        ('{"rows": [[true]]}', "rows[0][0]"),
        ('{"rows": [[[4711.0815]]]}', "rows[0][0]"),
        ('{"rows": [[{"a": 4711.0815}]]}', "rows[0][0]"),
        ('{"rows": [1, 2]}', "rows[0]"),
        ('{"rows": [[]]}', "rows[0]"),
        ('{"rows": []}', "rows"),
        ('{"rows": {}}', "rows"),
        ('{"rows": "4711.0815"}', "rows"),
        ('{"rows": null}', "rows"),
        ("{}", "rows"),
        ('{"rows": [[1]], "features": [4711.0815]}', "features[0]"),
        ('{"rows": [[1]], "features": "4711.0815"}', "features"),
        ('{"rows": [[1]], "observed_at": "4711.0815 oClock"}', "observed_at"),
        ('{"rows": [[1]], "observed_at": "2026-01-31T12:00:00"}', "observed_at"),
        ('{"rows": [[1]], "more": 1}', "more"),
    ],
)
def test_json_that_is_no_table_is_told_with_its_place(body: str, place: str) -> None:
    assert place in places(JSON, body.encode())


def test_rows_that_are_objects_are_told_where_they_belong() -> None:
    ((place, message),) = faults(JSON, b'{"rows": [[1], {"amount": 4711.0815}]}')
    assert place == "rows[1]"
    assert '{"instances": [{...}, ...]}' in message


@pytest.mark.parametrize("body", [b"0.25,17\n0.5,18\n", b"-1,1e3\n2,3\n", b"2\n5\n"])
def test_csv_without_a_line_of_names_is_refused_instead_of_naming_columns_by_values(body: bytes) -> None:
    assert places(CSV, body) == ["line 1"]


@pytest.mark.parametrize("body", [b"0,1\n5,6\n", b"1,2\n5,6\n"])
def test_columns_that_are_called_by_their_numbers_have_names(body: bytes) -> None:
    assert read_table(CSV, body).rows.tolist() == [[5.0, 6.0]]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  \n",
        b"null",
        b"4711.0815",
        b'"4711.0815"',
        b"[[1, 2]]",
        b"{",
        b'{"rows": [[1]]} 4711.0815',
        b"\xff\xfe",
        b'\xef\xbb\xbf{"rows": [[1]]}',
        b'{"rows": [[1]], "features": ["\xff4711.0815"]}',
        b'{"rows": [[1]], "features": ["\\ud800"]}',
        b"[" * 100_000,
        b'{"rows":' * 5_000,
        b"a,b\n1,2\n",
        b"{'rows': [[4711.0815]]}",
        b'{"rows": [[01]]}',
        b'{"rows": [[1,]]}',
        b'{"rows": [[1]]\x00}',
    ],
)
def test_bytes_that_are_not_the_document_are_a_fault(body: bytes) -> None:
    assert faults(JSON, body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"rows": [[1]], "rows": [[2]]}',
        b'{"rows": [[1]], "rows" : [[1]]}',
        b'{"columns": {"a": [1], "a": [2]}}',
        b'{"columns": {"a": [1], "\\u0061": [2]}}',
        b'{"rows": [[1]], "features": ["\\":"], "rows": [[1]]}',
    ],
)
def test_a_member_that_is_there_twice_is_refused(body: bytes) -> None:
    assert faults(JSON, body) == [("body", "names a member twice in one object")]


def test_what_looks_like_a_member_within_a_string_is_none() -> None:
    assert read_table(JSON, b'{"rows": [[1]], "features": ["a\\":b\\" :"]}').features == ['a":b" :']


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (JSON, b'{"rows": [[1, null]], "features": ["a", "b"]}'),
        (JSON, b'{"columns": {"a": [1], "b": [null]}}'),
        (CSV, b"a,b\n1,\n"),
        (CSV, b"a,b\n1, \n"),
    ],
)
def test_a_missing_value_is_nan(content_type: str, body: bytes) -> None:
    table = read_table(content_type, body)
    assert table.features == ["a", "b"]
    assert np.array_equal(table.rows, [[1.0, np.nan]], equal_nan=True)


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ('{"columns": {"a": [1, 2], "4711.0815": [3]}}', "columns[1]"),
        ('{"columns": {"a": []}}', "columns[0]"),
        ('{"columns": {"4711.0815": ["x"]}}', "columns[0][0]"),
        ('{"columns": {"4711.0815": [NaN]}}', "columns.*[0]"),
        ('{"columns": {}}', "columns"),
        ('{"columns": [[1]]}', "columns"),
        ('{"columns": {"a": [true]}}', "columns[0][0]"),
        ('{"columns": {"a": [1]}, "rows": [[1]]}', "rows"),
        ('{"columns": {"a": [1]}, "features": ["a"]}', "features"),
    ],
)
def test_columns_that_are_no_table_are_told_with_their_place(body: str, place: str) -> None:
    assert place in places(JSON, body.encode())


def test_columns_are_rows_the_other_way_round() -> None:
    table = read_table(JSON, b'{"columns": {"b": [1, 2, 3], "a": [4, 5, 6]}, "observed_at": "2026-01-31T12:00:00Z"}')
    assert (table.features, table.rows.tolist()) == (["b", "a"], [[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]])
    assert table.rows.flags.c_contiguous
    assert table.observed_at is not None


@pytest.mark.parametrize(
    "moment",
    ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.9999Z", "9999-12-31T23:59:59-14:00", "1969-12-31T23:59:59Z"],
)
def test_times_that_the_log_could_not_give_back_are_refused(moment: str) -> None:
    assert places(JSON, json.dumps({"rows": [[1]], "observed_at": moment}).encode()) == ["observed_at"]


def test_a_thousand_faults_are_told_by_the_first_twenty() -> None:
    assert len(faults(JSON, json.dumps({"rows": [["x"]] * 1000}).encode())) == 20


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ("a,b\n1,2\n3\n", "line 3"),
        ("a,b\n1,2,4711.0815\n", "line 2"),
        ("a,b\n1,nan\n", "line 2, column 2"),
        ("a,b\n1,NaN\n", "line 2, column 2"),
        ("a,b\n1,inf\n", "line 2, column 2"),
        ("a,b\n1,-Infinity\n", "line 2, column 2"),
        ("a,b\n1,1e400\n", "line 2, column 2"),
        ("a,b\n1,true\n", "line 2, column 2"),
        ("a,b\n1,null\n", "line 2, column 2"),
        ("a,b\n1,secret 4711.0815\n", "line 2, column 2"),
        ('a,b\n1,"4711.0815,0"\n', "line 2, column 2"),
        ("a,b\n1,1_000\n", "line 2, column 2"),
        ("a,b\n1,0x10\n", "line 2, column 2"),
        ("a,b\n1,\u0661\n", "line 2, column 2"),
        ("4711.0815,1\nx,2\n", "line 1"),  # no line of names: they are values, too
        ("a,b\n\n1,2\n\n3,x\n", "line 5, column 2"),
        ('a,"b\nc"\n1,x\n', "line 3, column 2"),
        ("a;b\n1;2\n", "line 2, column 1"),
    ],
)
def test_csv_that_is_no_table_is_told_with_its_place(body: str, place: str) -> None:
    assert places(CSV, body.encode()) == [place]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\n",
        b"a,b",
        b"a,b\n",
        b"\xef\xbb\xbf",
        b'a,b\n1,"4711.0815',
        b'a,b\n"1"x,2\n',
        b"a,b\n1,\xff\n",
        b"a\n1\x00\n",
        b"\xff\xfea\x00",
    ],
)
def test_bytes_that_are_not_csv_are_a_fault(body: bytes) -> None:
    assert faults(CSV, body)


@pytest.mark.parametrize(
    "body", [b"\xef\xbb\xbfa,b\n1,2\n", b"a,b\r\n1,2\r\n", b'"a","b"\n"1"," 2 "\n', b"a,b\n1,2\n\n"]
)
def test_csv_as_spreadsheets_write_it_is_read(body: bytes) -> None:
    table = read_table(CSV, body)
    assert (table.features, table.rows.tolist()) == (["a", "b"], [[1.0, 2.0]])


def test_a_field_longer_than_any_number_is_a_fault() -> None:
    assert faults(CSV, b"a\n" + b"1" * 200_000 + b"\n")


@given(tables.filter(lambda values: len(values[0]) > 1), st.data())
def test_a_row_that_is_too_short_is_found_wherever_it_is(values: list[list[float]], data: st.DataObject) -> None:
    index = data.draw(st.integers(1, len(values)))
    broken: list[list[Any]] = [*values[:index], values[0][:-1], *values[index:]]
    assert places(JSON, json.dumps({"rows": broken}).encode()) == [f"rows[{index}]"]


def test_each_row_may_have_a_time_of_its_own() -> None:
    moments = ["2026-01-31T12:00:00.125Z", "1970-01-01T00:00:00+00:00", "2026-01-31T12:00:00+01:00"]
    table = read_table(JSON, json.dumps({"rows": [[1], [2], [3]], "observed_at": moments}).encode())
    assert table.times is not None
    assert (table.times.dtype, table.times.tolist()) == (np.int64, [1769860800125, 0, 1769857200000])
    assert table.observed_at is not None
    assert table.observed_at.isoformat() == "2026-01-31T12:00:00.125000+00:00"
    one = read_table(JSON, json.dumps({"rows": [[1], [2]], "observed_at": moments[0]}).encode())
    assert one.times is None


@pytest.mark.parametrize(
    ("observed_at", "place"),
    [
        (["2026-01-31T12:00:00Z"], "observed_at"),
        (["2026-01-31T12:00:00Z"] * 3, "observed_at"),
        ([], "observed_at"),
        (["2026-01-31T12:00:00Z", "4711.0815 oClock"], "observed_at[1]"),
        (["2026-01-31T12:00:00Z", None], "observed_at[1]"),
        ([["2026-01-31T12:00:00Z"], "2026-01-31T12:00:00Z"], "observed_at[0]"),
        (["9999-12-31T23:59:59Z", "2026-01-31T12:00:00"], "observed_at[1]"),
        ({"one": "4711.0815"}, "observed_at"),
    ],
)
def test_times_that_are_not_one_for_each_row_are_refused(observed_at: object, place: str) -> None:
    assert place in places(JSON, json.dumps({"rows": [[1], [2]], "observed_at": observed_at}).encode())
