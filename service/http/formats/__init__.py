"""Payload formats, one file each: bytes in, rows and feature names out."""

from collections.abc import Callable

from service.domain.errors import Fault, UnsupportedFormat
from service.http.formats import csv_table, json_rows, npy, rows_document
from service.http.formats.json_document import media_type_of
from service.http.formats.table import Table

_READERS: dict[str, Callable[[bytes], Table]] = {
    **dict.fromkeys(json_rows.MEDIA_TYPES, json_rows.read),
    **dict.fromkeys(csv_table.MEDIA_TYPES, csv_table.read),
    **dict.fromkeys(npy.MEDIA_TYPES, npy.read),
    **dict.fromkeys(rows_document.MEDIA_TYPES, rows_document.read),
}
MEDIA_TYPES = tuple(_READERS)


def refuse_coded(content_encoding: str | None) -> None:
    """Raise `UnsupportedFormat` for a compressed body: what it would unpack to is bounded by nothing."""
    if content_encoding is not None and content_encoding.strip().lower() not in {"", "identity"}:
        raise UnsupportedFormat(Fault("Content-Encoding", "must be absent: send the body uncompressed"))


def read_table(content_type: str | None, body: bytes) -> Table:
    """Read rows by their media type (JSON without one); raises `InvalidInput`, `UnsupportedFormat`."""
    reader = _READERS.get(media_type_of(content_type))
    if reader is None:
        raise UnsupportedFormat(Fault("Content-Type", f"must be one of {', '.join(MEDIA_TYPES)}"))
    return reader(body)
