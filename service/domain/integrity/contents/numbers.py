"""Formats that hold numbers, or say that they do: NumPy arrays, safetensors, GGUF, tables and pictures."""

import ast
import json
import re
from collections.abc import Iterator
from typing import Any

from service.domain.integrity.contents.content import Look, code, data, may, unknown
from service.domain.integrity.contents.source import View

_NPY = b"\x93NUMPY"
_MAXIMUM_ARRAY_HEADER = 10_000
"""Bytes; NumPy's own bound, above which it wants to be told that the file is trusted."""
_MAXIMUM_TENSOR_HEADER = 8 * 2**20
_NUMBERS = re.compile(r"[<>|=]?[?bBiufcSUVaMm]\d*(\[[0-9A-Za-z/]*\])?")
_MAGIC = {
    b"PAR1": "Parquet",
    b"ARROW1\0\0": "Arrow",
    b"CBM1": "CatBoost model",
    b"SQLite format 3\0": "SQLite",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"GIF8": "GIF",
    b"RIFF": "RIFF",
}
_UBJSON_LENGTHS = b"iUIlL"


def array(view: View) -> Look | None:
    """A .npy file; one of objects has a pickle in the place of numbers."""
    if not view.head.startswith(_NPY):
        return None
    size = 2 if view.head[6:7] == b"\1" else 4
    length = view.number(8, size)
    if length > _MAXIMUM_ARRAY_HEADER:
        return may("NumPy array with a header longer than NumPy reads")
    try:
        header = ast.literal_eval(view.source.read(8 + size, length).decode("latin-1").strip())
        types = list(_types(header["descr"]))
    except (ValueError, SyntaxError, TypeError, KeyError, RecursionError, MemoryError):
        return may("NumPy array with a header that cannot be read")
    if all(_NUMBERS.fullmatch(text) for text in types):
        return data("NumPy array")
    return code("NumPy array of objects, which is a pickle")


def _types(description: Any) -> Iterator[str]:
    """Of every field; what is none of the three spellings is no type of numbers either."""
    if isinstance(description, str):
        yield description
    elif isinstance(description, tuple):
        yield from _types(description[0])
    else:
        for member in description:
            yield from _types(member[1])


def tensors(view: View) -> Look | None:
    """A safetensors file: https://github.com/huggingface/safetensors#format. Its header has to fit its size."""
    length = view.number(0, 8)
    if view.head[8:9] != b"{" or length < 2:
        return None
    if length > view.source.size - 8:
        return unknown("safetensors with a header longer than the file") if _named(view) else None
    if length > _MAXIMUM_TENSOR_HEADER or not view.whole:
        return unknown("safetensors of which not everything was looked at")
    return _of_header(view, length)


def _of_header(view: View, length: int) -> Look | None:
    try:
        ends = _ends(json.loads(view.source.read(8, length)))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return unknown("safetensors with a header that cannot be read") if _named(view) else None
    if ends == view.source.size - 8 - length:
        return data("safetensors")
    return unknown("safetensors with a header that does not fit the file")


def _named(view: View) -> bool:
    return view.name.lower().endswith(".safetensors")


def _ends(header: Any) -> int:
    """Where the last tensor ends, if each begins where another one ends; raises what a wrong header raises."""
    spans = sorted(tuple(value["data_offsets"]) for name, value in header.items() if name != "__metadata__")
    end = 0
    for begins, ends in spans:
        if begins != end or not end <= ends:
            return -1
        end = ends
    return end


def known_data(view: View) -> Look | None:
    """GGUF, and formats of tables and pictures, by their first bytes."""
    head = view.head
    if head.startswith(b"GGUF") and 1 <= view.number(4, 4) <= 100:
        return data("GGUF")
    if head[4:8] == b"TFL3":
        return data("TensorFlow Lite")
    if head[:1] == b"{" and head[1:2] in _UBJSON_LENGTHS and b"learner" in head[:64]:
        return data("XGBoost model in UBJSON")
    return next((data(form) for magic, form in _MAGIC.items() if head.startswith(magic)), None)
