"""Tensors of the Open Inference Protocol: their datatypes, as raw bytes and as JSON."""

from dataclasses import dataclass
from math import prod
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from service.domain.errors import Fault, InvalidInput
from service.http.formats.json_document import UNDECODABLE, no_json, not_a_list
from service.http.formats.nested_lists import rectangular, with_text
from service.http.formats.table import Rows, real, refuse

_DTYPES = {
    "BOOL": "|u1",
    **{f"UINT{8 * size}": f"<u{size}" for size in (1, 2, 4, 8)},
    **{f"INT{8 * size}": f"<i{size}" for size in (1, 2, 4, 8)},
    **{f"FP{8 * size}": f"<f{size}" for size in (2, 4, 8)},
    "BF16": "<u2",
}
DATATYPES = {name: np.dtype(code) for name, code in _DTYPES.items()}
TEXT_DATATYPE = "BYTES"
MAXIMUM_DIMENSIONS = 16
_numbers = msgspec.json.Decoder(list[float | None]).decode
_integers = msgspec.json.Decoder(list[int | None]).decode
_anything = msgspec.json.Decoder(list[Any]).decode


@dataclass(frozen=True, slots=True)
class Layout:
    """What a document says of one tensor."""

    name: str
    place: str
    """In the document, e.g. `inputs[0]`."""
    datatype: str
    rows: int
    columns: int

    @property
    def count(self) -> int:
        return self.rows * self.columns

    def cell(self, row: int, column: int) -> str:
        """The place of a number in a flat tensor."""
        return f"{self.place}.data[{row * self.columns + column}]"


def layout(name: str, place: str, datatype: str, shape: list[int]) -> Layout:
    """Raises `InvalidInput` for an unknown datatype, or a shape without rows or columns."""
    if datatype != TEXT_DATATYPE and datatype not in DATATYPES:
        message = f"must be one of {', '.join((*DATATYPES, TEXT_DATATYPE))}"
        raise InvalidInput(Fault(f"{place}.datatype", message))
    if not 1 <= len(shape) <= MAXIMUM_DIMENSIONS or not all(1 <= each < 2**40 for each in shape):
        raise InvalidInput(Fault(f"{place}.shape", "must be positive numbers, the first of which is that of the rows"))
    return Layout(name, place, datatype, shape[0], prod(shape[1:]))


def from_bytes(tensor: Layout, binary: memoryview) -> Rows:
    """Numbers as they lie, without a copy where they are float64; text becomes NaN once it is known to be whole."""
    dtype = DATATYPES.get(tensor.datatype)
    if dtype is None:
        _check_text(tensor, binary)
        return np.full((tensor.rows, 1), np.nan)
    if len(binary) != tensor.count * dtype.itemsize:
        message = f"has {len(binary)} bytes of binary data, and its shape and datatype need another number"
        raise InvalidInput(Fault(tensor.place, message))
    stored: NDArray[Any] = np.ndarray((tensor.rows, tensor.columns), dtype, binary)
    if tensor.datatype == "BF16":  # the upper half of a float32
        stored = (stored.astype("<u4") << 16).view("<f4")
    if tensor.datatype == "BOOL":
        refuse(stored > 1, "is neither true nor false", tensor.cell)
    return real(stored, tensor.cell)


def _check_text(tensor: Layout, binary: memoryview) -> None:
    """Each element is its length, in four bytes, and so many bytes."""
    place, count = 0, 0
    while place + 4 <= len(binary):
        place += 4 + int.from_bytes(binary[place : place + 4], "little")
        count += 1
    if place != len(binary) or count != tensor.count:
        raise InvalidInput(Fault(tensor.place, "does not hold as many strings as its shape says"))


def texts_from_bytes(tensor: Layout, binary: memoryview) -> list[str | None]:
    """All texts of the tensor, one row after another; what is not UTF-8 is another text than any that is."""
    _check_text(tensor, binary)
    found, place = list[str | None](), 0
    while place < len(binary):
        begin = place + 4
        place = begin + int.from_bytes(binary[place:begin], "little")
        found.append(str(binary[begin:place], "utf-8", "surrogateescape"))
    return found


def texts_from_json(tensor: Layout, data: msgspec.Raw) -> list[str | None]:
    """The same; `null` is a missing one. Raises `InvalidInput` with places."""
    place = f"{tensor.place}.data"
    try:
        rows, texts = with_text(_anything(data), place)
    except msgspec.ValidationError as error:
        raise InvalidInput(not_a_list(error, place)) from None
    except UNDECODABLE as error:
        raise no_json(error, place) from None
    _refuse_other_count(tensor, rows.size)
    if not np.isnan(rows).all():
        raise InvalidInput(Fault(place, "holds numbers, and its datatype is that of text"))
    columns = [texts.get(column, [None] * len(rows)) for column in range(rows.shape[1])]
    return [each for row in zip(*columns, strict=True) for each in row]


def from_json(tensor: Layout, data: msgspec.Raw) -> Rows:
    """A flat list, or one nested as its shape says; raises `InvalidInput` with places."""
    try:
        flat = _flat(tensor, data)
    except msgspec.ValidationError:
        return _unusual(tensor, data)
    except UNDECODABLE as error:
        raise no_json(error, f"{tensor.place}.data") from None
    _refuse_other_count(tensor, flat.size)
    return real(flat.reshape(tensor.rows, tensor.columns), tensor.cell)


def _flat(tensor: Layout, data: msgspec.Raw) -> NDArray[Any]:
    """Of integers as such, so that none is rounded unseen; raises msgspec's errors for anything else."""
    if "INT" not in tensor.datatype:
        return np.array(_numbers(data), dtype=np.float64)
    integers = _integers(data)
    if None in integers:
        return np.array(integers, dtype=np.float64)
    signed = DATATYPES[tensor.datatype].kind == "i"
    try:
        if signed or all(
            each is not None and each >= 0 for each in integers
        ):  # numpy 1 would take those below for very large ones
            return np.array(integers, dtype=np.int64 if signed else np.uint64)
    except OverflowError:
        pass
    raise InvalidInput(Fault(f"{tensor.place}.data", f"holds a number that is no {tensor.datatype}"))


def _unusual(tensor: Layout, data: msgspec.Raw) -> Rows:
    """Nested lists, truth values, text, and what is wrong."""
    place = f"{tensor.place}.data"
    try:
        values = _anything(data)
    except msgspec.ValidationError as error:
        raise InvalidInput(not_a_list(error, place)) from None
    except UNDECODABLE as error:
        raise no_json(error, place) from None
    if tensor.datatype == TEXT_DATATYPE and all(isinstance(each, str) for each in values):
        _refuse_other_count(tensor, len(values))
        return np.full((tensor.rows, 1), np.nan)
    found = rectangular(values, place, truth=tensor.datatype == "BOOL")
    _refuse_other_count(tensor, found.size)
    rows = found.reshape(tensor.rows, tensor.columns)
    if "INT" in tensor.datatype:
        refuse(np.floor(rows) < rows, "is no whole number", tensor.cell)
    return rows


def _refuse_other_count(tensor: Layout, count: int) -> None:
    if count != tensor.count:
        raise InvalidInput(Fault(f"{tensor.place}.data", f"has {count} values, and its shape says another number"))
