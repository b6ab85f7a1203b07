"""What every online detector asks of arrays that claim to be one of its states."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import frozen
from detectors.errors import InvalidDocument

MOST_ROWS = 2**53
"""Three hundred years at a million rows a second."""


def refuse_other_arrays(
    arrays: Mapping[str, NDArray[Any]], expected: Mapping[str, tuple[type, tuple[int, ...]]]
) -> None:
    """Raise `InvalidDocument` unless the arrays have exactly these names, dtypes and shapes."""
    if arrays.keys() != expected.keys():
        raise InvalidDocument(f"a state holds {sorted(expected)}, not {sorted(arrays)}")
    for name, (dtype, shape) in expected.items():
        if arrays[name].dtype != dtype or arrays[name].shape != shape:
            found = f"{arrays[name].dtype} of shape {arrays[name].shape}"
            raise InvalidDocument(f"{name} is {found}, not {np.dtype(dtype)} of shape {shape}")


def row_counts(arrays: Mapping[str, NDArray[Any]]) -> tuple[int, NDArray[np.int64]]:
    """Rows seen and, of those, missing ones, which `arrays` have under these names; raises `InvalidDocument`."""
    rows, missing = int(arrays["rows"]), arrays["missing"]
    if not 0 <= rows <= MOST_ROWS:
        raise InvalidDocument(f"{rows} is no number of rows")
    if not ((missing >= 0) & (missing <= rows)).all():
        raise InvalidDocument("missing: more than there were rows, or fewer than none")
    return rows, frozen(missing.astype(np.int64))
