"""The Open Inference Protocol (V2): tensors as JSON, or as bytes behind the JSON ("binary tensor data extension").

`{"inputs": [{"name": "x", "shape": [2, 3], "datatype": "FP32", "data": [...]}]}`. Several tensors stand side by side,
their columns called `x` or, if there are more than one of them, `x[0]`, `x[1]`. One tensor alone has columns without
names: clients call it anything (`input-0`, `predict`), and the model's features are its columns in order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import msgspec
import numpy as np

from service.domain.errors import Fault, InvalidInput, UnreadableBody
from service.domain.sent_columns import Texts
from service.http.formats.json_document import UNDECODABLE, no_json
from service.http.formats.json_end import end_of_object
from service.http.formats.kserve_v1 import column_names
from service.http.formats.table import MAXIMUM_COLUMNS, TEXT, Payload, Rows, Table
from service.http.formats.tensors import (
    TEXT_DATATYPE,
    Layout,
    from_bytes,
    from_json,
    layout,
    texts_from_bytes,
    texts_from_json,
)

MEDIA_TYPES = ("application/octet-stream",)
"""What clients say when there are binary tensors; without any it is JSON."""
MEMBERS = frozenset({"inputs", "outputs"})
MAXIMUM_TENSORS = MAXIMUM_COLUMNS
_REMEMBERED_HEAD_BYTES = 4 * 2**10
"""Heads of binary tensors up to here, which of one sender are all the same, are read once."""


class _Parameters(msgspec.Struct):
    binary_data_size: int | None = None


class _Tensor(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    parameters: _Parameters | None = None


class _Document(msgspec.Struct):
    """A request's `outputs` only say what is asked for, and are tensors in a response."""

    inputs: list[_Tensor] | None = None
    outputs: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


@dataclass(frozen=True, slots=True)
class _Source:
    """A tensor and where its numbers are: in JSON, or so many bytes behind the head."""

    tensor: Layout
    data: msgspec.Raw | None
    binary: int | None


@dataclass(frozen=True, slots=True)
class _Told:
    """All that the JSON says but for the numbers in it."""

    sources: Sequence[_Source]
    tensors: Sequence[Layout]
    binary: int
    names: Sequence[str] | None
    left_out: dict[int, Fault]
    """See `Table.not_numbers`."""


_read_document = msgspec.json.Decoder(_Document).decode
_read_tensors = msgspec.json.Decoder(list[_Tensor]).decode


def read(payload: Payload) -> Table:
    """The inputs of a request. Raises `UnreadableBody`, and `InvalidInput` with places."""
    return _read(payload, "inputs")


def read_outputs(payload: Payload) -> Table:
    """The outputs of a response, whose columns always have names."""
    return _read(payload, "outputs")


def head_bytes(told: str | None) -> int | None:
    """The number that `Inference-Header-Content-Length` says; raises `InvalidInput`."""
    if told is None:
        return None
    if not told.isdecimal() or not told.isascii() or len(told) > 18:
        raise InvalidInput(Fault("Inference-Header-Content-Length", "must be a number of bytes"))
    return int(told)


def _read(payload: Payload, member: str) -> Table:
    body = payload.body
    length = _length_of_head(body) if payload.head_bytes is None else payload.head_bytes
    behind = len(body) - length
    if behind < 0:
        raise UnreadableBody(Fault("Inference-Header-Content-Length", "is longer than the body"))
    tell = _known if behind and length <= _REMEMBERED_HEAD_BYTES else _told
    told = tell(body[:length], member, keeps_text=payload.keeps_text)
    if not behind and payload.head_bytes is None and told.binary <= len(body) - len(body.rstrip()):
        # What looks like white space behind the JSON is a tensor: it says that there is one.
        length, behind = length - told.binary, told.binary
    if told.binary != behind:
        message = f"has {behind} bytes behind its JSON, which announces {told.binary}"
        raise UnreadableBody(Fault("body", message))
    parts, texts = _values(told.sources, memoryview(body)[length:], keeps_text=payload.keeps_text)
    rows = np.hstack(parts) if len(parts) > 1 else parts[0]
    return Table(rows, told.names, None, None, told.left_out, texts, partial(_cell, told.tensors))


def _length_of_head(body: bytes) -> int:
    """Without a word of it there may be no binary part: then the object ends where the body does."""
    whole = body.rstrip()[-1:] == b"}" and _is_whole(body)
    return len(body) if whole else end_of_object(body)


def _is_whole(body: bytes) -> bool:
    try:
        _read_document(body)
    except msgspec.ValidationError:
        return True
    except UNDECODABLE:
        return False
    return True


