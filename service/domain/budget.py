"""A budget of false alarms over time, held by a cumulative sum of log-evidence for every number that a plan measures.

Each window adds its evidence (`detectors.evidence`) to the number's sum, which never falls below zero. In calm windows
a sum reaches x at most once in exp(x) windows, so that of k sums one reaches log(k n) at most once in n: that is the
threshold for one alarm in n windows, over all features and detectors. A sum is cut off there, so that an alarm ends
with the first calm window or two, and while a change lasts, every window says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp, inf, log

import numpy as np
from numpy.typing import NDArray

from detectors.results import DriftResult
from service.domain.fitted_plan import Calibration, FittedPlan
from service.domain.models import BudgetState, Finding
from service.domain.plan import WindowPlan

_LONGEST = 600.0  # of log-evidence that is shown as a number of windows: beyond it a double overflows


@dataclass(frozen=True, slots=True)
class Spending:
    """What one window does to the budget, before its finding is known."""

    state: BudgetState
    windows_per_alarm: float
    """The budget in windows; infinite where its period cannot be told in windows."""
    reached: Sequence[NDArray[np.bool_]] | None
    """Which numbers' sums are at the threshold, detector by detector; None without calibration."""
    once_in_windows: float | None
    """So rarely do calm windows gather as much evidence as there is now; None without calibration."""


def spend(fitted: FittedPlan, results: Sequence[DriftResult], state: BudgetState, seconds: float) -> Spending | None:
    """Add one window, which lasted so many seconds, to what was known; None if the plan has no budget."""
    budget = fitted.plan.decision.false_alarms
    if budget is None:
        return None
    state = replace(state, windows=state.windows + 1, seconds=state.seconds + seconds)
    per_alarm = budget.windows_per_alarm(_length(fitted.plan.window, state))
    calibration = fitted.calibration
    if calibration is None:
        return Spending(replace(state, evidence=()), per_alarm, None, None)
    sums = _sums(calibration, results, state, _share_of_new_rows(fitted.plan.window))
    threshold = log(len(sums) * per_alarm) if per_alarm < inf else inf
    reached = np.split(sums >= threshold, np.cumsum(calibration.null.widths)[:-1])
    strongest = float(sums.max())
    kept = tuple(float(each) for each in np.minimum(sums, min(threshold, _LONGEST)))
    once_in = exp(min(strongest, _LONGEST)) / len(sums)
    return Spending(replace(state, evidence=kept), per_alarm, reached, max(once_in, 1.0))


def settle(spending: Spending, finding: Finding) -> BudgetState:
    """What is remembered of it."""
    return replace(spending.state, alarms=spending.state.alarms + (finding is Finding.DRIFT))


def _share_of_new_rows(window: WindowPlan) -> float:
    """Of a window's rows, those that the one before has not had."""
    return 1.0 if window.step is None or window.rows is None else window.step / window.rows


def _length(window: WindowPlan, state: BudgetState) -> float:
    """Of a window in seconds: what the plan says, or what it has been so far."""
    if window.every_seconds is not None and window.rows is None:
        return float(window.every_seconds)
    return state.seconds * _share_of_new_rows(window) / state.windows


def _sums(
    calibration: Calibration, results: Sequence[DriftResult], state: BudgetState, share: float
) -> NDArray[np.float64]:
    """After this window; what could not be measured leaves its sum as it is."""
    scores = np.concatenate(calibration.null.score([result.statistic for result in results]))
    before = np.array(state.evidence) if len(state.evidence) == len(scores) else np.zeros(len(scores))
    return calibration.evidence.gathered(before, scores, share)
