"""When a stream has gone silent: nothing measured lately, so that what was measured before says nothing of now.

Without this a feature that goes missing would stay as calm as it last was, for ever. Of each feature (or of the rows,
for a detector of all features together) it is remembered how many of the latest rows had no value: a number that does
not grow beyond the stated one.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import frozen
from detectors.errors import InvalidDocument
from detectors.parameters import whole_number
from detectors.sequential.results import Values

Integers = NDArray[np.int64]

SILENT_AFTER = 100
"""Rows; the default of every detector's `silent_after`."""
MAXIMUM_SILENCE = 1_000_000


def check_silent_after(value: object) -> None:
    """Raise `InvalidParameter` unless it is a number of rows."""
    whole_number("silent_after", value, at_least=1, at_most=MAXIMUM_SILENCE)


def from_the_start(streams: int, silent_after: int) -> Integers:
    """Shape (streams,): before the first value all are silent."""
    return frozen(np.full(streams, silent_after, dtype=np.int64))


def unmeasured_rows(before: Integers, present: NDArray[np.bool_], silent_after: int) -> Integers:
    """How many of the latest rows were without a value, after each row: shape (rows, streams), as `present` has.

    Never more than `silent_after`, which is silence.
    """
    rows = np.arange(1, len(present) + 1, dtype=np.int64)[:, None]
    newest = np.maximum.accumulate(np.where(present, rows, 0), axis=0)
    return np.minimum(np.where(newest > 0, rows - newest, before + rows), silent_after)


def hushed(statistic: Values, unmeasured: Integers, silent_after: int) -> Values:
    """The statistics, shape (rows, statistics, streams), read-only, without those of silent streams."""
    return frozen(np.where((unmeasured >= silent_after)[:, None, :], np.nan, statistic))


def latest(before: Integers, unmeasured: Integers) -> Integers:
    """What is remembered after these rows: shape (streams,), read-only."""
    return frozen(unmeasured[-1].copy()) if len(unmeasured) else before


def restored(arrays: Any, rows: int, missing: Integers, silent_after: int) -> Integers:
    """What `arrays` have under `unmeasured`; raises `InvalidDocument` if no rows can have led to it."""
    unmeasured = arrays["unmeasured"]
    silent = unmeasured == silent_after
    counted = (unmeasured >= 0) & (unmeasured < silent_after) & (unmeasured <= missing) & (missing < rows)
    if not (counted | (silent & ((missing == rows) | (missing >= silent_after)))).all():
        raise InvalidDocument("unmeasured: other than the numbers of rows and of missing ones allow")
    return frozen(unmeasured.astype(np.int64))