def _sources(head: bytes, member: str) -> Sequence[_Source]:
    try:
        document = _read_document(head)
        tensors = document.inputs
        if member == "outputs":
            tensors = None if document.outputs is msgspec.UNSET else _read_tensors(document.outputs)
    except msgspec.ValidationError as error:
        raise InvalidInput(Fault(member, f"are no tensors: {_without_values(error)}")) from None
    except UNDECODABLE as error:
        raise no_json(error, "body") from None
    if not tensors:
        raise InvalidInput(Fault(member, "is missing or empty"))
    if len(tensors) > MAXIMUM_TENSORS:
        raise InvalidInput(Fault(member, f"are more than {MAXIMUM_TENSORS}"))
    names = [tensor.name for tensor in tensors]
    if len(set(names)) < len(names):
        twice = next(index for index, name in enumerate(names) if name in names[:index])
        raise InvalidInput(Fault(f"{member}[{twice}].name", "is named twice"))
    return [_source(tensor, f"{member}[{index}]") for index, tensor in enumerate(tensors)]


def _told(head: bytes, member: str, *, keeps_text: bool) -> _Told:
    sources = _sources(head, member)
    tensors = [source.tensor for source in sources]
    for tensor in tensors[1:]:
        if tensor.rows != tensors[0].rows:
            message = "must begin with the same number of rows for every tensor"
            raise InvalidInput(Fault(f"{tensor.place}.shape", message))
    # One tensor alone has no names, and so no bound of theirs.
    nameless = len(tensors) == 1 and member == "inputs"
    names = None if nameless else _names(tensors, member, keeps_text=keeps_text)
    left_out = {} if keeps_text else _left_out(tensors)
    return _Told(sources, tensors, sum(source.binary or 0 for source in sources), names, left_out)


_known = lru_cache(maxsize=256)(_told)


def _source(tensor: _Tensor, place: str) -> _Source:
    found = layout(tensor.name, place, tensor.datatype, tensor.shape)
    binary = tensor.parameters.binary_data_size if tensor.parameters is not None else None
    if binary is not None and binary < 0:
        raise InvalidInput(Fault(f"{place}.parameters.binary_data_size", "must not be negative"))
    if (binary is None) == (tensor.data is msgspec.UNSET):
        raise InvalidInput(Fault(place, "must have either data or parameters.binary_data_size"))
    return _Source(found, None if tensor.data is msgspec.UNSET else tensor.data, binary)


def _values(sources: Sequence[_Source], binary: memoryview, *, keeps_text: bool) -> tuple[list[Rows], dict[int, Texts]]:
    parts, texts, column, start = list[Rows](), dict[int, Texts](), 0, 0
    for source in sources:
        tensor, end = source.tensor, start + (source.binary or 0)
        if keeps_text and tensor.datatype == TEXT_DATATYPE:
            found = (
                texts_from_bytes(tensor, binary[start:end])
                if source.data is None
                else texts_from_json(tensor, source.data)
            )
            parts.append(np.full((tensor.rows, tensor.columns), np.nan))
            texts |= {column + place: found[place :: tensor.columns] for place in range(tensor.columns)}
        elif source.data is not None:
            parts.append(from_json(tensor, source.data))
        else:
            parts.append(from_bytes(tensor, binary[start:end]))
        column, start = column + parts[-1].shape[1], end
    return parts, texts


def _cell(tensors: Sequence[Layout], row: int, column: int) -> str:
    for tensor in tensors:
        if column < tensor.columns:
            return tensor.cell(row, column)
        column -= tensor.columns
    raise IndexError(column)


def _names(tensors: Sequence[Layout], member: str, *, keeps_text: bool) -> list[str]:
    widths = [tensor.columns if keeps_text or tensor.datatype != TEXT_DATATYPE else 1 for tensor in tensors]
    if sum(widths) > MAXIMUM_COLUMNS:
        raise InvalidInput(Fault(member, f"have more than {MAXIMUM_COLUMNS} columns"))
    return [name for tensor, width in zip(tensors, widths, strict=True) for name in column_names(tensor.name, width)]


def _left_out(tensors: Sequence[Layout]) -> dict[int, Fault]:
    found, column = {}, 0
    for tensor in tensors:
        text = tensor.datatype == TEXT_DATATYPE
        if text:
            found[column] = Fault(tensor.place, TEXT)
        column += 1 if text else tensor.columns
    return found


def _without_values(error: Exception) -> str:
    """msgspec names types and places, and of the document nothing but member names that are ours."""
    return str(error)[:200]
