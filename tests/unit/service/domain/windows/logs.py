"""Logs as hypothesis thinks them up, and what evaluators make of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from hypothesis import strategies as st

from service.domain.models import Batch, BatchPosition, Cursor, LoggedBatch, Window
from service.domain.plan import WindowPlan
from service.domain.summaries import Pane
from service.domain.windows import Cutter, RecentIdentifiers, cutter

FEATURES = 2
ARRIVAL = 1_000_000
"""Of the entry before the first, in milliseconds."""
DAY = 24 * 3600 * 1000


@dataclass(frozen=True)
class Sent:
    """One entry of a log: the event times of its rows, in milliseconds."""

    identifier: str
    times: tuple[int, ...]
    fits: bool = True


identifiers = st.sampled_from([*"abcdef", *(f"unique-{i}" for i in range(40))])


def sent(times: st.SearchStrategy[int]) -> st.SearchStrategy[Sent]:
    """Batches of a few rows, some repeated, some that do not fit."""
    few = st.lists(times, min_size=1, max_size=9).map(tuple)
    return st.builds(Sent, identifiers, few, st.booleans() | st.just(value=True))


def logged(entries: Sequence[Sent]) -> list[LoggedBatch]:
    """Rows carry a number of their own, repeated batches too: a row counted twice or out of order is seen."""
    log, next_row = [], 0
    for index, entry in enumerate(entries, 1):
        numbers = np.arange(next_row, next_row + len(entry.times), dtype=np.float64)
        next_row += len(entry.times)
        rows = np.column_stack([numbers] * (FEATURES if entry.fits else FEATURES + 1))
        observed_at = datetime.fromtimestamp(max(entry.times) / 1000, UTC)
        batch = Batch(entry.identifier, rows, observed_at, times=np.array(entry.times, dtype=np.int64))
        log.append(LoggedBatch(BatchPosition(f"{ARRIVAL + index}-0"), batch))
    return log


def counted(entries: Sequence[Sent], horizon: int) -> list[list[tuple[float, int]]]:
    """The law of repetition, said without windows or cursors: number and time of the rows of each entry that count."""
    found = []
    for index, (entry, each) in enumerate(zip(entries, logged(entries), strict=True)):
        before = [other.identifier for other in entries[max(0, index - horizon) : index]]
        counts = entry.identifier not in before and entry.fits
        found.append(list(zip(each.batch.rows[:, 0].tolist(), entry.times, strict=True)) if counts else [])
    return found


def place(position: BatchPosition) -> int:
    """How many entries there are up to here."""
    return max(0, int(position.partition("-")[0]) - ARRIVAL)


def cutter_at(plan: WindowPlan, log: Sequence[LoggedBatch], cursor: Cursor, horizon: int) -> Cutter:
    """What an evaluator that has just started makes of the log."""
    until = place(cursor.position)
    seen = [entry.batch.identifier for entry in log[max(0, until - horizon) : until]] if horizon else []
    return cutter(plan, FEATURES, cursor, RecentIdentifiers(horizon, seen), b"key")


def windows(
    plan: WindowPlan,
    log: Sequence[LoggedBatch],
    horizon: int = 1000,
    resume_after: frozenset[int] = frozenset(),
    start: Cursor | None = None,
    panes: Sequence[Sequence[Pane] | None] | None = None,
) -> list[Window]:
    """All windows; after those in `resume_after` a fresh evaluator takes over from the cursor alone.

    `panes`: of each entry, where rows are not kept.
    """
    cuts = cutter_at(plan, log, start or Cursor(), horizon)
    found: list[Window] = []
    while True:
        window = cuts.cut()
        if window is not None:
            found.append(window)
            if len(found) in resume_after:
                cuts = cutter_at(plan, log, window.end, horizon)
            continue
        after = place(cuts.position)
        if after == len(log):
            return found
        cuts.feed(log[after], None if panes is None else panes[after])


def numbers(window: Window) -> list[float]:
    """Of its rows."""
    return list(window.rows[:, 0].tolist())
