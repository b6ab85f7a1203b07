"""The door for rows: any array library in, checked float64 on the host out; the only import of array_api_compat.

Transfers go through DLPack, because the standard has no portable name for "the host" that `to_device` would take.
"""

from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np
from array_api_compat import is_array_api_obj, is_torch_array
from numpy.typing import NDArray

from detectors.errors import InvalidRows

T = TypeVar("T", bound=np.generic)

Rows = NDArray[np.float64]
"""Two-dimensional (rows, features), finite, C order."""

_AT_ONCE = 2**13


def checked_rows(rows: Any, *, features: int | None = None) -> Rows:
    """The rows on the host, as float64, without a copy where none is needed; raises `InvalidRows`."""
    found = _on_host(rows)
    if found.ndim != 2:
        raise InvalidRows(f"rows have two dimensions (rows, features), and these have {found.ndim}: {found.shape}")
    if found.shape[1] == 0:
        raise InvalidRows("rows have no features")
    if features is not None and found.shape[1] != features:
        raise InvalidRows(f"rows have {found.shape[1]} features, and the reference has {features}")
    if found.dtype.kind not in "fiu":
        raise InvalidRows(f"rows hold real numbers, not {found.dtype}")
    with np.errstate(over="ignore"):  # only beyond float64, and then the next check names the place
        wide: Rows = np.ascontiguousarray(found, dtype=np.float64)
    _refuse_not_finite(wide)
    return wide


def frozen(array: NDArray[T]) -> NDArray[T]:
    """The same array, no longer writeable: what a summary or a reference holds is shared between threads."""
    array.flags.writeable = False
    return array


def some_at_a_time(features: int, rows: int) -> Iterator[slice]:
    """The features in parts whose rows fit the cache: temporary arrays beyond it cost more than the arithmetic."""
    step = max(1, _AT_ONCE // max(1, rows))
    return (slice(start, start + step) for start in range(0, features, step))


def _on_host(rows: Any) -> NDArray[Any]:
    if isinstance(rows, np.ma.MaskedArray):
        raise InvalidRows("rows are masked, and what is missing cannot be measured")
    if isinstance(rows, np.ndarray):
        return np.asarray(rows)
    if not is_array_api_obj(rows):
        raise InvalidRows(f"rows are an array, not a {type(rows).__name__}")
    try:
        # Torch has spoken DLPack across devices for less time than it has had these two methods.
        return np.from_dlpack(rows.detach().cpu() if is_torch_array(rows) else rows)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise InvalidRows(f"rows cannot be brought to the host: {error}") from error


def _refuse_not_finite(rows: Rows) -> None:
    finite = np.isfinite(rows)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        raise InvalidRows(f"row {row}, column {column} is {rows[row, column]}; every value has to be finite")
