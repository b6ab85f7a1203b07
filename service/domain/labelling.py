"""Labels of rows in the order of the log: what a row is by the reference, and whether it came before.

Both depend on nothing but the reference and the log, batch after batch. Whoever labels a batch again, after a restart
or for an export, gives its rows the same labels, as far back as the log is kept.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from detectors.anomaly.labels import DUPLICATE, NAMES, OK, Labeller, RowLabels
from detectors.anomaly.row_hash import Hashes
from detectors.arrays import Rows, frozen
from detectors.errors import DetectorError
from service.domain.anomaly_plan import AnomalyPlan
from service.domain.errors import Fault, InvalidReference
from service.domain.models import FlaggedRows, LoggedBatch, Reference

REMEMBERED_ROWS = 10_000
"""Rows of the log before a batch, in whole batches where these have no more, that its rows may repeat."""


@dataclass(frozen=True, slots=True)
class RowLabelling:
    """A plan's labels, fitted on its reference."""

    labeller: Labeller
    features: int
    """Of the rows that come."""
    columns: NDArray[np.intp] | None
    """Those that are looked at; None for all."""

    @classmethod
    def fit(cls, plan: AnomalyPlan, reference: Reference) -> "RowLabelling":
        """Raises `InvalidReference`."""
        looked_at = [place for place, name in enumerate(reference.features) if name not in reference.labels]
        columns = None if len(looked_at) == len(reference.features) else np.array(looked_at, dtype=np.intp)
        rows = reference.rows if columns is None else reference.rows[:, columns]
        try:
            labeller = Labeller.fit(rows, plan.score, plan.outlier_rate, plan.typical_rate)
        except DetectorError as error:
            raise InvalidReference(Fault("rows", f"anomalies cannot be told: {error}")) from error
        return cls(labeller, len(reference.features), columns)

    def label(self, rows: Rows) -> RowLabels:
        """Of rows with all of the reference's features."""
        return self.labeller.label(rows if self.columns is None else rows[:, self.columns])


class LabelledLog:
    """Takes the batches of a log one after another; holds 64 bits of each of the latest rows.

    These are fewer than twice as many as may be repeated: of a larger batch the last ones are remembered.
    """

    def __init__(self, labelling: RowLabelling) -> None:
        self._labelling = labelling
        self._batches: deque[Hashes] = deque()
        self._rows = 0
        self._occurrences: dict[int, int] = {}

    def label(self, batches: Sequence[LoggedBatch]) -> Sequence[RowLabels | None]:
        """Of the next ones; None if one does not fit the reference. A repeated batch is labelled like any other."""
        fit = [len(each.batch.rows) > 0 and each.batch.rows.shape[1] == self._labelling.features for each in batches]
        fitting = [each.batch.rows for each, fits in zip(batches, fit, strict=True) if fits]
        if not fitting:
            return [None] * len(batches)
        # At once: batches are often single rows, and each by itself takes many times as long.
        together = self._labelling.label(np.concatenate(fitting))
        ends = np.cumsum([len(rows) for rows in fitting])
        parts = (together.part(int(end) - len(rows), int(end)) for rows, end in zip(fitting, ends, strict=True))
        return [self._with_duplicates(next(parts)) if fits else None for fits in fit]

    def _with_duplicates(self, found: RowLabels) -> RowLabels:
        if not self._labelling.labeller.finds_duplicates:
            return found
        known = self._remembered(found.hashes)
        return replace(found, labels=frozen(np.where(known & found.may_repeat, np.int8(DUPLICATE), found.labels)))

    def _remembered(self, hashes: Hashes) -> NDArray[np.bool_]:
        """Which came before; and remembers the latest of them."""
        if len(hashes) > REMEMBERED_ROWS:
            known, latest = self._known_of_many(hashes), hashes[-REMEMBERED_ROWS:].copy()
            self._remember(latest)
        else:
            known, latest = self._remember(hashes), hashes
        self._batches.append(latest)
        self._rows += len(latest)
        while self._rows - len(self._batches[0]) >= REMEMBERED_ROWS:
            self._forget(self._batches.popleft())
        return known

    def _remember(self, hashes: Hashes) -> NDArray[np.bool_]:
        known = np.zeros(len(hashes), dtype=np.bool_)
        occurrences = self._occurrences
        for place, number in enumerate(hashes.tolist()):
            before = occurrences.get(number, 0)
            known[place] = before > 0
            occurrences[number] = before + 1
        return known

    def _known_of_many(self, hashes: Hashes) -> NDArray[np.bool_]:
        """Of a million, as a body may have, a dictionary would take ninety megabytes."""
        known = np.isin(hashes, np.fromiter(self._occurrences, np.uint64, len(self._occurrences)))
        again = np.ones(len(hashes), dtype=np.bool_)
        again[np.unique(hashes, return_index=True)[1]] = False
        return np.asarray(known | again)

    def _forget(self, hashes: Hashes) -> None:
        self._rows -= len(hashes)
        for number in hashes.tolist():
            self._occurrences[number] -= 1
            if not self._occurrences[number]:
                del self._occurrences[number]


def flagged_rows(labels: RowLabels) -> FlaggedRows:
    """How many rows have which label."""
    counts = np.bincount(labels.labels, minlength=len(NAMES)).tolist()
    return FlaggedRows(**{name: count for name, count in zip(NAMES, counts, strict=True) if name != NAMES[OK]})
