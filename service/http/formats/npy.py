"""numpy's `.npy` files: rows as raw numbers behind a short header, which is read by a grammar of our own.

The format is numpy's (NEP 1, `numpy.lib.format`): magic, version, length of the header, the header as a Python
dictionary, the numbers. That dictionary is never evaluated: it has three known keys whose values are of three known
forms, or it is refused.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from service.domain.errors import Fault, UnreadableBody, UnsupportedFormat
from service.http.formats.table import Payload, Table, real, refuse

MEDIA_TYPES = ("application/x-npy",)

_MAGIC = b"\x93NUMPY"
_LENGTH_BYTES = {b"\x01\x00": 2, b"\x02\x00": 4, b"\x03\x00": 4}
"""Of the header's length, by version."""
_MAXIMUM_HEADER_BYTES = 1024
"""numpy itself writes 118 for two dimensions."""
_OTHERS = {
    b"PK\x03\x04": "a zip archive (.npz is one): send each array as .npy",
    b"PAR1": "a Parquet file",
    b"\x80": "a pickle, which is never read",
    b"ARROW1": "an Arrow file",
}
"""What is sent as .npy by mistake begins so."""
_ENTRY = re.compile(
    rb"""\s*(?:
        ['"](?P<descr>descr)['"]\s*:\s*['"](?P<dtype>[<>](?:f[248]|[iu][1248])|\|[iu]1|\|b1)['"]
      | ['"](?P<fortran_order>fortran_order)['"]\s*:\s*(?P<fortran>True|False)
      | ['"](?P<shape>shape)['"]\s*:\s*\(\s*(?P<rows>[0-9]{1,12})\s*,\s*(?P<columns>[0-9]{1,12})\s*,?\s*\)
    )\s*(?P<end>,\s*\}\s*$|,|\}\s*$)""",
    re.VERBOSE,
)
_KEY = re.compile(rb"""\s*['"](descr|fortran_order|shape)['"]""")
_WANTED = {
    "descr": "must be f2, f4, f8, i1 to i8, u1 to u8 or b1, in either byte order",
    "fortran_order": "must be True or False",
    "shape": "must be two numbers, of rows and of columns",
}


@dataclass(frozen=True, slots=True)
class _Layout:
    """What a header says."""

    dtype: np.dtype[np.generic]
    fortran: bool
    rows: int
    columns: int
    maximum: float
    """Of a stored number; 1 for truth values, of which every other byte would be a third kind."""

    @property
    def size(self) -> int:
        return self.rows * self.columns * self.dtype.itemsize


def read(payload: Payload) -> Table:
    """Numbers of two dimensions, not copied where they are float64 already; raises `InvalidInput` with the place."""
    body = payload.body
    header, start = _header(body)
    layout = _layout(header)
    if len(body) - start != layout.size:
        message = f"has {len(body) - start} bytes after its header, which announces {layout.size}"
        raise UnreadableBody(Fault("body", message))
    order: Literal["F", "C"] = "F" if layout.fortran else "C"
    stored: NDArray[np.generic] = np.ndarray((layout.rows, layout.columns), layout.dtype, body, start, None, order)
    rows = real(stored)
    if layout.maximum == 1:
        refuse(rows > 1, "is neither true nor false")
    return Table(rows, None)


def _header(body: bytes) -> tuple[bytes, int]:
    """The dictionary, and where the numbers begin."""
    if not body.startswith(_MAGIC):
        other = next((what for magic, what in _OTHERS.items() if body.startswith(magic)), None)
        if other is not None:
            raise UnsupportedFormat(Fault("body", f"is {other}"))
        raise UnreadableBody(Fault("body", "is no .npy file: it does not begin as one"))
    length_bytes = _LENGTH_BYTES.get(body[6:8])
    if length_bytes is None:
        raise UnreadableBody(Fault("body", "is of a version of .npy that is not read; 1.0, 2.0 and 3.0 are"))
    begin = 8 + length_bytes
    length = int.from_bytes(body[8:begin], "little")
    if length > _MAXIMUM_HEADER_BYTES:
        raise UnreadableBody(Fault("header", f"is longer than {_MAXIMUM_HEADER_BYTES} bytes"))
    if begin + length > len(body):
        raise UnreadableBody(Fault("header", "is cut off"))
    return body[begin : begin + length], begin + length


@lru_cache(maxsize=256)  # a sender's headers are all the same
def _layout(header: bytes) -> _Layout:
    found: dict[str, bytes] = {}
    place, closed = header.find(b"{") + 1, False
    if not place or header[: place - 1].strip():
        raise UnreadableBody(Fault("header", "is no dictionary"))
    while not closed:
        entry = _ENTRY.match(header, place)
        if entry is None:
            raise UnreadableBody(_misspelt(header, place))
        key = next(key for key in _WANTED if entry[key])
        if key in found:
            raise UnreadableBody(Fault(f"header.{key}", "is there twice"))
        found |= {name: value for name, value in entry.groupdict().items() if value is not None}
        place, closed = entry.end(), b"}" in entry["end"]
    missing = [Fault(f"header.{key}", "is missing") for key in _WANTED if key not in found]
    if missing:
        raise UnreadableBody(*missing)
    return _checked(found)


def _checked(found: dict[str, bytes]) -> _Layout:
    rows, columns = int(found["rows"]), int(found["columns"])
    if not (rows and columns):
        raise UnreadableBody(Fault("header.shape", "must be at least one row and one column"))
    spelled = found["dtype"].decode()
    boolean = spelled == "|b1"
    dtype = np.dtype(np.uint8) if boolean else np.dtype(spelled)
    return _Layout(dtype, found["fortran"] == b"True", rows, columns, 1 if boolean else np.inf)


def _misspelt(header: bytes, place: int) -> Fault:
    key = _KEY.match(header, place)
    if key is None:
        return Fault("header", f"must hold {', '.join(_WANTED)} and nothing else")
    return Fault(f"header.{key[1].decode()}", _WANTED[key[1].decode()])
