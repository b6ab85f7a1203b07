"""Text among columns: every format yields the same values, or refuses them by their place where no text is kept."""

import csv
import io
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.errors import DriftwardenError, InvalidInput
from service.domain.sent_columns import category_of
from service.http.errors import BodyTooLarge
from service.http.formats import read_reference, read_table
from service.http.formats.table import Table
from tests.processes.payloads import raw, tensor

pa = pytest.importorskip("pyarrow", reason="the extra `arrow` is not installed")
parquet = pytest.importorskip("pyarrow.parquet")

JSON, CSV, BINARY = "application/json", "text/csv", "application/octet-stream"
ARROW, PARQUET = "application/vnd.apache.arrow.stream", "application/vnd.apache.parquet"
Columns = dict[str, list[Any]]

NUMBERS = st.floats(-1e9, 1e9).map(lambda number: round(number, 3) + 0.0)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=8).filter(
    lambda text: bool(text.strip()) and not text.strip()[0].isnumeric()
)


@st.composite
def tables(draw: st.DrawFn) -> Columns:
    """One to four columns, of numbers or of text, with holes."""
    rows, columns = draw(st.integers(1, 6)), draw(st.integers(1, 4))

    def column(values: st.SearchStrategy[Any]) -> list[Any]:
        return draw(st.lists(st.none() | values, min_size=rows, max_size=rows))

    return {f"c{number}": column(draw(st.sampled_from([NUMBERS, TEXTS]))) for number in range(columns)}


def is_text(values: list[Any]) -> bool:
    return any(isinstance(value, str) for value in values)


def by_row(columns: Columns) -> list[list[Any]]:
    return [list(row) for row in zip(*columns.values(), strict=True)]


def csv_of(columns: Columns) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerow(columns)
    writer.writerows([["" if value is None else value for value in row] for row in by_row(columns)])
    return text.getvalue().encode()


def arrow_batch(columns: Columns, *, encoded: bool = False) -> pa.RecordBatch:
    arrays = {}
    for name, values in columns.items():
        array = pa.array(values, pa.string() if is_text(values) else pa.float64())
        arrays[name] = array.dictionary_encode() if encoded and is_text(values) else array
    return pa.record_batch(arrays)


def arrow_of(columns: Columns, *, encoded: bool = False) -> bytes:
    file, batch = io.BytesIO(), arrow_batch(columns, encoded=encoded)
    with pa.ipc.new_stream(file, batch.schema) as stream:
        stream.write_batch(batch)
        stream.write_batch(batch.slice(0, 0))
    return file.getvalue()


def parquet_of(columns: Columns) -> bytes:
    file = io.BytesIO()
    parquet.write_table(pa.Table.from_batches([arrow_batch(columns)]), file)
    return file.getvalue()


def v2_of(columns: Columns) -> bytes:
    """With a tensor more, so that a single one has a name as well."""
    named: Columns = {**columns, "other": [0.5] * len(by_row(columns))}
    kinds = {name: "BYTES" if is_text(values) else "FP64" for name, values in named.items()}
    tensors = [tensor(name, kinds[name], [len(values)], data=values) for name, values in named.items()]
    return json.dumps({"inputs": tensors}).encode()


SPELLED = {
    "rows": (JSON, lambda columns: json.dumps({"features": list(columns), "rows": by_row(columns)}).encode()),
    "columns": (JSON, lambda columns: json.dumps({"columns": columns}).encode()),
    "V1": (JSON, lambda columns: json.dumps({"instances": by_row(columns)}).encode()),
    "V1 named": (
        JSON,
        lambda columns: json.dumps(
            {"instances": [dict(zip(columns, row, strict=True)) for row in by_row(columns)]}
        ).encode(),
    ),
    "V2": (JSON, v2_of),
    "CSV": (CSV, csv_of),
    "Arrow": (ARROW, arrow_of),
    "Arrow dictionary": (ARROW, lambda columns: arrow_of(columns, encoded=True)),
    "Parquet": (PARQUET, parquet_of),
}


def values_of(table: Table, columns: int) -> list[list[Any]]:
    """What the table says, row by row: texts where there are some, numbers, None for what is missing."""
    found = []
    for row in range(len(table.rows)):
        texts = [table.texts[column][row] if column in table.texts else None for column in range(columns)]
        numbers = [None if np.isnan(number) else number for number in table.rows[row, :columns].tolist()]
        found.append([number if number is not None else text for number, text in zip(numbers, texts, strict=True)])
    return found


@pytest.mark.parametrize("name", SPELLED)
@given(tables())
def test_every_format_says_the_same(name: str, columns: Columns) -> None:
    media_type, spelled = SPELLED[name]
    table = read_reference(media_type, spelled(columns))
    assert values_of(table, len(columns)) == by_row(columns)
    assert all(len(held) == len(table.rows) for held in table.texts.values())


@pytest.mark.parametrize("name", [name for name in SPELLED if name != "Parquet"])
@given(tables())
def test_where_no_text_is_kept_it_is_refused(name: str, columns: Columns) -> None:
    media_type, spelled = SPELLED[name]
    if not any(map(is_text, columns.values())):
        assert read_table(media_type, spelled(columns)).texts == {}
        return
    with pytest.raises(InvalidInput):
        read_table(media_type, spelled(columns))


@pytest.mark.parametrize("name", SPELLED)
@given(tables(), st.data())
def test_damage_is_refused_and_nothing_else_happens(name: str, columns: Columns, data: st.DataObject) -> None:
    media_type, spelled = SPELLED[name]
    body = bytearray(spelled(columns))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, max(0, len(body) - 1)))
        body[start : start + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    try:
        table = read_reference(media_type, bytes(body))
    except (DriftwardenError, BodyTooLarge):
        return
    assert not np.isinf(table.rows).any()
    assert all(len(held) == len(table.rows) for held in table.texts.values())


def test_the_place_of_a_value_is_what_its_sender_calls_it() -> None:
    columns: Columns = {"a": [1.5, 2.5], "b": ["x", "y"]}
    said = {name: read_reference(kind, spelled(columns)).place(1, 1) for name, (kind, spelled) in SPELLED.items()}
    assert said == {
        "rows": "rows[1][1]",
        "columns": "columns[1][1]",
        "V1": "instances[1][1]",
        "V1 named": "instances[1], member 2",
        "V2": "inputs[1].data[1]",
        "CSV": "line 3, column 2",
        "Arrow": "rows[1][1]",
        "Arrow dictionary": "rows[1][1]",
        "Parquet": "rows[1][1]",
    }


def test_binary_tensors_of_several_columns_of_text() -> None:
    words = [b"a", b"b", b"c", b"\xff"]
    packed = raw("BYTES", words)
    body = json.dumps({"inputs": [tensor("x", "BYTES", [2, 2], len(packed))]}).encode() + packed
    table = read_table(BINARY, body, keeps_text=True)
    assert table.texts == {0: ["a", "c"], 1: ["b", "\udcff"]}


def test_the_spelling_of_a_category_is_kept_where_it_could_be_a_number() -> None:
    table = read_table(CSV, b"zip\n007\n7\n", keeps_text=True)
    assert table.texts == {0: ["007", "7"]}
    assert table.rows[:, 0].tolist() == [7, 7]
    assert category_of(7.0) == "7"
