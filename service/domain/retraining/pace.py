"""How often runs may start: one at a time, cool-down, back-off, a day's budget, quiet hours."""

from datetime import datetime, timedelta

from service.domain.retraining.gate import Check, Refusal
from service.domain.retraining.record import RetrainingState
from service.domain.retraining.response_plan import ResponsePlan

_DAY = timedelta(days=1)


def too_soon(plan: ResponsePlan, state: RetrainingState, now: datetime) -> Refusal | None:
    """Why nothing may be started now; None: something may.

    What is said to have been more than a day ahead was written while a clock was wrong, and would hold everything up
    until then.
    """
    if state.underway is not None:
        run = state.underway
        return _refusal("under_way", f"the run {run.request.name} is {run.phase}: one at a time is")
    starts = [start for start in state.starts if start - now < _DAY]
    if starts and (ends := starts[-1] + timedelta(seconds=plan.cool_down_seconds)) > now:
        return _refusal("cool_down", f"a run was started at {said(starts[-1])}; the next may at {said(ends)}")
    failed = state.failed_at if state.failed_at is not None and state.failed_at - now < _DAY else None
    if failed is not None and (ends := failed + _back_off(plan, state.failures)) > now:
        return _refusal("back_off", f"{state.failures} failed one after another; the next may start at {said(ends)}")
    within_a_day = [start for start in starts if now - start < _DAY]
    if len(within_a_day) >= plan.at_most_per_day:
        ends = within_a_day[-plan.at_most_per_day] + _DAY
        return _refusal("daily_budget", f"{len(within_a_day)} were started in a day; the next may at {said(ends)}")
    return None


def quiet_until(plan: ResponsePlan, now: datetime) -> datetime | None:
    """Until when what is due has to wait; None: it need not."""
    return max((end for quiet in plan.quiet_hours if (end := quiet.until(now)) is not None), default=None)


def _back_off(plan: ResponsePlan, failures: int) -> timedelta:
    first = timedelta(seconds=plan.back_off_seconds)
    doubled: timedelta = first * 2 ** min(failures - 1, 20)
    return min(max(_DAY, first), doubled)


def _refusal(reason: str, detail: str) -> Refusal:
    return Refusal(Check.PACE, reason, detail)


def said(moment: datetime) -> str:
    """To the second, in UTC if it is."""
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
