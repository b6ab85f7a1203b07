"""Why drift starts no run now, for who asks: nothing is decided by it, and nothing rests on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from service.domain.models import TriggerOutcome, Verdict
from service.domain.registration import Registration
from service.domain.response import left_by
from service.domain.retraining.pace import quiet_until, said, too_soon
from service.domain.retraining.record import Entry, Line, Phase, RetrainingState, Step
from service.domain.retraining.response_plan import ResponsePlan
from service.domain.retraining.transitions import state_of

_WAITING = "the log of whoever judges says why (`action not delivered`), and /readyz; or nobody judges"
_PHASES = {
    Phase.PERMITTED: f"permitted, and the target has not taken it yet: {_WAITING}",
    Phase.SUSPENDED: "made, and waits for somebody to release it (response.approval)",
    Phase.RUNNING: "running",
    Phase.AWAITED: "over, and its model is awaited: say when it is used (served), or keep-reference",
    Phase.RENEWING: "over, and a reference is made of what its model sees (response.new_reference)",
}
_DECISIONS = frozenset({Step.REFUSED, Step.REJECTED, Step.STARTED})


@dataclass(frozen=True, slots=True)
class HeldUp:
    """One thing that stands between drift and a run."""

    reason: str
    """A name: that of the gate's refusal, where there is one."""
    detail: str
    """For people."""


def held_up(
    registration: Registration, lines: Sequence[Line], verdicts: Sequence[Verdict], now: datetime
) -> list[HeldUp]:
    """All that does, the most immediate first.

    `lines`: the latest of the record, oldest first. `verdicts`: the latest, newest first.
    """
    plan, state = registration.plan.response, state_of(lines[-1] if lines else None)
    return [
        *_waiting(plan, state, verdicts, now),
        *_pace(plan, state, now),
        *_decided(plan, [line.entry for line in lines]),
        *_not_asked_for(registration, verdicts),
    ]


def _waiting(plan: ResponsePlan, state: RetrainingState, verdicts: Sequence[Verdict], now: datetime) -> list[HeldUp]:
    """What is asked for, and neither permitted nor refused."""
    found = []
    if state.asked is not None:
        found.append(HeldUp("waiting", f"{state.asked.request.name}, asked for by hand, is not decided: {_WAITING}"))
    due = [each.number for each in verdicts if each.action is not None and each.number > state.decided_until]
    if due:
        until, event = quiet_until(plan, now), f"the drift event of verdict {due[-1]} waits"
        if until is None:
            found.append(HeldUp("waiting", f"{event}: what it is made from is being read, or cannot be; {_WAITING}"))
        else:
            found.append(HeldUp("quiet_hours", f"{event} until {said(until)} (response.quiet_hours)"))
    return found


def _pace(plan: ResponsePlan, state: RetrainingState, now: datetime) -> list[HeldUp]:
    run, refusal = state.underway, too_soon(plan, state, now)
    if run is None:
        return [] if refusal is None else [HeldUp(refusal.reason, refusal.detail)]
    found = [HeldUp("under_way", f"{run.request.name} is {_PHASES[run.phase]}; {run.phase} since {said(run.since)}")]
    until = quiet_until(plan, now)
    if run.phase is Phase.PERMITTED and run.request.verdict_number and until is not None:
        found.append(HeldUp("quiet_hours", f"it waits until {said(until)} (response.quiet_hours)"))
    return found


def _decided(plan: ResponsePlan, entries: Sequence[Entry]) -> list[HeldUp]:
    """The last decision, if nothing came of it, and whether runs are shown only."""
    found = []
    last = next((entry for entry in reversed(entries) if entry.step in _DECISIONS), None)
    if last is not None and last.refusal is not None:
        refusal = last.refusal
        text = f"the last, {last.run}, was refused at {said(last.at)}: {refusal.check}: {refusal.detail}"
        found.append(HeldUp(refusal.reason, text))
    elif last is not None and last.step is Step.REJECTED and last.receipt is not None:
        found.append(HeldUp("rejected", f"the last, {last.run}, was refused by the target: {last.receipt.detail}"))
    shown = next((entry for entry in reversed(entries) if entry.step is Step.STARTED), None)
    if plan.dry_run:
        found.append(HeldUp("dry_run", "the plan says that runs are shown, and not started (response.dry_run)"))
    elif shown is not None and shown.receipt is not None and shown.receipt.outcome is TriggerOutcome.DRY_RUN:
        why = "DRIFT_TRIGGER__KIND is dry_run, it was a rehearsal, or the plan said so then"
        found.append(HeldUp("dry_run", f"{shown.run}, started at {said(shown.at)}, was only shown: {why}"))
    return found


def _not_asked_for(registration: Registration, verdicts: Sequence[Verdict]) -> list[HeldUp]:
    """Why the verdicts ask for nothing."""
    plan, found = registration.plan.response, list[HeldUp]()
    if not plan.retrain:
        found.append(HeldUp("switched_off", "the plan says that drift starts nothing (response.retrain)"))
    if not verdicts:
        return [*found, HeldUp("no_verdict", "no window is judged yet: none is full, or nobody judges")]
    newest = verdicts[0]
    if newest.number + 1 < (silent_until := newest.response.silent_until):
        text = f"after an event none comes before verdict {silent_until} (response.cool_down); the newest is"
        found.append(HeldUp("silent", f"{text} {newest.number}"))
    recent = left_by(newest, registration.reference_digest).recent[-plan.out_of :]
    if sum(recent) < plan.confirm:
        counted = f"since the last event {sum(recent)} of the latest {plan.out_of} windows have drifted"
        text = f"{counted}, and {plan.confirm} must (response.confirm); verdict {newest.number} is"
        found.append(HeldUp("too_few_drifted", f"{text} {newest.decision.finding}"))
    return found
