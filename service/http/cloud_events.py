"""CloudEvents 1.0 around an inference: what the envelope says, in binary and in structured mode, before data are read.

Written for KServe's logger (https://github.com/kserve/kserve, pkg/logger) and what is like it: types end in `.request`,
`.response` or `.feedback`, and `inferenceservicename` names the model.
"""

import json
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import unquote

import msgspec
from pydantic import TypeAdapter, ValidationError

from service.domain.errors import Fault, InvalidInput, UnreadableBody, UnsupportedFormat
from service.http.formats.json_document import UNDECODABLE, media_type_of
from service.http.formats.json_rows import Moment
from service.http.formats.open_inference import head_bytes

STRUCTURED = "application/cloudevents+json"
MAXIMUM_IDENTIFIER = 200
FEEDBACK = "feedback"
KINDS = ("request", "response", FEEDBACK)
_LENGTH = "inference-header-content-length"
_MAXIMUM_METADATA = 64 * 2**10
_MOMENT: TypeAdapter[datetime] = TypeAdapter(Moment)


@dataclass(frozen=True, slots=True)
class Event:
    """An envelope."""

    identifier: str
    """Shared by a request and its response."""
    kind: str
    """One of `KINDS`."""
    model: str | None
    """The inference service's name, if it is said."""
    observed_at: datetime | None
    content_type: str | None
    """Of the data."""
    head_bytes: int | None
    """See `Payload`."""


class _Structured(msgspec.Struct):
    specversion: str
    id: str
    type: str
    time: str | None = None
    inferenceservicename: str | None = None
    metadata: str | None = None
    datacontenttype: str | None = None
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    data_base64: str | None = None


_read_structured = msgspec.json.Decoder(_Structured).decode


def is_structured(content_type: str | None) -> bool:
    """Whether the envelope is in the body; raises `UnsupportedFormat` for a batch of events."""
    media_type = media_type_of(content_type)
    if media_type == STRUCTURED:
        return True
    if media_type.startswith("application/cloudevents"):
        raise UnsupportedFormat(Fault("Content-Type", f"must be {STRUCTURED}: one event a request, as JSON"))
    return False


def from_headers(headers: Mapping[bytes, str]) -> Event:
    """Binary mode. Raises `InvalidInput` naming the header."""
    attributes = {
        name[3:].decode(): unquote(value) if "%" in value else value
        for name, value in headers.items()
        if name.startswith(b"ce-")
    }
    told = headers.get(_LENGTH.encode())
    return _event(attributes, headers.get(b"content-type"), told, "ce-")


def from_body(body: bytes) -> tuple[Event, bytes]:
    """Structured mode: the envelope and the data. Raises `UnreadableBody`, and `InvalidInput` naming the member."""
    try:
        said = _read_structured(body)
    except msgspec.ValidationError as error:
        raise InvalidInput(Fault("body", f"is no CloudEvent: {str(error)[:200]}")) from None
    except UNDECODABLE:
        raise UnreadableBody(Fault("body", "is no JSON")) from None
    named: dict[str, Any] = {name: getattr(said, name) for name in ("specversion", "id", "type")}
    optional = {name: getattr(said, name) for name in ("time", "inferenceservicename", "metadata")}
    attributes = named | {name: value for name, value in optional.items() if value is not None}
    return _event(attributes, said.datacontenttype, None, ""), _data(said)


def _data(said: _Structured) -> bytes:
    data, encoded = said.data, said.data_base64
    if (data is msgspec.UNSET) == (encoded is None):
        raise InvalidInput(Fault("data", "must be there, or else data_base64"))
    if encoded is not None:
        try:
            return b64decode(encoded, validate=True)
        except ValueError:
            raise UnreadableBody(Fault("data_base64", "is not base64")) from None
    raw = b"" if isinstance(data, msgspec.UnsetType) else bytes(data)
    if raw[:1] == b'"':  # text, of JSON or of another media type
        text: str = msgspec.json.decode(raw)
        return text.encode()
    return raw


def _event(attributes: Mapping[str, str], content_type: str | None, length: str | None, prefix: str) -> Event:
    if attributes.get("specversion") != "1.0":
        raise InvalidInput(Fault(f"{prefix}specversion", "must be 1.0: this takes CloudEvents"))
    identifier = attributes.get("id", "")
    if not 1 <= len(identifier) <= MAXIMUM_IDENTIFIER or not identifier.isascii() or not identifier.isprintable():
        message = f"must be 1 to {MAXIMUM_IDENTIFIER} printable ASCII characters"
        raise InvalidInput(Fault(f"{prefix}id", message))
    kind = attributes.get("type", "").rpartition(".")[2]
    if kind not in KINDS:
        raise InvalidInput(Fault(f"{prefix}type", f"must end in .{', .'.join(KINDS)}"))
    if length is None and kind == "request":  # what the logger tells of headers is the request's, also with a response
        length = _from_metadata(attributes.get("metadata"), prefix)
    return Event(
        identifier,
        kind,
        attributes.get("inferenceservicename"),
        _moment(attributes.get("time"), prefix),
        content_type,
        head_bytes(length),
    )


def _from_metadata(metadata: str | None, prefix: str) -> str | None:
    """Out of the request's headers that the logger was told to copy: `{"Name": ["value"]}`."""
    if not metadata:
        return None
    try:
        headers = json.loads(metadata) if len(metadata) <= _MAXIMUM_METADATA else None
    except (ValueError, RecursionError):
        headers = None
    if not isinstance(headers, dict):
        raise InvalidInput(Fault(f"{prefix}metadata", "must be a JSON object of headers"))
    for name, values in headers.items():
        if name.lower() == _LENGTH and isinstance(values, list) and values and isinstance(values[0], str):
            return values[0]
    return None


def _moment(told: str | None, prefix: str) -> datetime | None:
    if told is None:
        return None
    try:
        return _MOMENT.validate_python(told)
    except ValidationError:
        raise InvalidInput(Fault(f"{prefix}time", "must be a time as in RFC 3339, from 1970 on")) from None
