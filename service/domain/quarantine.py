"""What is kept of rows that were flagged: where they are in the log, and why."""

from dataclasses import dataclass

import numpy as np

from detectors.anomaly.labels import NAMES, OK, RowLabels
from service.domain.models import BatchPosition, FlaggedRows, LoggedBatch
from service.domain.windows.admission import event_times

LISTED_ROWS = 100
"""Flagged rows of one batch that are told one by one."""


@dataclass(frozen=True, slots=True)
class QuarantinedRow:
    """A flagged row; its values are where they were, in the log."""

    row: int
    """Its place in the batch, from 0."""
    label: str
    score: float | None
    """How strange it is; None for one that is invalid."""
    time_ms: int
    """Its event time, in milliseconds since the epoch."""


@dataclass(frozen=True, slots=True)
class QuarantinedBatch:
    """The flagged rows of one batch."""

    position: BatchPosition
    identifier: str
    flagged: FlaggedRows
    """All of them, and by label; `rows` may be fewer."""
    rows: tuple[QuarantinedRow, ...]


def quarantined(logged: LoggedBatch, labels: RowLabels, flagged: FlaggedRows) -> QuarantinedBatch:
    """What is kept apart of a batch with flagged rows."""
    places = np.flatnonzero(labels.labels != OK)[:LISTED_ROWS]
    times = event_times(logged.batch)
    return QuarantinedBatch(
        position=logged.position,
        identifier=logged.batch.identifier,
        flagged=flagged,
        rows=tuple(
            QuarantinedRow(
                row=int(place),
                label=NAMES[labels.labels[place]],
                score=None if np.isnan(labels.scores[place]) else float(labels.scores[place]),
                time_ms=int(times[place]),
            )
            for place in places
        ),
    )
