"""Comma-separated values with the features' names in the first line; nothing between two commas is a missing value."""

import csv
import io
from itertools import islice
from math import inf, isnan, nan

import numpy as np

from service.domain.errors import Fault, InvalidInput, UnreadableBody
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
    ragged = [f"line {number}" for number, line in values if len(line) != len(names)]
    if ragged:
        faults = (Fault(place, f"does not have the {len(names)} values that the first line names") for place in ragged)
        raise InvalidInput(*islice(faults, MAXIMUM_FAULTS))
    return Table(_numbers(values), names)


def _numbers(values: list[tuple[int, list[str]]]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    rows = np.array([[_number(value) for value in line] for _, line in values], dtype=np.float64)
    wrong = np.argwhere(np.isinf(rows))
    if len(wrong):
        # Columns by number: without a line of names, the first row of data stands in their place.
        places = (f"line {values[row][0]}, column {column + 1}" for row, column in wrong[:MAXIMUM_FAULTS])
        raise InvalidInput(*(Fault(place, "is not a finite number") for place in places))
    return rows


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
