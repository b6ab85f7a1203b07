"""Times of rows out of a column of them: ISO 8601 with a zone, or numbers since the beginning of 1970."""

from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from service.domain.errors import Fault
from service.domain.models import LATEST_MS
from service.domain.sent_columns import SentColumns

Times = NDArray[np.int64]
"""Milliseconds since the epoch."""

_MILLISECONDS_FROM = 1e11
"""Numbers from here on: in seconds it is the year 5138, in milliseconds 1973."""
_LONGEST = 40
_MAXIMUM_FAULTS = 20
_NO_TIME = "is no time with a zone (2026-03-01T12:00:00Z), nor seconds or milliseconds since 1970"


def times_of(sent: SentColumns, column: int) -> tuple[Times, list[Fault]]:
    """Of each row; with the places of those that have none, or one before 1970 or after 9998."""
    texts, numbers = sent.texts.get(column), sent.rows[:, column]
    found = np.where(np.abs(numbers) < _MILLISECONDS_FROM, numbers * 1000, numbers)
    if texts is not None:
        for row in np.flatnonzero(np.isnan(numbers)).tolist():
            found[row] = _moment(texts[row])
    with np.errstate(invalid="ignore"):
        wrong = np.flatnonzero(~((found >= 0) & (found <= LATEST_MS)))
    faults = [Fault(sent.place(row, column), _NO_TIME) for row in wrong[:_MAXIMUM_FAULTS].tolist()]
    return np.where(np.isnan(found) | bool(faults), 0, found).round().astype(np.int64), faults


def disorder(times: Times) -> int | None:
    """The first row that is earlier than the one before it; None if none is."""
    earlier = np.flatnonzero(np.diff(times) < 0)
    return int(earlier[0]) + 1 if len(earlier) else None


def _moment(text: str | None) -> float:
    if text is None or len(text) > _LONGEST:
        return np.nan
    try:
        moment = datetime.fromisoformat(text)
        return np.nan if moment.tzinfo is None else moment.timestamp() * 1000
    except (ValueError, OverflowError):
        return np.nan
