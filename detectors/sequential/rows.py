"""One row at a time."""

from typing import Any

from detectors.arrays import on_host
from detectors.errors import InvalidRows


def single_row(row: Any) -> Any:
    """The row in two dimensions, shape (1, features); raises `InvalidRows`."""
    found = on_host(row)
    if found.ndim == 1:
        return found[None, :]
    if found.ndim == 2 and len(found) == 1:
        return found
    raise InvalidRows(f"one row has the shape (features,) or (1, features), and this has {found.shape}")
