"""Comma-separated values with the columns' names in the first line; nothing between two commas is a missing value."""

import csv
import io
from collections.abc import Callable
from itertools import islice
from math import inf, isnan, nan

import numpy as np
from numpy.typing import NDArray

from service.domain.errors import Fault, InvalidInput, UnreadableBody
from service.domain.sent_columns import Texts
from service.http.formats.table import MAXIMUM_FAULTS, Payload, Table

MEDIA_TYPES = ("text/csv",)
_NO_NUMBER = inf
"""Stands for it until its place is told."""


def read(payload: Payload) -> Table:
    """Raises `InvalidInput`, naming line and column."""
    body = payload.body
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableBody(Fault(f"byte {error.start}", "is not UTF-8")) from None
    reader = csv.reader(io.StringIO(text), strict=True)
    try:
        lines = [(reader.line_num, line) for line in reader if line]
    except csv.Error as error:
        raise UnreadableBody(Fault("body", f"is not CSV: {error}")) from None
    if len(lines) < 2:
        raise InvalidInput(Fault("body", "has no rows; send one line of feature names, then one line a row"))
    (_, names), values = lines[0], lines[1:]
    if _is_a_row(names):
        message = "holds numbers where names are wanted; send one line of feature names first, then one line a row"
        raise InvalidInput(Fault("line 1", message))
    ragged = [f"line {number}" for number, line in values if len(line) != len(names)]
    if ragged:
        faults = (Fault(place, f"does not have the {len(names)} values that the first line names") for place in ragged)
        raise InvalidInput(*islice(faults, MAXIMUM_FAULTS))

    def place(row: int, column: int) -> str:
        # Columns by number: without a line of names, the first row of data stands in their place.
        return f"line {values[row][0]}, column {column + 1}"

    rows = np.array([[_number(value) for value in line] for _, line in values], dtype=np.float64)
    if not payload.keeps_text:
        _refuse(np.isinf(rows), place)
        return Table(rows, names)
    # All of it as text as well: 007 is another category than 7.
    texts: dict[int, Texts] = {column: _texts([line[column] for _, line in values]) for column in range(len(names))}
    return Table(np.where(np.isinf(rows), nan, rows), names, texts=texts, place=place)


def _is_a_row(names: list[str]) -> bool:
    """Numbers that do not just count the columns, as data frames without names do."""
    numbers = [_number(name) for name in names]
    if not all(abs(number) < inf for number in numbers):  # not for NaN either
        return False
    return numbers not in ([float(place) for place in range(first, first + len(names))] for first in (0, 1))


def _texts(values: list[str]) -> list[str | None]:
    return [value if value.strip() else None for value in values]


def _refuse(wrong: NDArray[np.bool_], place: Callable[[int, int], str]) -> None:
    if wrong.any():
        places = np.argwhere(wrong)[:MAXIMUM_FAULTS].tolist()
        raise InvalidInput(*(Fault(place(row, column), "is not a finite number") for row, column in places))


def _number(value: str) -> float:
    if not value.strip():
        return nan
    if "_" in value or not value.isascii():  # `float` takes Python's own spelling and every script's digits
        return _NO_NUMBER
    try:
        number = float(value)
    except ValueError:
        return _NO_NUMBER
    return _NO_NUMBER if isnan(number) else number
