"""One window from rows to a decision, whoever asks: the evaluation of a log, or a simulation on past rows."""

from dataclasses import replace

from detectors.errors import DetectorError
from service.domain.budget import settle, spend
from service.domain.decision import decide, undecided
from service.domain.fitted_plan import FittedPlan
from service.domain.models import BudgetState, Decision, Window


def judged(fitted: FittedPlan, window: Window, budget: BudgetState) -> tuple[Decision, BudgetState | None]:
    """What is found of the window, and what is left of the budget, if the plan has one.

    Rows that defeat a detector are `UNDECIDED`: they must not stop a log.
    """
    unspent = None if fitted.plan.decision.false_alarms is None else budget
    minimum = fitted.plan.window.minimum_rows
    if window.tested < minimum:
        return undecided(fitted, f"{window.tested} rows are too few: the plan asks for {minimum} or more"), unspent
    try:
        summaries = window.summaries
        results = fitted.measure(window.rows) if summaries is None else summaries.measured(fitted)
        spending = spend(fitted, results, budget, (window.ended_at - window.started_at).total_seconds())
        decision = replace(decide(fitted, results, spending), performance=fitted.performance_on(window.rows))
    except (DetectorError, ArithmeticError) as error:
        return undecided(fitted, str(error)), unspent
    return decision, None if spending is None else settle(spending, decision.finding)
