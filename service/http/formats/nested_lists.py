"""Nested lists of JSON values as columns: flattened where they are rectangular, refused with the place elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from service.domain.errors import Fault, InvalidInput
from service.domain.sent_columns import Texts
from service.http.formats.table import MAXIMUM_FAULTS, ROUNDED, Rows, real, separated

MAXIMUM_DIMENSIONS = 16
_NUMBERS: frozenset[type] = frozenset({float, int, type(None)})


@dataclass(frozen=True, slots=True)
class _Where:
    place: str
    within: str

    def of(self, index: int, shape: Sequence[int]) -> str:
        """The place of what stands there when everything is in one list."""
        path: list[int] = []
        for length in reversed(shape):
            index, last = divmod(index, max(length, 1))
            path.insert(0, last)
        return f"{self.place}[{path[0]}]{self.within}" + "".join(f"[{each}]" for each in path[1:])


def rectangular(values: Sequence[Any], place: str, within: str = "", *, truth: bool = False) -> Rows:
    """One row for each value, which is a number or a (nested) list of them; `null` is a missing number.

    `place` is that of all of them, `within` that of each inside its row. `truth`: whether true and false are numbers.
    Raises `InvalidInput` with places.
    """
    where = _Where(place, within)
    level, shape = _flattened(values, where)
    _refuse_others(level, shape, where, _NUMBERS | {bool} if truth else _NUMBERS)

    def of(row: int, column: int) -> str:
        return where.of(row * (len(level) // shape[0]) + column, shape)

    return real(np.array([_as_float(number) for number in level], dtype=np.float64).reshape(shape[0], -1), of)


def with_text(values: Sequence[Any], place: str, within: str = "") -> tuple[Rows, dict[int, Texts]]:
    """The same where text may be: also the texts of columns that have some, truth values among them."""
    where = _Where(place, within)
    level, shape = _flattened(values, where)
    _refuse_others(level, shape, where, _NUMBERS | {bool, str})
    width = len(level) // shape[0]
    parts = [separated(level[column::width]) for column in range(width)]
    texts = {column: texts for column, (_, texts) in enumerate(parts) if texts is not None}
    return np.column_stack([numbers for numbers, _ in parts]), texts


def _flattened(values: Sequence[Any], where: _Where) -> tuple[list[Any], list[int]]:
    """All values in one list, and the shape that they had."""
    shape, level = [len(values)], list(values)
    while level and isinstance(level[0], list):
        if len(shape) == MAXIMUM_DIMENSIONS:
            raise InvalidInput(Fault(where.place, f"has more than {MAXIMUM_DIMENSIONS} dimensions"))
        level = _one_deeper(level, shape, where)
    if not level:
        raise InvalidInput(Fault(where.place, "holds no numbers"))
    return level, shape


def _one_deeper(level: list[Any], shape: list[int], where: _Where) -> list[Any]:
    length = len(level[0])
    for index, each in enumerate(level):
        if not isinstance(each, list) or len(each) != length:
            has = f"has {len(each)} values" if isinstance(each, list) else "is no list"
            raise InvalidInput(Fault(where.of(index, shape), f"{has}, and its first neighbour has {length} values"))
    shape.append(length)
    return [number for each in level for number in each]


def _refuse_others(level: Sequence[Any], shape: Sequence[int], where: _Where, types: frozenset[type]) -> None:
    wrong = [index for index, each in enumerate(level) if type(each) not in types]
    if wrong:
        raise InvalidInput(*(Fault(where.of(index, shape), "is not a number") for index in wrong[:MAXIMUM_FAULTS]))
    rounded = [index for index, each in enumerate(level) if type(each) is int and _as_float(each) != each]
    if rounded:
        raise InvalidInput(*(Fault(where.of(index, shape), ROUNDED) for index in rounded[:MAXIMUM_FAULTS]))


def _as_float(number: float | None) -> float:
    if number is None:
        return float("nan")
    try:
        return float(number)
    except OverflowError:
        return float("inf")
