"""Arrow IPC streams: columns by name; nulls are missing values. Needs the extra `arrow`, imported when first used.

The schema comes first and only fields of numbers pass it, and of text where that is kept, plain or as a dictionary:
nothing nested is ever decoded. Compressed buffers are refused by their message's metadata: what they unpack to is
bounded by nothing (`Content-Encoding` is). Every batch is validated before a value is read.
"""

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from service.domain.errors import Fault, InvalidInput, UnreadableBody, UnsupportedFormat
from service.domain.sent_columns import Texts
from service.http.errors import BodyTooLarge
from service.http.formats.table import MAXIMUM_COLUMNS, MAXIMUM_FAULTS, Payload, Rows, Table, real

if TYPE_CHECKING:
    import pyarrow as pa

MEDIA_TYPES = ("application/vnd.apache.arrow.stream",)
MAXIMUM_BATCHES = 10_000
Part = tuple[Rows, dict[int, Texts]]
"""Rows, and the texts of columns that hold some."""
EXTRA = "needs the extra `arrow`: install driftwarden[arrow]"
_RECORD_BATCH_HEADER = 2
_COMPRESSION = 3
_DICTIONARY_DATA = 1
"""Numbers of the fields in Arrow's `Message`, `RecordBatch` and `DictionaryBatch` (format/Message.fbs)."""


def arrow() -> Any:
    """Raises `UnsupportedFormat` where pyarrow is not installed."""
    try:
        import pyarrow as pa  # noqa: PLC0415 - half a second, and an extra
    except ImportError:
        raise UnsupportedFormat(Fault("Content-Type", EXTRA)) from None
    return pa


def read(payload: Payload) -> Table:
    """Raises `UnreadableBody`, `InvalidInput`, `UnsupportedFormat`, `BodyTooLarge`."""
    pa = arrow()
    try:
        _refuse_compressed(pa, payload.body)
        with pa.ipc.open_stream(pa.py_buffer(payload.body)) as reader:
            names = checked_names(pa, reader.schema, keeps_text=payload.keeps_text)
            return _table(pa, reader, names, payload.most_bytes)
    except (pa.ArrowException, struct.error, OSError, ValueError, EOFError, RecursionError):
        raise UnreadableBody(Fault("body", "is no Arrow stream, or is damaged")) from None


def _refuse_compressed(pa: Any, body: bytes) -> None:
    """Also counts: a message costs time however little is in it."""
    for number, message in enumerate(pa.ipc.MessageReader.open_stream(pa.py_buffer(body))):
        if number > MAXIMUM_BATCHES:
            raise UnreadableBody(Fault("body", f"has more than {MAXIMUM_BATCHES} record batches"))
        if message.type in {"record batch", "dictionary"} and _is_compressed(message):
            message = "has compressed buffers: write it without, and compress the body (Content-Encoding)"  # noqa: PLW2901
            raise UnreadableBody(Fault("body", message))


def _is_compressed(message: Any) -> bool:
    """By the flatbuffer itself, which pyarrow does not show."""
    metadata = message.metadata.to_pybytes()
    batch = _table_at(metadata, _uint(metadata, 0), _RECORD_BATCH_HEADER)
    if message.type == "dictionary" and batch is not None:
        batch = _table_at(metadata, batch, _DICTIONARY_DATA)
    return batch is not None and _field(metadata, batch, _COMPRESSION) is not None


def _table_at(metadata: bytes, table: int, number: int) -> int | None:
    """Where a table begins that is a field of another."""
    place = _field(metadata, table, number)
    return None if place is None else place + _uint(metadata, place)


def _field(metadata: bytes, table: int, number: int) -> int | None:
    """Where a table's field stands, if it has it."""
    vtable = table - struct.unpack_from("<i", metadata, table)[0]
    place = 4 + 2 * number
    if vtable < 0 or place + 2 > struct.unpack_from("<H", metadata, vtable)[0]:
        return None
    offset = struct.unpack_from("<H", metadata, vtable + place)[0]
    return table + offset if offset else None


def _uint(metadata: bytes, place: int) -> int:
    found: int = struct.unpack_from("<I", metadata, place)[0]
    return found


def checked_names(pa: Any, schema: "pa.Schema", *, keeps_text: bool) -> list[str]:
    """Names of the columns, all of numbers, or of text if that is kept; raises `InvalidInput` with places of others."""
    if not 1 <= len(schema) <= MAXIMUM_COLUMNS:
        raise InvalidInput(Fault("schema", f"must have 1 to {MAXIMUM_COLUMNS} fields"))
    message = "must be of integers, floats or booleans"
    message += ", or of strings" if keeps_text else ": no column of this model holds text"
    faults = [
        Fault(f"schema[{i}]", message)
        for i in range(len(schema))
        if not (_holds_numbers(pa, schema.field(i)) or (keeps_text and holds_text(pa, schema.field(i).type)))
    ]
    if faults:
        raise InvalidInput(*faults[:MAXIMUM_FAULTS])
    return list(schema.names)


