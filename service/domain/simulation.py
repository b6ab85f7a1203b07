"""What a plan would have done on past rows, and how soon it would have seen a change that is planted into them.

The same cutting, testing, deciding and responding as a running service: nothing here knows better than it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from service.domain.fitted_plan import FittedPlan
from service.domain.judgement import judged
from service.domain.models import (
    Batch,
    BatchPosition,
    BudgetState,
    Cursor,
    Decision,
    Finding,
    LoggedBatch,
    ResponseState,
    Window,
)
from service.domain.plan import Plan
from service.domain.response import respond
from service.domain.windows import RecentIdentifiers, cutter

Values = NDArray[np.float64]
FittedFor = Callable[[int], FittedPlan]
"""The plan, calibrated for a window of so many tested rows."""

_BATCH_ROWS = 100
_WITHOUT_TIMES = datetime(2000, 1, 1, tzinfo=UTC)
LONGEST_WAIT = 30
"""Windows after which a planted change counts as not found."""


@dataclass(frozen=True, slots=True)
class Simulated:
    """One window, and what would have followed."""

    window: Window
    decision: Decision
    begins_alarm: bool
    """Found drifted, and the window before was not: what wakes somebody."""
    acts: bool
    """Would have started a retraining."""


@dataclass(frozen=True, slots=True)
class Planted:
    """A change of one feature, by one size, at several moments."""

    feature: str
    waits: tuple[int | None, ...]
    """Windows until it was found, 1 for the first that has it; None: not within `LONGEST_WAIT`, or the rows' end."""


@dataclass(slots=True)
class _Watch:
    """What travels from verdict to verdict."""

    budget: BudgetState = field(default_factory=BudgetState)
    response: ResponseState = field(default_factory=ResponseState)
    number: int = 0
    drifted: bool = False


def windows_of(plan: Plan, rows: Values, times: NDArray[np.int64] | None) -> Iterator[Window]:
    """As the log would be cut: rows of shape (rows, features), times in milliseconds since the epoch.

    What is left at the end, and fills no window, is left out.
    """
    cuts = cutter(plan.window, rows.shape[1], Cursor(), RecentIdentifiers(0, ()), key=b"simulation")
    arrived = 1 if times is None or not len(times) else max(1, int(times.max()))
    for number, first in enumerate(range(0, len(rows), _BATCH_ROWS)):
        some = slice(first, first + _BATCH_ROWS)
        batch = Batch(str(number), rows[some], _WITHOUT_TIMES, times=None if times is None else times[some])
        cuts.feed(LoggedBatch(BatchPosition(f"{arrived}-{number + 1}"), batch))
        while (window := cuts.cut()) is not None:
            yield window


def simulate(plan: Plan, fitted: FittedFor, windows: Sequence[Window]) -> Iterator[Simulated]:
    """Judge one window after another, as verdicts 1, 2, ... of a model that is new."""
    watch = _Watch()
    for window in windows:
        yield _next(plan, fitted, watch, window)


def planted(
    plan: Plan, fitted: FittedFor, windows: Sequence[Window], shifts: Values, starts: Sequence[int]
) -> Iterator[Planted]:
    """Add `shifts`, shape (features,), to one feature after another from several windows on; zero: not that feature.

    Up to the change the windows are judged as they are: what was gathered before it counts.
    """
    before = [_budget_at(plan, fitted, windows, start) for start in starts]
    features = fitted(windows[0].tested).features
    for column in np.flatnonzero(shifts):
        waits = [
            _wait(plan, fitted, budget, windows[start : start + LONGEST_WAIT], int(column), float(shifts[column]))
            for start, budget in zip(starts, before, strict=True)
        ]
        yield Planted(features[column], tuple(waits))


def _next(plan: Plan, fitted: FittedFor, watch: _Watch, window: Window) -> Simulated:
    decision, budget = judged(fitted(window.tested), window, watch.budget)
    watch.budget = watch.budget if budget is None else budget
    watch.number += 1
    watch.response, acts = respond(plan.response, watch.response, watch.number, decision)
    drifted = decision.finding is Finding.DRIFT
    begins = drifted and not watch.drifted
    if decision.finding is not Finding.UNDECIDED:
        watch.drifted = drifted
    return Simulated(window, decision, begins, acts)


def _budget_at(plan: Plan, fitted: FittedFor, windows: Sequence[Window], start: int) -> BudgetState:
    """What the budget has come to before that window."""
    watch = _Watch()
    if plan.decision.false_alarms is not None:
        for window in windows[:start]:
            _next(plan, fitted, watch, window)
    return watch.budget


def _wait(
    plan: Plan, fitted: FittedFor, budget: BudgetState, windows: Sequence[Window], column: int, shift: float
) -> int | None:
    watch = _Watch(budget=budget)
    for number, window in enumerate(windows, start=1):
        if _next(plan, fitted, watch, _shifted(window, column, shift)).decision.finding is Finding.DRIFT:
            return number
    return None


def _shifted(window: Window, column: int, shift: float) -> Window:
    rows = window.rows.copy()
    rows[:, column] += shift
    return replace(window, rows=rows)
