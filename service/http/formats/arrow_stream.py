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
    parts, cells = list[Part](), 0
    for batch in reader:
        batch.validate(full=True)
        cells += batch.num_rows * len(names)
        if cells > most_bytes:
            raise BodyTooLarge
        if batch.num_rows:
            parts.append(values(pa, batch))
    if not parts:
        raise InvalidInput(Fault("rows", "are missing: the stream has none"))
    return joined(parts, names)


def joined(parts: Sequence[Part], names: list[str]) -> Table:
    """One table of at least one part."""
    if len(parts) == 1:
        return Table(parts[0][0], names, texts=parts[0][1])
    texts: dict[int, Texts] = {place: [text for _, held in parts for text in held[place]] for place in parts[0][1]}
    return Table(np.concatenate([rows for rows, _ in parts]), names, texts=texts)


def values(pa: Any, batch: "pa.RecordBatch") -> Part:
    """The batch's rows and texts; its columns hold numbers or text, and it is validated."""
    rows, texts = np.empty((batch.num_rows, batch.num_columns)), dict[int, Texts]()
    for place, column in enumerate(batch.columns):
        if holds_text(pa, column.type):
            rows[:, place], texts[place] = np.nan, _texts(pa, column)
            continue
        filled = column.fill_null(False if pa.types.is_boolean(column.type) else 0) if column.null_count else column
        held = filled.to_numpy(zero_copy_only=False).reshape(-1, 1)
        if held.dtype == bool:
            held = held.astype(np.uint8)
        rows[:, place] = real(held, lambda row, _, place=place: f"rows[{row}][{place}]")[:, 0]  # type: ignore[misc]
        if column.null_count:
            rows[column.is_null().to_numpy(zero_copy_only=False), place] = np.nan
    return rows, texts


def _texts(pa: Any, column: "pa.Array") -> Texts:
    if not pa.types.is_dictionary(column.type):
        held: list[str | None] = column.to_pylist()
        return held
    # Not one string for each row: a dictionary may have a long one that a million rows refer to.
    words = [*column.dictionary.to_pylist(), None]
    return [words[place] for place in column.indices.fill_null(len(words) - 1).to_numpy().tolist()]