def _holds_numbers(pa: Any, field: "pa.Field") -> bool:
    kind = field.type
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def holds_text(pa: Any, kind: "pa.DataType") -> bool:
    """Strings as such, or a dictionary of them."""
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(plain) or pa.types.is_large_string(plain))


def _table(pa: Any, reader: Any, names: list[str], most_bytes: int) -> Table:
    unpacking = Unpacking(pa, most_bytes)
    parts = [unpacking.part(batch) for batch in reader if batch.num_rows]
    if not parts:
        raise InvalidInput(Fault("rows", "are missing: the stream has none"))
    return joined(parts, names)


def joined(parts: Sequence[Part], names: list[str]) -> Table:
    """One table of at least one part."""
    if len(parts) == 1:
        return Table(parts[0][0], names, texts=parts[0][1])
    texts: dict[int, Texts] = {place: [text for _, held in parts for text in held[place]] for place in parts[0][1]}
    return Table(np.concatenate([rows for rows, _ in parts]), names, texts=texts)


class Unpacking:
    """Batches of one body, whose columns hold numbers or text, as rows and texts; bounded in what they unpack to.

    Text needs a bound of its own: buffers may lie one over the other, and every batch refers to a whole dictionary.
    """

    def __init__(self, pa: Any, most_cells: int) -> None:
        self._pa = pa
        self._most_cells = most_cells
        self._cells = 0
        self._text_bytes = 0
        self._words: dict[int, tuple[Any, dict[int, str | None]]] = {}
        """Of each column, the latest dictionary, and those of its words that were met."""

    def part(self, batch: "pa.RecordBatch") -> Part:
        """The next batch, validated. Raises `BodyTooLarge`, and what pyarrow does."""
        batch.validate(full=True)
        self._cells += batch.num_rows * batch.num_columns
        self._refuse_too_much()
        rows, texts = np.empty((batch.num_rows, batch.num_columns)), dict[int, Texts]()
        for place, column in enumerate(batch.columns):
            if holds_text(self._pa, column.type):
                rows[:, place], texts[place] = np.nan, self._texts(place, column)
            else:
                rows[:, place] = _numbers(self._pa, place, column)
        return rows, texts

    def _texts(self, place: int, column: "pa.Array") -> Texts:
        if not self._pa.types.is_dictionary(column.type):
            return self._read(column)
        words = self._words_of(place, column.dictionary)
        met = column.indices.unique().drop_null().to_pylist()
        if new := [each for each in met if each not in words]:
            held = column.dictionary.take(self._pa.array(new, self._pa.int64()))
            words.update(zip(new, self._read(held), strict=True))
        # Not one string for each row: a dictionary may have a long one that a million rows refer to.
        return [words.get(each) for each in column.indices.to_pylist()]

    def _words_of(self, place: int, dictionary: "pa.Array") -> dict[int, str | None]:
        known = self._words.get(place)
        if known is None or _buffers(known[0]) != _buffers(dictionary):
            self._words[place] = known = (dictionary, {})  # held, so that no other one can come to lie there
        return known[1]

    def _read(self, column: "pa.Array") -> list[str | None]:
        self._text_bytes += column.nbytes
        self._refuse_too_much()
        held: list[str | None] = column.to_pylist()
        return held

    def _refuse_too_much(self) -> None:
        if self._cells + self._text_bytes // 8 > self._most_cells:
            raise BodyTooLarge


def _buffers(array: "pa.Array") -> tuple[int, int, list[int | None]]:
    """Where an array lies: two that lie there are the same one."""
    return array.offset, len(array), [None if each is None else each.address for each in array.buffers()]


def _numbers(pa: Any, place: int, column: "pa.Array") -> Rows:
    filled = column.fill_null(False if pa.types.is_boolean(column.type) else 0) if column.null_count else column
    held = filled.to_numpy(zero_copy_only=False).reshape(-1, 1)
    if held.dtype == bool:
        held = held.astype(np.uint8)
    numbers = real(held, lambda row, _: f"rows[{row}][{place}]")[:, 0]
    if not column.null_count:
        return numbers
    return np.where(column.is_null().to_numpy(zero_copy_only=False), np.nan, numbers)
