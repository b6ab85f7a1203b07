"""Documents: named arrays and a little JSON as bytes, and back without a copy.

    ┌───────┬─────────┬────────────────┬───────────────────────────────┬─────────┬─────────┬─
    │ "DWD" │ version │ header length  │ header: canonical JSON,       │ array 0 │ array 1 │ ...
    │ 3     │ 1 byte  │ uint32, little │ spaces up to a multiple of 8  │ zeros up to a multiple of 8
    └───────┴─────────┴────────────────┴───────────────────────────────┴─────────┴─────────┴─

The header names the kind, the attributes, and of every array its name, dtype and shape, in the order of the names; the
arrays follow as raw little-endian numbers, row after row. Each document has exactly one spelling: bytes that `encode`
would not have written are refused, so that two digests differ if and only if two documents do. Nothing in a document
is ever executed, and decoding allocates no more than the blob's own size warrants.
"""

import hashlib
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from reprlib import repr as brief  # what a hostile header says may be long or deep
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from detectors.errors import InvalidDocument

Blob: TypeAlias = bytes | bytearray | memoryview
Arrays: TypeAlias = Mapping[str, NDArray[Any]]
Attributes: TypeAlias = Mapping[str, Any]
_Described: TypeAlias = tuple[str, str, tuple[int, ...]]
"""Name, dtype and shape of an array."""

MAGIC = b"DWD"
VERSION = 1
MAXIMUM_BYTES = 256 * 2**20
MAXIMUM_HEADER_BYTES = 2**20
MAXIMUM_DEPTH = 16
MAXIMUM_DIMENSIONS = 8
MAXIMUM_ELEMENTS = 2**40  # also of what an empty array would hold if its empty axes had one entry: numpy checks strides

_PREFIX = struct.Struct("<3sBI")
_NO_ATTRIBUTES: Attributes = MappingProxyType({})
_SPELLINGS = ("f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")
_DTYPE_OF = {np.dtype(spelling).name: np.dtype(f"<{spelling}") for spelling in _SPELLINGS}
_NAME_OF = {np.dtype(order + spelling): np.dtype(spelling).name for spelling in _SPELLINGS for order in "<>"}

# Built once, because `json.dumps` with options builds an encoder for every call. With `ensure_ascii=False` a lone
# surrogate cannot be encoded and so cannot hide in a document.
_to_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")).encode
_from_json = json.JSONDecoder().raw_decode


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """What a blob said. The arrays are read-only views into the blob, which they keep alive."""

    kind: str
    """What the writer called it, e.g. `reference`."""
    attributes: Attributes
    """JSON values under names of the writer's choosing."""
    arrays: Arrays
    """By name."""


def encode(kind: str, arrays: Arrays, attributes: Attributes = _NO_ATTRIBUTES) -> bytes:
    """Write a document; raises `InvalidDocument` for what no document can hold (objects, NaN in attributes, ...)."""
    layout: list[_Described] = []
    parts: list[bytes | memoryview] = [b""]
    for name in sorted(arrays):
        array = np.asarray(arrays[name], order="C")
        dtype = _NAME_OF.get(array.dtype)
        if dtype is None:
            raise InvalidDocument(f"array {brief(name)}: a document cannot hold dtype {array.dtype}")
        layout.append((name, dtype, array.shape))
        parts += (array.astype(_DTYPE_OF[dtype], copy=False).data, bytes(-array.nbytes % 8))
    parts[0] = _start(kind, layout, attributes) if attributes else _plain_start(kind, tuple(layout))
    return b"".join(parts)


def decode(blob: Blob, *, kind: str, max_bytes: int = MAXIMUM_BYTES) -> Document:
    """Read a document of this kind; raises `InvalidDocument` for anything else, whatever the bytes are."""
    if len(blob) > max_bytes:
        raise InvalidDocument(f"{len(blob)} bytes, and at most {max_bytes} are taken")
    buffer = blob if isinstance(blob, bytes) else memoryview(blob).toreadonly().cast("B")
    offset = _header_end(buffer)
    header = _parsed(bytes(buffer[_PREFIX.size : offset]))
    if header["kind"] != kind:
        raise InvalidDocument(f"the document is a {brief(header['kind'])}, not a {kind!r}")
    arrays: dict[str, NDArray[Any]] = {}
    before = None
    for entry in header["arrays"]:
        name, array, offset = _view(buffer, entry, offset)
        if before is not None and name <= before:
            raise InvalidDocument(f"array {brief(name)} is named twice or out of order")
        arrays[name] = array
        before = name
    if offset != len(buffer):
        raise InvalidDocument(f"{len(buffer) - offset} bytes after the last array")
    return Document(header["kind"], MappingProxyType(header["attributes"]), MappingProxyType(arrays))


def digest(blob: Blob) -> str:
    """The address of these bytes."""
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"


def _start(kind: str, layout: Sequence[_Described], attributes: Attributes) -> bytes:
    """Everything before the first array."""
    entries: list[dict[str, Any]] = []
    for name, dtype, shape in layout:
        _elements(name, list(shape))
        entries.append({"dtype": dtype, "name": name, "shape": list(shape)})
    _refuse_odd_attributes(attributes)
    header = _header({"arrays": entries, "attributes": dict(attributes), "kind": kind})
    return _PREFIX.pack(MAGIC, VERSION, len(header)) + header


