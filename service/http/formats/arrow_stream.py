"""Arrow IPC streams: columns by name; nulls are missing values. Needs the extra `arrow`, imported when first used.

The schema comes first and only fields of numbers pass it, so that nothing of text, dictionaries or nesting is ever
decoded. Compressed buffers are refused by their message's metadata: what they unpack to is bounded by nothing
(`Content-Encoding` is). Every batch is validated before a number is read.
"""

import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from service.domain.errors import Fault, InvalidInput, UnreadableBody, UnsupportedFormat
from service.http.errors import BodyTooLarge
from service.http.formats.table import MAXIMUM_COLUMNS, MAXIMUM_FAULTS, Payload, Rows, Table, real

if TYPE_CHECKING:
    import pyarrow as pa

MEDIA_TYPES = ("application/vnd.apache.arrow.stream",)
MAXIMUM_BATCHES = 10_000
EXTRA = "needs the extra `arrow`: install driftwarden[arrow]"
_RECORD_BATCH_HEADER = 2
_COMPRESSION = 3
"""Numbers of the fields in Arrow's `Message` and `RecordBatch` (format/Message.fbs, format/Schema.fbs)."""


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
            names = checked_names(pa, reader.schema)
            return _table(pa, reader, names, payload.most_bytes)
    except (pa.ArrowException, struct.error, OSError, ValueError, EOFError, RecursionError):
        raise UnreadableBody(Fault("body", "is no Arrow stream, or is damaged")) from None


def _refuse_compressed(pa: Any, body: bytes) -> None:
    """Also counts: a message costs time however little is in it."""
    for number, message in enumerate(pa.ipc.MessageReader.open_stream(pa.py_buffer(body))):
        if number > MAXIMUM_BATCHES:
            raise UnreadableBody(Fault("body", f"has more than {MAXIMUM_BATCHES} record batches"))
        if message.type == "record batch" and _is_compressed(message.metadata.to_pybytes()):
            message = "has compressed buffers: write it without, and compress the body (Content-Encoding)"  # noqa: PLW2901
            raise UnreadableBody(Fault("body", message))


def _is_compressed(metadata: bytes) -> bool:
    """By the flatbuffer itself, which pyarrow does not show."""
    table = _uint(metadata, 0)
    header = _field(metadata, table, _RECORD_BATCH_HEADER)
    if header is None:
        return False
    return _field(metadata, header + _uint(metadata, header), _COMPRESSION) is not None


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


def checked_names(pa: Any, schema: "pa.Schema") -> list[str]:
    """Names of the columns, all of numbers; raises `InvalidInput` with the places of others."""
    if not 1 <= len(schema) <= MAXIMUM_COLUMNS:
        raise InvalidInput(Fault("schema", f"must have 1 to {MAXIMUM_COLUMNS} fields"))
    message = "must be of integers, floats or booleans: categories are not built yet"
    faults = [Fault(f"schema[{i}]", message) for i in range(len(schema)) if not _holds_numbers(pa, schema.field(i))]
    if faults:
        raise InvalidInput(*faults[:MAXIMUM_FAULTS])
    return list(schema.names)


def _holds_numbers(pa: Any, field: "pa.Field") -> bool:
    kind = field.type
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def _table(pa: Any, reader: Any, names: list[str], most_bytes: int) -> Table:
    parts, cells = list[Rows](), 0
    for batch in reader:
        batch.validate(full=True)
        cells += batch.num_rows * len(names)
        if cells > most_bytes:
            raise BodyTooLarge
        if batch.num_rows:
            parts.append(numbers(pa, batch))
    if not parts:
        raise InvalidInput(Fault("rows", "are missing: the stream has none"))
    return Table(np.concatenate(parts) if len(parts) > 1 else parts[0], names)


def numbers(pa: Any, batch: "pa.RecordBatch") -> Rows:
    """The batch's rows; its columns hold numbers, and it is validated."""
    rows = np.empty((batch.num_rows, batch.num_columns))
    for place, column in enumerate(batch.columns):
        filled = column.fill_null(False if pa.types.is_boolean(column.type) else 0) if column.null_count else column
        held = filled.to_numpy(zero_copy_only=False).reshape(-1, 1)
        if held.dtype == bool:
            held = held.astype(np.uint8)
        rows[:, place] = real(held, lambda row, _, place=place: f"rows[{row}][{place}]")[:, 0]  # type: ignore[misc]
        if column.null_count:
            rows[column.is_null().to_numpy(zero_copy_only=False), place] = np.nan
    return rows
