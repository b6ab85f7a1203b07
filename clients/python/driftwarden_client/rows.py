"""Rows as the service reads them, written without numpy, which an application may have or not.

Numbers as the document `application/vnd.driftwarden.rows` (docs/sidecar.md): eight bytes each, exact, with the columns'
names and a time for each row. Where there is text among them, JSON.
"""

import json
import struct
import sys
from array import array
from collections.abc import Sequence
from datetime import UTC, datetime
from math import isnan
from typing import Any

MEDIA_TYPE = "application/vnd.driftwarden.rows"
TEXT_MEDIA_TYPE = "application/json"
BYTES_OF_A_NUMBER = 8
_PREFIX = struct.Struct("<3sBI")
_MISSING = float("nan")


class NotRows(Exception):
    """What an application handed in is no table of numbers, or of numbers and text."""


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


def with_text(rows: Any, predictions: Any, features: Sequence[str] | None, time_ms: int, most: int) -> bytes:
    """Rows of which some values are text: categories. Raises `NotRows`, and `TooManyNumbers` for more than `most`."""
    if isinstance(size := getattr(rows, "size", None), int) and size > most:
        raise TooManyNumbers
    written, count, widths = list[list[str | float | None]](), 0, set[int]()
    try:
        lists = _list(rows)
        outputs = [[]] * len(lists) if predictions is None else _list(predictions)
        for row, output in zip(lists, outputs, strict=True):
            values = [*_list(row), *(_list(output) if _is_several(output) else [output])]
            count += len(values)
            if count > most:
                raise TooManyNumbers
            widths.add(len(values))
            written.append([_plain(value) for value in values])
        if len(widths) != 1 or not count:
            raise NotRows
        names = {} if features is None else {"features": list(features)}
        observed_at = datetime.fromtimestamp(time_ms / 1000, UTC).isoformat()
        return json.dumps({**names, "rows": written, "observed_at": observed_at}, allow_nan=False).encode()
    except (TypeError, ValueError, OverflowError) as error:
        raise NotRows from error


def _is_several(output: Any) -> bool:
    return not isinstance(output, str) and (isinstance(output, Sequence) or hasattr(output, "tolist"))


def _plain(value: Any) -> "str | float | None":
    """What JSON has of it: NaN is a missing value. Raises `TypeError`."""
    if value is None or isinstance(value, str | bool):
        return value
    number = float(value)
    return None if isnan(number) else number


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
