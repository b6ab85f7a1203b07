"""Payload formats, one file each: bytes in, rows and feature names out. This is where they are registered."""

import re
from collections.abc import Callable

import msgspec

from service.domain.errors import Fault, UnreadableBody, UnsupportedFormat
from service.http.formats import (
    arrow_stream,
    csv_table,
    json_rows,
    kserve_v1,
    npy,
    open_inference,
    parquet,
    rows_document,
)
from service.http.formats.json_document import MEDIA_TYPE, UNDECODABLE, media_type_of
from service.http.formats.json_end import end_of_object
from service.http.formats.table import Format, Payload, Table

Read = Callable[[Payload], Table]

FORMATS: tuple[Format, ...] = (json_rows, csv_table, npy, open_inference, arrow_stream, rows_document)
"""By media type. JSON is looked into: several protocols call themselves that."""
REFERENCE_FORMATS: tuple[Format, ...] = (*FORMATS, parquet)

_READERS: dict[str, Read] = {name: each.read for each in FORMATS for name in each.MEDIA_TYPES}
_REFERENCE_READERS: dict[str, Read] = {name: each.read for each in REFERENCE_FORMATS for name in each.MEDIA_TYPES}
MEDIA_TYPES = tuple(_READERS)
REFERENCE_MEDIA_TYPES = tuple(_REFERENCE_READERS)

_BY_MEMBER: dict[str, Read] = {
    **dict.fromkeys(json_rows.MEMBERS, json_rows.read),
    **dict.fromkeys(kserve_v1.MEMBERS, kserve_v1.read),
    **dict.fromkeys(open_inference.MEMBERS, open_inference.read),
}
_OUTPUTS: dict[Read, Read] = {
    kserve_v1.read: kserve_v1.read_outputs,
    open_inference.read: open_inference.read_outputs,
}
"""How the answer of a model is read, where its request was read so."""
_FIRST_MEMBER = re.compile(rb'\s*\{\s*"([a-z_]{1,32})"\s*:')
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def read_table(
    content_type: str | None,
    body: bytes,
    head_bytes: int | None = None,
    *,
    most_bytes: int = 4 * 2**20,
    keeps_text: bool = False,
) -> Table:
    """Rows by their media type (JSON without one).

    Raises `InvalidInput`, of which `UnreadableBody` and `UnsupportedFormat`, and `BodyTooLarge`.
    """
    return _read(_READERS, content_type, Payload(body, head_bytes, most_bytes, keeps_text))


def read_reference(
    content_type: str | None, body: bytes, head_bytes: int | None = None, *, most_bytes: int = 128 * 2**20
) -> Table:
    """The same for a reference, which may be Parquet as well, and hold text."""
    return _read(_REFERENCE_READERS, content_type, Payload(body, head_bytes, most_bytes, keeps_text=True))


def read_logged(content_type: str | None, payload: Payload, *, outputs: bool) -> Table:
    """What a model was asked, or answered, as a logger copied it.

    The media type is that of the request, for both, and whatever its sender said (`curl -d` says that it is a form):
    what begins like JSON is JSON. Raises as `read_table` does.
    """
    reader = _READERS.get(media_type_of(content_type))
    if payload.body.lstrip()[:1] == b"{":
        reader = _json_reader(payload)
    if reader is None:
        raise UnsupportedFormat(Fault("Content-Type", f"must be one of {', '.join(_READERS)}"))
    return _OUTPUTS.get(reader, reader)(payload) if outputs else reader(payload)


def _read(readers: dict[str, Read], content_type: str | None, payload: Payload) -> Table:
    media_type = media_type_of(content_type)
    reader = readers.get(media_type)
    if reader is None:
        raise UnsupportedFormat(Fault("Content-Type", f"must be one of {', '.join(readers)}"))
    if media_type == MEDIA_TYPE:
        reader = _json_reader(payload)
    table = reader(payload)
    table.refuse_text()
    return table


def _json_reader(payload: Payload) -> Read:
    """By the names at the top: the first one as a rule, else all of them. What is none of these, `json_rows` tells."""
    if payload.head_bytes is not None:
        return open_inference.read
    first = _FIRST_MEMBER.match(payload.body)
    if first is not None and (reader := _BY_MEMBER.get(first[1].decode())) is not None:
        return reader
    if first is None:
        return json_rows.read
    try:
        names = _top(payload.body)
    except UNDECODABLE:
        return json_rows.read
    return next((_BY_MEMBER[name] for name in names if name in _BY_MEMBER), json_rows.read)


def _top(body: bytes) -> dict[str, msgspec.Raw]:
    """The members of a document that binary tensors may follow."""
    try:
        return _members(body)
    except UNDECODABLE:
        try:
            return _members(body[: end_of_object(body)])
        except UnreadableBody as error:
            raise msgspec.DecodeError from error
