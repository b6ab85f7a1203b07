"""Data frames of any library as rows: whatever has `columns` and `to_numpy()`, which pandas and polars do.

Neither is imported. What is missing (NaN, None, NA) becomes NaN, and a truth value 0 or 1.
"""

from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import INEXACT, WHOLE, inexact_integer
from detectors.errors import InvalidRows

Names = tuple[str, ...]

_MISSING = ("NoneType", "NAType", "NaTType")


def rows_of(rows: Any) -> Any:
    """The rows of a data frame as float64; any other rows as they are. Raises `InvalidRows` that names the column."""
    names = names_of(rows)
    if names is not None:
        columns = [_numbers(name, rows[column]) for name, column in zip(names, rows.columns, strict=True)]
        return np.stack(columns, axis=1) if columns else np.empty((len(rows), 0))
    return rows.to_numpy() if hasattr(rows, "to_numpy") else rows


def names_of(rows: Any) -> Names | None:
    """The columns of a data frame in their order, or None; raises `InvalidRows` if two have one name."""
    if not (hasattr(rows, "to_numpy") and hasattr(rows, "columns")):
        return None
    names = tuple(str(name) for name in rows.columns)
    if len(set(names)) < len(names):
        raise InvalidRows(f"a column's name is there twice: {sorted({n for n in names if names.count(n) > 1})}")
    return names


def refuse_other_columns(expected: Names | None, rows: Any) -> None:
    """Raise `InvalidRows` unless these columns are the reference's, in its order, where both have names."""
    found = names_of(rows)
    if expected is not None and found is not None and found != expected:
        raise InvalidRows(f"the columns are {list(found)}, and the reference's are {list(expected)}, in this order")


def _numbers(name: str, column: Any) -> NDArray[np.float64]:
    values: NDArray[Any] = column.to_numpy()
    if values.dtype.kind == "O":
        return np.array([_number(name, row, value) for row, value in enumerate(values)], dtype=np.float64)
    if values.dtype.kind not in "fiub":
        raise InvalidRows(f"column {name!r} holds {values.dtype}, not numbers; give categories as codes")
    place = inexact_integer(values)
    if place is None and values.dtype.kind == "f" and "int" in str(getattr(column, "dtype", "")).lower():
        place = _perhaps_rounded(values)
    if place is not None:
        raise InvalidRows(f"column {name!r}, row {place[0]} is {values[place]}{INEXACT}")
    with np.errstate(over="ignore"):  # beyond float64 it becomes an infinity
        return values.astype(np.float64)


def _perhaps_rounded(values: NDArray[Any]) -> tuple[int, ...] | None:
    """Of integers that came as floating-point numbers because some are missing: the first too large to be trusted."""
    large = np.flatnonzero(np.abs(values) >= WHOLE)
    return (int(large[0]),) if len(large) else None


def _number(name: str, row: int, value: object) -> float:
    if type(value).__name__ in _MISSING:
        return np.nan
    if not isinstance(value, Real):
        raise InvalidRows(f"column {name!r} holds {value!r}, which is no number; give categories as codes")
    try:
        number = float(value)
    except OverflowError:  # an integer beyond them all
        number = np.inf
    if isinstance(value, Integral) and number != value:
        raise InvalidRows(f"column {name!r}, row {row} is {value}{INEXACT}")
    return number
