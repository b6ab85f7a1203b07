"""Rows as a sidecar forwards them: one document of `detectors.codec`, exact, with names and event times.

Arrays `rows` (float64, two dimensions) and, if it is there, `times` (int64, milliseconds since the epoch, one a row);
attributes, if they are there: `features`, the columns' names; `categorical`, of rows that are matched with the model's
schema already: which of them hold codes of categories.
"""

from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors import codec
from detectors.errors import InvalidDocument
from service.domain.errors import Fault, InvalidInput, UnreadableBody
from service.domain.forwarding import ROWS_KIND
from service.domain.models import LATEST_MS
from service.http.formats.table import Payload, Table, real

MEDIA_TYPES = ("application/vnd.driftwarden.rows",)
_MAXIMUM_FAULTS = 20


def read(payload: Payload) -> Table:
    """Nothing is copied; raises `InvalidInput`, naming the place, and `UnreadableBody`."""
    try:
        document = codec.decode(payload.body, kind=ROWS_KIND)
    except InvalidDocument as error:
        # What a hostile header says is repeated by the codec, in brief; here not at all.
        raise UnreadableBody(Fault("body", "is no document of rows, or damaged")) from error
    if not document.arrays.keys() <= {"rows", "times"} or not document.attributes.keys() <= {"features", "categorical"}:
        raise InvalidInput(Fault("body", "holds something else than rows, times, features and categorical"))
    rows = _rows(document.arrays.get("rows"))
    times = _times(document.arrays.get("times"), len(rows))
    observed_at = None if times is None else datetime.fromtimestamp(int(times.max()) / 1000, UTC)
    features, categorical = (_names(document.attributes.get(name), name) for name in ("features", "categorical"))
    matched = None if categorical is None else frozenset(categorical)
    return Table(rows, features, observed_at, times, matched=matched)


def _rows(rows: NDArray[Any] | None) -> NDArray[np.float64]:
    if rows is None or rows.dtype != np.float64 or rows.ndim != 2 or not rows.size:
        raise InvalidInput(Fault("rows", "must be 64-bit floats of two dimensions, at least one of each"))
    return real(rows)


def _times(times: NDArray[Any] | None, rows: int) -> NDArray[np.int64] | None:
    if times is None:
        return None
    if times.dtype != np.int64 or times.shape != (rows,):
        raise InvalidInput(Fault("times", "must be 64-bit integers, one for each row"))
    wrong = np.flatnonzero((times < 0) | (times > LATEST_MS))[:_MAXIMUM_FAULTS]
    if len(wrong):
        message = "must be milliseconds since 1970, of a year up to 9998"
        raise InvalidInput(*(Fault(f"times[{row}]", message) for row in wrong))
    return times


def _names(names: Any, place: str) -> list[str] | None:
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InvalidInput(Fault(place, "must be a list of names"))
    return names
