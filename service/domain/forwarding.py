"""What a sidecar forwards: spans of its log, each gathered into one parcel under a name that never changes.

A span is written down before it is sent (`Progress.sending`), so whatever ends the process, the same rows go out again
as the same bytes under the same name, and the central service counts them once.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from detectors import codec
from service.domain.fitted_plan import FittedPlan
from service.domain.models import LOG_START, BatchPosition, Cursor, LoggedBatch, is_after
from service.domain.registration import Registration
from service.domain.summaries import MAXIMUM_PANES, encode_panes, panes_of
from service.domain.windows import Admission, RecentIdentifiers
from service.domain.windows.admission import Dropped

ROWS_KIND = "rows"
"""Of the document in which rows travel; `service/http/formats/rows_document.py` reads it."""
MAXIMUM_PARCEL_BYTES = 2 * 2**20
"""Of rows, eight bytes a value: half of what a central service takes at once unless it is told otherwise."""
_NO_TIMES: NDArray[np.int64] = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Place:
    """Between two rows of a log."""

    position: BatchPosition = LOG_START
    """Behind this batch ..."""
    offset: int = 0
    """... and behind so many rows of the one that follows it."""


@dataclass(frozen=True, slots=True)
class Sending:
    """A span on its way; whether the central service has it is not known."""

    end: Place
    revision: int
    """Of the registration (in the sidecar's own store) under which its rows are arranged and summarised."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a model's log has been forwarded."""

    done: Place = Place()
    """Everything before it is acknowledged by the central service."""
    sending: Sending | None = None
    """What follows it and is on its way."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the central service says that a model is watched by."""

    tag: str
    """To be asked again with, in case nothing has changed."""
    registration: Registration
    """Numbered by the central service."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """One request to the central service."""

    name: str
    kind: Literal["rows", "summaries"]
    body: bytes
    traceparent: str | None = None
    """Of the latest of its batches that has one."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """The rows of one span."""

    rows: NDArray[np.float64]
    times: NDArray[np.int64]
    """Of each row, in milliseconds since the epoch."""
    start: Place
    end: Place
    oldest: BatchPosition | None
    """Of the first batch that has a row among them."""
    dropped: Dropped
    traceparent: str | None
    full: bool
    """It does not end because the log does: there may be more."""

    @property
    def is_nothing(self) -> bool:
        """Whether it leads nowhere; a span without rows may still pass over batches that do not count."""
        return self.start == self.end


@dataclass(frozen=True, slots=True)
class Room:
    """What one parcel may hold."""

    rows: int
    every_ms: int | None = None
    """Of no more than `MAXIMUM_PANES` intervals of that length, aligned to its multiples; None: of any times."""


class Gathering:
    """Takes the entries of a log after `start` in its order, as many as there is room for, or up to `until`."""

    def __init__(
        self, features: int, start: Place, recent: RecentIdentifiers, room: Room, until: Place | None = None
    ) -> None:
        # What claims to be of the future is the central service's to judge: it has the plan's last word on time.
        self._admission = Admission(features, Cursor(start.position, start.offset), recent, by_time=False)
        self._start = self._end = start
        self._features = features
        self._room = room
        self._left = room.rows
        self._intervals: set[int] = set()
        self._until = until
        self._rows: list[NDArray[np.float64]] = []
        self._times: list[NDArray[np.int64]] = []
        self._oldest: BatchPosition | None = None
        self._traceparent: str | None = None
        self._full = False
        self.ended = until == start
        """Nothing more is to be handed in."""

    @property
    def position(self) -> BatchPosition:
        """The last batch handed in."""
        return self._admission.read

    def take(self, logged: LoggedBatch) -> None:
        """Hand in the next batch."""
        beyond = self._until is not None and is_after(logged.position, self._until.position)
        if beyond and not self._until_inside():
            self.ended = True
            return
        admitted = self._admission.take(logged)
        if admitted is None:
            self._end = Place(logged.position)
            self.ended = beyond or logged.position == self._last()
            return
        places = admitted.places
        taken = self._fitting(admitted.times)
        if self._until is not None:  # what fitted once is not cut again
            taken = int(np.searchsorted(places, self._until.offset)) if beyond else len(places)
        self._rows.append(admitted.rows[:taken])
        self._times.append(admitted.times[:taken])
        self._left -= taken
        self._oldest = self._oldest or (logged.position if taken else None)
        self._traceparent = admitted.traceparent or self._traceparent
        whole = taken == len(places)
        self._end = Place(logged.position) if whole else Place(admitted.before, int(places[taken]))
        self._full = self._until is None and (not whole or self._left <= 0)
        self.ended = beyond or self._full or logged.position == self._last()

    def gathered(self) -> Gathered:
        """What was handed in."""
        return Gathered(
            rows=np.concatenate(self._rows) if self._rows else np.empty((0, self._features)),
            times=np.concatenate(self._times) if self._times else _NO_TIMES,
            start=self._start,
            end=self._end,
            oldest=self._oldest,
            dropped=self._admission.dropped(),
            traceparent=self._traceparent,
            full=self._full or self._until is not None,
        )

    def _fitting(self, times: NDArray[np.int64]) -> int:
        """How many of these rows, from the first on, there is room for."""
        most = min(len(times), self._left)
        if self._room.every_ms is None:
            return most
        found, first = np.unique(times[:most] // self._room.every_ms, return_index=True)
        for place, interval in sorted(zip(first.tolist(), found.tolist(), strict=True)):
            if interval not in self._intervals and len(self._intervals) == MAXIMUM_PANES:
                return int(place)
            self._intervals.add(interval)
        return most

    def _until_inside(self) -> bool:
        """Whether the batch that follows the last one handed in is cut by the end."""
        return self._until is not None and self._until.offset > 0 and self._until.position == self._admission.read

    def _last(self) -> BatchPosition | None:
        return None if self._until is None or self._until.offset else self._until.position


def keeps_summaries(registration: Registration) -> bool:
    """Whether the plan has summaries in the place of rows."""
    return registration.plan.window.keep == "summaries"


def room(registration: Registration, most_rows: int) -> Room:
    """No more rows than that, nor than may be sent at once, nor than a window by count is to have."""
    fitting = min(most_rows, max(1, MAXIMUM_PARCEL_BYTES // (8 * len(registration.features))))
    if not keeps_summaries(registration):
        return Room(fitting)
    window = registration.plan.window
    return Room(min(fitting, window.rows or fitting), registration.plan.window.every_ms)


def parcel_name(identity: str, gathered: Gathered, registration: Registration) -> str:
    """The same for the same span of the same sidecar's log; the central service knows names for each model apart.

    Summaries for another registration are other bytes, so they have another name. Rows are the same rows under any.
    """
    start, end = gathered.start, gathered.end
    name = f"{identity}/{start.position}+{start.offset}/{end.position}+{end.offset}"
    if not keeps_summaries(registration):
        return name
    made = codec.digest(f"{registration.reference_digest} {registration.plan.digest}".encode())
    return f"{name}/{made.removeprefix('sha256:')[:16]}"


def rows_document(registration: Registration, gathered: Gathered) -> bytes:
    """Rows exactly as they are, with the name of every column and the event time of every row."""
    arrays = {"rows": gathered.rows, "times": gathered.times}
    attributes = {"features": list(registration.features)}
    if not registration.is_of_numbers:  # or else releases that know no schemas read it as well
        attributes["categorical"] = sorted(registration.schema.categorical)
    return codec.encode(ROWS_KIND, arrays, attributes)


def summaries_document(registration: Registration, fitted: FittedPlan, gathered: Gathered) -> bytes:
    """What the plan's detectors keep of the rows: a pane for each window by time that has some, or one for all."""
    return encode_panes(panes_of(fitted, gathered.rows, gathered.times, registration.plan.window.every_ms))
