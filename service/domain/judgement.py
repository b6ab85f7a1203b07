"""One window from rows to a decision, whoever asks: the evaluation of a log, a simulation on past rows, a look."""

from dataclasses import replace

from detectors.arrays import Rows
from detectors.errors import DetectorError
from service.domain.budget import settle, spend
from service.domain.decision import decide, undecided
from service.domain.fitted_plan import FittedPlan
from service.domain.models import BudgetState, Decision, Window
from service.domain.row_times import Times
from service.domain.summaries import Summaries

_NO_TIME = 0.0  # rows at hand have none


def judged(fitted: FittedPlan, window: Window, budget: BudgetState) -> tuple[Decision, BudgetState | None]:
    """What is found of the window, and what is left of the budget, if the plan has one.

    Rows that defeat a detector are `UNDECIDED`: they must not stop a log.
    """
    seconds = (window.ended_at - window.started_at).total_seconds()
    return _judged(fitted, window.rows, window.times, window.summaries, budget, seconds)


def judged_alone(fitted: FittedPlan, rows: Rows, times: Times | None) -> Decision:
    """What is found of rows that are no part of a log: under a budget, nothing came before them."""
    return _judged(fitted, rows, times, None, BudgetState(), _NO_TIME)[0]


def _judged(
    fitted: FittedPlan,
    rows: Rows,
    times: Times | None,
    summaries: Summaries | None,
    budget: BudgetState,
    seconds: float,
) -> tuple[Decision, BudgetState | None]:
    unspent = None if fitted.plan.decision.false_alarms is None else budget
    if reason := _too_few(fitted, len(rows) if summaries is None else summaries.rows, times):
        return undecided(fitted, reason), unspent
    try:
        results = fitted.measure(rows, times) if summaries is None else summaries.measured(fitted)
        spending = spend(fitted, results, budget, seconds)
        decision = _with_strangers(decide(fitted, results, spending), fitted, times)
        decision = replace(decision, performance=fitted.performance_on(rows))
    except (DetectorError, ArithmeticError) as error:
        return undecided(fitted, str(error)), unspent
    return decision, None if spending is None else settle(spending, decision.finding)


def _too_few(fitted: FittedPlan, rows: int, times: Times | None) -> str:
    """Why so many rows decide nothing; empty if they are enough."""
    minimum, strangers = fitted.plan.window.minimum_rows, _strangers(fitted, times)
    if rows - strangers >= minimum:
        return ""
    said = f"{rows} rows are too few: the plan asks for {minimum} or more"
    return f"{said}, and of these {_said(fitted, strangers)}" if strangers else said


def _with_strangers(decision: Decision, fitted: FittedPlan, times: Times | None) -> Decision:
    """The same, saying which of these rows could not be compared."""
    strangers = _strangers(fitted, times)
    if not strangers:
        return decision
    said = _said(fitted, strangers)
    return replace(decision, reason=f"{decision.reason}; {said}" if decision.reason else said)


def _strangers(fitted: FittedPlan, times: Times | None) -> int:
    return 0 if fitted.seasons is None or times is None else fitted.seasons.strangers(times)


def _said(fitted: FittedPlan, strangers: int) -> str:
    assert fitted.seasons is not None  # noqa: S101 - or there were none
    return f"{strangers} are of {fitted.seasons.plan.words_for_several} that the reference lacks"
