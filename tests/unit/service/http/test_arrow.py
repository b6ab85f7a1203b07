"""Arrow streams and Parquet files: read to the last bit; the hostile ones are refused and nothing falls over."""

import io
import struct
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.errors import InvalidInput, UnreadableBody, UnsupportedFormat
from service.http.errors import BodyTooLarge
from service.http.formats import read_reference, read_table
from service.http.formats.arrow_stream import MAXIMUM_BATCHES

pa = pytest.importorskip("pyarrow", reason="the extra `arrow` is not installed")
pq = pytest.importorskip("pyarrow.parquet")

STREAM, PARQUET = "application/vnd.apache.arrow.stream", "application/vnd.apache.parquet"


def stream(batches: Sequence[Any], **options: Any) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, batches[0].schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return sink.getvalue()


def batch(**columns: Any) -> Any:
    return pa.record_batch(
        {name: held if isinstance(held, pa.Array) else pa.array(held) for name, held in columns.items()}
    )


def file(**columns: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def places(body: bytes, content_type: str = STREAM) -> list[str]:
    with pytest.raises(InvalidInput) as raised:
        read_reference(content_type, body)
    assert "secret" not in str(raised.value)
    return [fault.place for fault in raised.value.faults]


TYPES = [pa.float16(), pa.float32(), pa.float64(), pa.int8(), pa.int64(), pa.uint16(), pa.uint64(), pa.bool_()]


@pytest.mark.parametrize("kind", TYPES, ids=str)
def test_numbers_of_every_type_and_nulls_are_read(kind: Any) -> None:
    held = [1, 0, None, 1]
    cast = {pa.float16(): np.float16, pa.bool_(): bool}.get(kind, float if pa.types.is_floating(kind) else int)
    values = [None if each is None else cast(each) for each in held]
    body = stream([batch(a=pa.array(values, kind), b=[1.0, 2.0, 3.0, 4.0])])
    table = read_table(STREAM, body)
    assert table.features == ["a", "b"]
    assert np.array_equal(table.rows, [[1, 1], [0, 2], [np.nan, 3], [1, 4]], equal_nan=True)


def test_batches_follow_one_another() -> None:
    body = stream([batch(a=[1.0]), batch(a=pa.array([], pa.float64())), batch(a=[2.0, 3.0])])
    assert read_table(STREAM, body).rows.tolist() == [[1.0], [2.0], [3.0]]


def test_a_parquet_file_is_a_reference_and_no_batch() -> None:
    body = file(a=[1.5, None, 2.5], b=[1, 2, 3])
    table = read_reference(PARQUET, body)
    assert table.features == ["a", "b"]
    assert np.array_equal(table.rows, [[1.5, 1], [np.nan, 2], [2.5, 3]], equal_nan=True)
    with pytest.raises(UnsupportedFormat):
        read_table(PARQUET, body)


@pytest.mark.parametrize(
    "held",
    [
        pa.array([b"secret"]),
        pa.array([b"secret"]).dictionary_encode(),
        pa.array([[1.0]]),
        pa.array([{"secret": 1}]),
        pa.nulls(1),
        pa.array([1], pa.timestamp("s")),
        pa.array([1], pa.decimal128(5)),
    ],
    ids=lambda held: str(held.type),
)
def test_what_is_neither_number_nor_text_is_refused_by_its_place_in_the_schema(held: Any) -> None:
    assert places(stream([batch(a=[1.0], secret=held)])) == ["schema[1]"]
    if not pa.types.is_null(held.type):
        assert places(file(a=[1.0], secret=held), PARQUET) == ["schema[1]"]


@pytest.mark.parametrize(
    "held", [pa.array(["secret"]), pa.array(["secret"]).dictionary_encode()], ids=["plain", "coded"]
)
def test_text_is_refused_by_its_place_in_the_schema_where_none_is_kept(held: Any) -> None:
    with pytest.raises(InvalidInput) as raised:
        read_table(STREAM, stream([batch(a=[1.0], secret=held)]))
    assert [fault.place for fault in raised.value.faults] == ["schema[1]"]


def test_numbers_that_cannot_be_are_told_with_their_place() -> None:
    assert places(stream([batch(a=[1.0, 2.0], b=[1.0, float("inf")])])) == ["rows[1][1]"]
    assert places(stream([batch(a=[1, 2**53 + 1])])) == ["rows[1][0]"]
    assert places(stream([batch(a=pa.array([None, 2**53 + 1]))])) == ["rows[1][0]"]
    assert places(stream([batch(a=pa.array([], pa.float64()))])) == ["rows"]
    assert places(file(a=pa.array([], pa.float64())), PARQUET) == ["rows"]


def test_a_schema_of_too_many_columns_is_refused() -> None:
    many = pa.record_batch([pa.array([1.0])] * 2_001, names=[str(number) for number in range(2_001)])
    assert places(stream([many])) == ["schema"]
    none = pa.record_batch([], schema=pa.schema([]))
    assert places(stream([none])) == ["schema"]


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_compressed_buffers_are_refused_before_they_are_undone(codec: str) -> None:
    zeros = batch(a=pa.array(np.zeros(10_000_000)))
    body = stream([zeros], compression=codec)
    assert len(body) < 2**20
    before = pa.total_allocated_bytes()
    with pytest.raises(UnreadableBody, match="compressed"):
        read_table(STREAM, body)
    assert pa.total_allocated_bytes() - before < 2**20


def test_bits_that_become_many_numbers_are_too_large() -> None:
    truth = batch(a=pa.array(np.zeros(3_000_000, bool)), b=pa.array(np.zeros(3_000_000, bool)))
    with pytest.raises(BodyTooLarge):
        read_table(STREAM, stream([truth]))


def test_a_parquet_file_that_unpacks_to_too_much_is_too_large() -> None:
    body = file(a=np.zeros(3_000_000), b=np.zeros(3_000_000))
    assert len(body) < 2**20
    with pytest.raises(BodyTooLarge):
        read_reference(PARQUET, body, most_bytes=4 * 2**20)


def words_of(body: bytes) -> list[str | None]:
    return list(read_table(STREAM, body, keeps_text=True).texts[0])


def test_a_word_of_a_dictionary_is_there_once_however_many_batches_refer_to_it() -> None:
    word = "x" * 2**20
    dictionary = pa.array([word, *map(str, range(100_000))])
    one = batch(a=pa.DictionaryArray.from_arrays(pa.array([0, None], pa.int32()), dictionary))
    texts = words_of(stream([one] * 2_000))
    assert texts[:2] == [word, None]
    assert len({id(text) for text in texts}) == 2


def test_dictionaries_that_take_one_another_s_place_are_told_apart() -> None:
    batches = [batch(a=pa.array([f"word {number}"] * 2).dictionary_encode()) for number in range(50)]
    assert words_of(stream(batches))[::2] == [f"word {number}" for number in range(50)]


def test_a_dictionary_that_grows_again_and_again_unpacks_to_too_much() -> None:
    words = ["x" * 2**20, *map(str, range(50))]
    grown = [pa.array(words[: count + 2]) for count in range(50)]
    one = pa.array([0], pa.int32())
    batches = [batch(a=pa.DictionaryArray.from_arrays(one, dictionary)) for dictionary in grown]
    body = stream(batches, emit_dictionary_deltas=True)
    assert len(body) < 2 * 2**20
    with pytest.raises(BodyTooLarge):
        words_of(body)


def test_more_batches_than_anybody_sends_are_refused() -> None:
    empty = batch(a=pa.array([], pa.float64()))
    with pytest.raises(UnreadableBody, match="record batches"):
        read_table(STREAM, stream([empty] * (MAXIMUM_BATCHES + 1)))


def test_buffers_shorter_than_the_batch_are_refused() -> None:
    whole = stream([batch(a=pa.array([1.0, None] * 500))])
    assert read_table(STREAM, whole).rows.shape == (1_000, 1)
    for claimed in (2_000, 10**6, 2**60):
        changed = whole.replace(struct.pack("<q", 1_000), struct.pack("<q", claimed))
        assert changed != whole
        with pytest.raises(InvalidInput):
            read_table(STREAM, changed)


@pytest.mark.parametrize("body", [b"", b"x", bytes(100), b"ARROW1\0\0", b"PAR1", b"\xff" * 100, b"{}"])
def test_what_is_no_stream_or_file_cannot_be_read(body: bytes) -> None:
    for content_type in (STREAM, PARQUET):
        with pytest.raises(UnreadableBody):
            read_reference(content_type, body)


def test_a_stream_that_is_cut_off_cannot_be_read() -> None:
    body = stream([batch(a=[1.0, 2.0])])
    for length in range(0, len(body) - 8, 7):  # the last eight are the end of the stream, which may be missing
        with pytest.raises(InvalidInput):
            read_table(STREAM, body[:length])


GOOD = stream([batch(a=[1.0, None, 3.0], b=[1, 2, 3], c=[True, False, None])])
GOOD_FILE = file(a=[1.0, None, 3.0], b=[1, 2, 3])


@given(st.sampled_from([(STREAM, GOOD), (PARQUET, GOOD_FILE)]), st.data())
def test_damaged_bodies_are_read_or_refused_and_nothing_else(good: tuple[str, bytes], data: st.DataObject) -> None:
    content_type, body = good[0], bytearray(good[1])
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert not np.isinf(read_reference(content_type, bytes(body)).rows).any()
    except (InvalidInput, BodyTooLarge):
        return


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UnsupportedFormat, match=r"driftwarden\[arrow\]"):
        read_table(STREAM, GOOD)
