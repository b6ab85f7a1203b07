"""What every format is given and yields, and how it says which numbers cannot be."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import inexact_integer
from service.domain.errors import Fault, InvalidInput
from service.domain.sent_columns import SentColumns, Texts, cell

MAXIMUM_FAULTS = 20
MAXIMUM_COLUMNS = 2_000
"""Of several tensors together, as of a reference: each column gets a name."""
ROUNDED = "is a whole number that 64-bit floats would round"
TEXT = "holds text, and no column of this model does"
Rows = NDArray[np.float64]
_TEXTUAL = frozenset({str, bool})


@dataclass(frozen=True, slots=True)
class Payload:
    """A body without its content coding, and what its headers say about it."""

    body: bytes
    head_bytes: int | None = None
    """`Inference-Header-Content-Length`: where the JSON ends and binary tensors begin."""
    most_bytes: int = 4 * 2**20
    """What a compact body may unpack to, in cells of a table."""
    keeps_text: bool = False
    """Whether columns may hold text: of a model with numbers alone it is refused, or left unread."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of numbers, and what the payload said about them."""

    rows: Rows
    """Shape (rows, columns), at least one of each; NaN where a value is missing or text, and otherwise finite."""
    features: Sequence[str] | None
    observed_at: datetime | None = None
    """When the inferences happened; the latest of them, where each row has a time of its own."""
    times: NDArray[np.int64] | None = None
    """Of each row, in milliseconds since the epoch, if the payload said so."""
    not_numbers: dict[int, Fault] = field(default_factory=dict)
    """Columns of text that was not kept, by their place."""
    texts: dict[int, Texts] = field(default_factory=dict)
    """Those that were kept; see `SentColumns`."""
    place: Callable[[int, int], str] = cell
    matched: frozenset[str] | None = None

    @property
    def columns(self) -> SentColumns:
        """What is in it, but for times."""
        return SentColumns(self.rows, self.features, self.texts, self.place, self.matched)

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


def separated(values: Sequence[Any]) -> tuple[NDArray[np.float64], Texts | None]:
    """The numbers of a column of JSON values, and its texts if it has some; truth values are texts.

    Values are numbers, texts, truth values, or None, which is missing.
    """
    if _TEXTUAL.isdisjoint(map(type, values)):
        return np.array(values, dtype=np.float64), None
    numbers = [None if type(each) in _TEXTUAL else each for each in values]
    texts = [each if type(each) is str else ("false", "true")[each] if type(each) is bool else None for each in values]
    return np.array(numbers, dtype=np.float64), texts


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
