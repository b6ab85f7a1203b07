"""What every format is given and yields, and how it says which numbers cannot be."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import inexact_integer
from service.domain.errors import Fault, InvalidInput

MAXIMUM_FAULTS = 20
MAXIMUM_COLUMNS = 2_000
"""Of several tensors together, as of a reference: each column gets a name."""
ROUNDED = "is a whole number that 64-bit floats would round"
TEXT = "holds text, and features are numbers: categories are not built yet"
Rows = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Payload:
    """A body without its content coding, and what its headers say about it."""

    body: bytes
    head_bytes: int | None = None
    """`Inference-Header-Content-Length`: where the JSON ends and binary tensors begin."""
    most_bytes: int = 4 * 2**20
    """What a compact body may unpack to, in cells of a table."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of numbers, and what the payload said about them."""

    rows: Rows
    """Shape (rows, columns), at least one of each; NaN where a value is missing, and otherwise finite."""
    features: Sequence[str] | None
    observed_at: datetime | None = None
    """When the inferences happened; the latest of them, where each row has a time of its own."""
    times: NDArray[np.int64] | None = None
    """Of each row, in milliseconds since the epoch, if the payload said so."""
    not_numbers: dict[int, Fault] = field(default_factory=dict)
    """Columns of text, by their place: NaN in `rows`. The seam for categories, which are not built yet."""

    def refuse_text(self) -> None:
        """Raise `InvalidInput` with the places of columns that hold no numbers."""
        if self.not_numbers:
            raise InvalidInput(*list(self.not_numbers.values())[:MAXIMUM_FAULTS])


class Format(Protocol):
    """One file of this package."""

    @property
    def MEDIA_TYPES(self) -> tuple[str, ...]:  # noqa: N802 - a constant of the module
        """Which it reads."""

    def read(self, payload: Payload, /) -> Table:
        """Raise `UnreadableBody` for what is not of the format, `InvalidInput` with places for wrong content."""


def cell(row: int, column: int) -> str:
    """The place of a number, as most formats call it."""
    return f"rows[{row}][{column}]"


def refuse(wrong: NDArray[np.bool_], message: str, place: Callable[[int, int], str] = cell) -> None:
    """Raise `InvalidInput` with the places of what is true."""
    if not wrong.any():
        return
    lines = np.flatnonzero(wrong.any(axis=1))[:MAXIMUM_FAULTS]
    places = [(int(line), int(column)) for line in lines for column in np.flatnonzero(wrong[line])[:MAXIMUM_FAULTS]]
    raise InvalidInput(*(Fault(place(line, column), message) for line, column in places[:MAXIMUM_FAULTS]))


def real(stored: NDArray[Any], place: Callable[[int, int], str] = cell) -> Rows:
    """Numbers of two dimensions as float64, not copied where they are; raises `InvalidInput` with places.

    What float64 cannot hold is refused instead of rounded; NaN is a missing value.
    """
    if stored.dtype.kind in "iu" and (inexact := inexact_integer(stored)) is not None:
        raise InvalidInput(Fault(place(*inexact), ROUNDED))
    rows: Rows = stored.astype(np.float64, order="C", copy=False)
    if stored.dtype.kind == "f" and not np.isfinite(rows).all():
        refuse(np.isinf(rows), "is not a finite number", place)
    return rows
