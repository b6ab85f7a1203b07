"""Rows of numbers as the document that the service calls `application/vnd.driftwarden.rows` (docs/sidecar.md).

Eight bytes a number, exact, with the columns' names and a time for each row; written without numpy, which an
application may have or not.
"""

import json
import struct
import sys
from array import array
from collections.abc import Sequence
from typing import Any

MEDIA_TYPE = "application/vnd.driftwarden.rows"
BYTES_OF_A_NUMBER = 8
_PREFIX = struct.Struct("<3sBI")
_MISSING = float("nan")


class NotRows(Exception):
    """What an application handed in is no table of numbers."""


class TooManyNumbers(Exception):
    """There are more of them than may be copied."""


def packed(rows: Any, predictions: Any, most: int) -> "tuple[array[float], int]":
    """The numbers, row after row, and how many make a row; predictions, if there are any, stand behind the features.

    `rows` are sequences of numbers (None is missing), or whatever gives them by `tolist` or `to_numpy`: numpy's arrays,
    data frames, tensors on the host. A prediction is a number, or a sequence of them. Raises `NotRows`, and
    `TooManyNumbers` for more than `most`, before they are looked at where they say how many they are.
    """
    if isinstance(size := getattr(rows, "size", None), int) and size > most:
        raise TooManyNumbers
    numbers = array("d")
    try:
        lists = _list(rows)
        outputs = [[]] * len(lists) if predictions is None else _list(predictions)
        widths = set[int]()
        for row, output in zip(lists, outputs, strict=True):
            before = len(numbers)
            numbers.extend(_numbers(_list(row)))
            numbers.extend(_numbers(output if isinstance(output, Sequence) else [output]))
            if len(numbers) > most:
                raise TooManyNumbers
            widths.add(len(numbers) - before)
    except (TypeError, ValueError, OverflowError) as error:
        raise NotRows from error
    if len(widths) != 1 or not numbers:
        raise NotRows
    return numbers, widths.pop()


def document(numbers: "array[float]", width: int, features: Sequence[str] | None, time_ms: int) -> list[bytes]:
    """In pieces. Raises `NotRows` for names that are none."""
    count = len(numbers) // width
    described = [
        {"dtype": "float64", "name": "rows", "shape": [count, width]},
        {"dtype": "int64", "name": "times", "shape": [count]},
    ]
    names = None if features is None else list(features)
    if not all(isinstance(name, str) for name in names or ()):
        raise NotRows
    head = {"arrays": described, "attributes": {} if names is None else {"features": names}, "kind": "rows"}
    try:
        written = json.dumps(head, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    except UnicodeEncodeError as error:
        raise NotRows from error
    written += b" " * (-len(written) % 8)
    times = array("q", [time_ms]) * count
    return [_PREFIX.pack(b"DWD", 1, len(written)) + written, _little_endian(numbers), _little_endian(times)]


def _list(values: Any) -> Sequence[Any]:
    for method in ("to_numpy", "tolist"):
        if hasattr(values, method):
            values = getattr(values, method)()
    if isinstance(values, str | bytes) or not isinstance(values, Sequence):
        raise TypeError("no sequence")
    return values


def _numbers(values: Sequence[Any]) -> Sequence[float]:
    return [_MISSING if value is None else value for value in values] if None in values else values


def _little_endian(numbers: "array[float] | array[int]") -> bytes:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()
