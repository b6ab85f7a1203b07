"""Models that are graphs of operations: ONNX and TensorFlow in protocol buffers, Keras in HDF5 or as a configuration.

Only the skeleton is walked over: https://protobuf.dev/programming-guides/encoding; onnx.proto; saved_model.proto.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from service.domain.integrity.contents.content import Look, code, data, may
from service.domain.integrity.contents.source import View, pieces_of

_SCAN_BYTES = 8 * 2**20
_HDF5 = b"\x89HDF\r\n\x1a\n"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED = {_FIXED64: 8, _FIXED32: 4}
_ONNX_FIELDS = {1: _VARINT, 2: _BYTES, 3: _BYTES, 4: _BYTES, 5: _VARINT, 6: _BYTES, 7: _BYTES, 8: _BYTES}
_ONNX_FIELDS |= {14: _BYTES, 20: _BYTES, 25: _BYTES, 26: _BYTES}
_MAXIMUM_TEXT = 1024
_LAMBDA = re.compile(rb'"(?:Lambda|__lambda__)"')
_MODULE = re.compile(rb'"module"\s*:\s*"([^"]*)"')
_KERAS = re.compile(rb"keras(?:\..*)?")


def onnx(view: View) -> Look | None:
    """Its operators may need a library, and its numbers may lie in other files; both are named."""
    if view.head[:1] != b"\x08":
        return None
    fields = list(_fields(view, 0, view.source.size))
    kinds = {field.number: field.wire for field in fields}
    if not {1, 7} <= kinds.keys() or not kinds.items() <= _ONNX_FIELDS.items() or not _ends(fields, view.source.size):
        return None
    domains = {_text_of(view, field, 1) for field in fields if field.number == 8}
    foreign = sorted(domain for domain in domains if not _standard(domain))
    places = tuple(_external(view, fields))
    said = [f"with operators of {', '.join(foreign)}"] if foreign else []
    said += ["with numbers in other files"] if places else []
    return replace(data(" ".join(["ONNX", " and ".join(said)]).strip()), external=places)


def _standard(domain: str) -> bool:
    return domain in {"", "ai.onnx"} or (domain.startswith("ai.onnx.") and domain != "ai.onnx.contrib")


def saved_model(view: View) -> Look | None:
    """A TensorFlow SavedModel: its version, then graphs."""
    if view.head[:1] != b"\x08":
        return None
    fields = list(_fields(view, 0, view.source.size))
    if {field.number: field.wire for field in fields} != {1: _VARINT, 2: _BYTES} or not _ends(fields, view.source.size):
        return None
    scanned, _ = pieces_of(view.source, _SCAN_BYTES)
    if b"PyFunc" in scanned:
        return code("TensorFlow SavedModel that calls Python")
    return may("TensorFlow SavedModel, which reads and writes files if it likes")


def hdf5(view: View) -> Look | None:
    """Keras writes the configuration of a model as text into it; PyTables pickles what it has no type for."""
    if not any(view.source.read(offset, len(_HDF5)) == _HDF5 for offset in (0, 512, 1024, 2048, 4096)):
        return None
    scanned, all_of_it = pieces_of(view.source, _SCAN_BYTES)
    if b"model_config" in scanned:
        return configured(scanned) or may("Keras model in HDF5")
    if b"PYTABLES_FORMAT_VERSION" in scanned:
        return may("HDF5 by PyTables, which pickles what it has no type for")
    if not all_of_it or not view.whole:
        return may("HDF5, of which not everything was looked at")
    return data("HDF5")


def configured(text: bytes) -> Look | None:
    """The configuration of a Keras model, if code stands in it or it names what is not Keras's."""
    if _LAMBDA.search(text):
        return code("Keras model with a Lambda layer")
    if any(not _KERAS.fullmatch(module) for module in _MODULE.findall(text)):
        return code("Keras model that names Python modules of its own")
    return None


@dataclass(frozen=True, slots=True)
class _Field:
    """Where it is in the source; the value itself where it is a number."""

    number: int
    wire: int
    start: int
    end: int
    value: int = 0


def _fields(view: View, start: int, end: int) -> Iterator[_Field]:
    """Up to the first that is none: the last one that is given ends before the end then."""
    offset = start
    while offset < end and view.budget.step():
        field = _field(view.source.read(offset, 20), offset)
        if field is None or field.end > end:
            return
        yield field
        offset = field.end


def _field(text: bytes, offset: int) -> _Field | None:
    tag, used = _varint(text, 0)
    wire, number = tag & 7, tag >> 3
    if not used or not number:
        return None
    start = offset + used
    if wire in _FIXED:
        return _Field(number, wire, start, start + _FIXED[wire])
    value, more = _varint(text, used)
    if not more or wire not in {_VARINT, _BYTES}:
        return None
    start += more
    return _Field(number, wire, start, start + (value if wire == _BYTES else 0), value)


def _varint(text: bytes, start: int) -> tuple[int, int]:
    """The number, and how many bytes it takes: none if it does not end within ten."""
    value = 0
    for used, byte in enumerate(text[start : start + 10]):
        value |= (byte & 0x7F) << 7 * used
        if byte < 0x80:
            return value, used + 1
    return 0, 0


def _ends(fields: list[_Field], size: int) -> bool:
    return bool(fields) and fields[-1].end == size


def _text_of(view: View, parent: _Field, number: int) -> str:
    """A text in a message, of which the last one counts."""
    text = b""
    for field in _fields(view, parent.start, parent.end):
        if field.number == number and field.wire == _BYTES:
            text = view.source.read(field.start, min(field.end - field.start, _MAXIMUM_TEXT))
    return text.decode("utf-8", "replace")


def _external(view: View, fields: list[_Field]) -> Iterator[str]:
    """Where tensors say that their numbers are: the graph's initializers with a location."""
    found = set()
    for graph in (field for field in fields if field.number == 7):
        for tensor in _fields(view, graph.start, graph.end):
            if tensor.number == 5 and tensor.wire == _BYTES:
                found |= set(_locations(view, tensor))
    yield from sorted(found)


def _locations(view: View, tensor: _Field) -> Iterator[str]:
    for entry in _fields(view, tensor.start, tensor.end):
        if entry.number == 13 and entry.wire == _BYTES and _text_of(view, entry, 1) == "location":
            yield _text_of(view, entry, 2)
