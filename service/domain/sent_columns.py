"""Columns as they were sent, numbers and texts side by side; and how texts become numbers.

A category's code follows from its text alone: the first 48 bits of its BLAKE2b digest. So it means the same under every
registration, on every replica and sidecar, and two categories that a reference does not have are still two.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Texts = Sequence[str | None]
"""Of one column; None where there is none."""

_CODE_BYTES = 6
_REMEMBERED = 2**16
_LONGEST_REMEMBERED = 64
_TRUTHS = {"true": 1.0, "false": 0.0}
_LONGEST_TRUTH = max(map(len, _TRUTHS))


def cell(row: int, column: int) -> str:
    """The place of a value, as most formats call it."""
    return f"rows[{row}][{column}]"


@dataclass(frozen=True, slots=True)
class SentColumns:
    """What a payload holds, before it is known to be what a model's columns are."""

    rows: Values
    """Shape (rows, columns); NaN where a value is missing, or is text."""
    names: Sequence[str] | None
    """None: the columns in order."""
    texts: Mapping[int, Texts] = field(default_factory=dict)
    """By place: of the columns that hold some. A text may be there beside the number that it can be read as."""
    place: Callable[[int, int], str] = cell
    """What a value's row and column are called."""
    matched: frozenset[str] | None = None
    """By a sidecar, with the schema that it knew: these columns hold codes, and holes are what its plan let through."""

    def text(self, column: int) -> NDArray[np.bool_]:
        """Where a column's values are text that is no number."""
        there = np.array([each is not None for each in self.texts.get(column, ())], dtype=np.bool_)
        return there & np.isnan(self.rows[:, column]) if len(there) else np.zeros(len(self.rows), dtype=np.bool_)


def code_of(text: str) -> float:
    """Of a category: a whole number below 2^48, which JSON and float64 hold exactly."""
    return _remembered_code(text) if len(text) <= _LONGEST_REMEMBERED else _code(text)


def category_of(number: float) -> str:
    """The category that a number stands for: `3` for 3 and 3.0."""
    return str(int(number)) if number.is_integer() else repr(number)


def coded(numbers: Values, texts: Texts | None) -> Values:
    """The codes of a categorical column's values, NaN where they are missing."""
    if texts is None:
        distinct, places = np.unique(numbers, return_inverse=True)
        codes = np.array([each if np.isnan(each) else code_of(category_of(each)) for each in distinct.tolist()])
        return np.asarray(codes[places], dtype=np.float64).reshape(numbers.shape)
    # One look at each text: a long one may be shared by all rows (Arrow's dictionaries).
    codes_of: dict[str | None, float] = {text: code_of(text) for text in {*texts} if text is not None}
    without = coded(np.where([text is None for text in texts], numbers, np.nan), None)
    return np.array(
        [codes_of.get(text, number) for text, number in zip(texts, without.tolist(), strict=True)], dtype=np.float64
    )


def categories_of(numbers: Values, texts: Texts | None) -> set[str]:
    """The categories of a column."""
    distinct = [] if texts is None else [text for text in texts if text is not None]
    left = numbers if texts is None else numbers[[text is None for text in texts]]
    return {*distinct, *(category_of(each) for each in np.unique(left[~np.isnan(left)]).tolist())}


def truths(numbers: Values, texts: Texts | None) -> Values:
    """The numbers of a boolean column: `true` and `false`, however they are capitalised, are 1 and 0."""
    if texts is None:
        return numbers
    read = [_TRUTHS.get(text.lower(), np.nan) if text and len(text) <= _LONGEST_TRUTH else np.nan for text in texts]
    return np.where(np.isnan(numbers), np.array(read, dtype=np.float64), numbers)


def _code(text: str) -> float:
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_CODE_BYTES).digest()
    return float(int.from_bytes(digest, "big"))


_remembered_code = lru_cache(maxsize=_REMEMBERED)(_code)