@lru_cache(maxsize=1024)
def _plain_start(kind: str, layout: tuple[_Described, ...]) -> bytes:
    """Remembered: batches of one sender are of one shape, and writing JSON costs more than copying their rows."""
    return _start(kind, layout, _NO_ATTRIBUTES)


def _header(header: dict[str, Any]) -> bytes:
    try:
        written = _to_json(header).encode()
    except (TypeError, ValueError, RecursionError) as error:  # UnicodeEncodeError is a ValueError
        raise InvalidDocument(f"not representable in a header: {error}") from error
    written += b" " * (-len(written) % 8)
    if len(written) > MAXIMUM_HEADER_BYTES:
        raise InvalidDocument(f"a header of {len(written)} bytes, and at most {MAXIMUM_HEADER_BYTES} are taken")
    return written


def _header_end(buffer: bytes | memoryview) -> int:
    if len(buffer) < _PREFIX.size:
        raise InvalidDocument(f"{len(buffer)} bytes are too few for a document")
    magic, version, length = _PREFIX.unpack_from(buffer)
    if magic != MAGIC:
        raise InvalidDocument("not a document: it does not start with DWD")
    if version != VERSION:
        raise InvalidDocument(f"a document of version {version}, and this release reads version {VERSION}")
    if length > MAXIMUM_HEADER_BYTES or _PREFIX.size + length > len(buffer):
        raise InvalidDocument(f"a header of {length} bytes does not fit")
    return int(_PREFIX.size + length)


def _parsed(written: bytes) -> dict[str, Any]:
    try:
        header, _ = _from_json(written.decode())  # what may follow is judged by comparing with the canonical form
        canonical = _to_json(header).encode()
    except (ValueError, RecursionError) as error:
        raise InvalidDocument(f"the header is not JSON that a document may hold: {error}") from error
    if canonical + b" " * (-len(canonical) % 8) != written:
        raise InvalidDocument("the header is not in canonical form")
    if not (isinstance(header, dict) and header.keys() == {"arrays", "attributes", "kind"}):
        raise InvalidDocument("the header does not hold exactly arrays, attributes and kind")
    if not (type(header["kind"]) is str and type(header["arrays"]) is list and type(header["attributes"]) is dict):
        raise InvalidDocument("kind, arrays or attributes are of the wrong type")
    # Every array brings two brackets of its own; only a header with more can be deep, so most are never walked.
    if written.count(b"[") + written.count(b"{") > MAXIMUM_DEPTH + 2 * len(header["arrays"]):
        _refuse_odd_attributes(header["attributes"])
    return header


def _view(buffer: bytes | memoryview, entry: Any, offset: int) -> tuple[str, NDArray[Any], int]:
    """The array that `entry` describes, and the offset where the next one starts."""
    if not (type(entry) is dict and entry.keys() == {"dtype", "name", "shape"} and type(entry["name"]) is str):
        raise InvalidDocument("an array is not described by exactly dtype, name and shape")
    name, shape, spelled = entry["name"], entry["shape"], entry["dtype"]
    dtype = _DTYPE_OF.get(spelled) if type(spelled) is str else None
    if dtype is None:
        raise InvalidDocument(f"array {brief(name)}: dtype {brief(spelled)} is not allowed")
    length = _elements(name, shape) * dtype.itemsize
    end = offset + length
    following = end + -length % 8
    if following > len(buffer):
        raise InvalidDocument(f"array {brief(name)} needs {following - len(buffer)} bytes more than there are")
    if following > end and any(buffer[end:following]):
        raise InvalidDocument(f"array {brief(name)} is not padded with zeros")
    return name, np.ndarray(shape, dtype, buffer, offset), following


def _elements(name: str, shape: Any) -> int:
    if type(shape) is not list or len(shape) > MAXIMUM_DIMENSIONS:
        raise InvalidDocument(f"array {brief(name)}: the shape is not a list of at most {MAXIMUM_DIMENSIONS} numbers")
    elements = strided = 1
    for extent in shape:
        if type(extent) is not int or not 0 <= extent <= MAXIMUM_ELEMENTS:
            raise InvalidDocument(f"array {brief(name)}: {brief(extent)} is not a possible extent")
        elements *= extent
        strided *= extent or 1
    if strided > MAXIMUM_ELEMENTS:
        raise InvalidDocument(f"array {brief(name)}: the shape {brief(shape)} is too large")
    return elements


def _refuse_odd_attributes(attributes: Any, room: int = MAXIMUM_DEPTH) -> None:
    if room < 1:
        raise InvalidDocument(f"attributes nested more than {MAXIMUM_DEPTH} deep")
    if isinstance(attributes, Mapping):
        for name, value in attributes.items():
            if not isinstance(name, str):  # JSON would turn it into a string and sort it elsewhere
                raise InvalidDocument(f"attributes are named by strings, not by {brief(name)}")
            if isinstance(value, Mapping | list | tuple):
                _refuse_odd_attributes(value, room - 1)
    else:
        for value in attributes:
            if isinstance(value, Mapping | list | tuple):
                _refuse_odd_attributes(value, room - 1)
