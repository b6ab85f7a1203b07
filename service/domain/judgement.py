"""One window from rows to a decision, whoever asks: the evaluation of a log, or a simulation on past rows."""

from dataclasses import replace

from detectors.errors import DetectorError
from service.domain.budget import settle, spend
from service.domain.decision import decide, undecided
from service.domain.fitted_plan import FittedPlan
from service.domain.models import BudgetState, Decision, Window
from service.domain.row_times import Times


def judged(fitted: FittedPlan, window: Window, budget: BudgetState) -> tuple[Decision, BudgetState | None]:
    """What is found of the window, and what is left of the budget, if the plan has one.

    Rows that defeat a detector are `UNDECIDED`: they must not stop a log.
    """
    unspent = None if fitted.plan.decision.false_alarms is None else budget
    if reason := too_few(fitted, window.tested, window.times):
        return undecided(fitted, reason), unspent
    try:
        summaries = window.summaries
        results = fitted.measure(window.rows, window.times) if summaries is None else summaries.measured(fitted)
        spending = spend(fitted, results, budget, (window.ended_at - window.started_at).total_seconds())
        decision = with_strangers(decide(fitted, results, spending), fitted, window.times)
        decision = replace(decision, performance=fitted.performance_on(window.rows))
    except (DetectorError, ArithmeticError) as error:
        return undecided(fitted, str(error)), unspent
    return decision, None if spending is None else settle(spending, decision.finding)


def too_few(fitted: FittedPlan, rows: int, times: Times | None) -> str:
    """Why so many rows decide nothing; empty if they are enough."""
    minimum, strangers = fitted.plan.window.minimum_rows, _strangers(fitted, times)
    if rows - strangers >= minimum:
        return ""
    said = f"{rows} rows are too few: the plan asks for {minimum} or more"
    return f"{said}, and of these {_said(fitted, strangers)}" if strangers else said


def with_strangers(decision: Decision, fitted: FittedPlan, times: Times | None) -> Decision:
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
