"""What can be added to a record, and what state it leaves: one function a step.

Each takes the newest line (None: there is none yet) and gives the entry that follows it, or raises `WrongMoment` where
the run is at another point: somebody else was here, and nothing is to be done.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from service.domain.errors import UnknownRun, WrongMoment
from service.domain.models import BatchPosition, ModelName, RetrainRequest, TriggerOutcome, TriggerReceipt
from service.domain.retraining.gate import Evidence, Refusal
from service.domain.retraining.record import Alarm, Asked, Entry, Line, Phase, RetrainingState, Step, Underway
from service.domain.retraining.run import Progress, RunSeen

KEPT_STARTS = 100
"""And so the most that a plan's budget of a day can be."""
KEPT_GATHERED = 10
MAXIMUM_REASON = 500
"""Characters of what somebody gives as a reason."""
_DAY = timedelta(days=1)


def state_of(newest: Line | None) -> RetrainingState:
    """After that line."""
    return RetrainingState() if newest is None else newest.entry.state


def asked(newest: Line | None, asked_for: Asked, at: datetime) -> Entry:
    """Somebody asks for a run; one at a time waits to be decided."""
    state = state_of(newest)
    if state.asked is not None:
        raise WrongMoment(f"the run {state.asked.request.name} was asked for before, and is not decided yet")
    state = replace(state, asked=asked_for)
    request = asked_for.request
    return _entry(newest, request.model, at, Step.ASKED, request.name, state, by=asked_for.by, reason=asked_for.reason)


def refused(
    newest: Line | None,
    request: RetrainRequest,
    refusal: Refusal,
    at: datetime,
    *,
    alarm: Alarm | None = None,
    evidence: Evidence | None = None,
) -> Entry:
    """The gate says no."""
    state, by = _decided(newest, request)
    return _entry(
        newest,
        request.model,
        at,
        Step.REFUSED,
        request.name,
        state,
        alarm=alarm,
        by=by,
        refusal=refusal,
        evidence=evidence,
    )


def permitted(
    newest: Line | None,
    request: RetrainRequest,
    evidence: Evidence,
    at: datetime,
    *,
    alarm: Alarm | None = None,
    suspended: bool = False,
    dry_run: bool = False,
) -> Entry:
    """The gate says yes: the run is under way.

    Somebody who asks for a dry run may have the run itself right after, so that one counts as no start and uses no
    dataset. One of a plan that starts nothing does: it shows what would become of the next event, too.
    """
    state, by = _decided(newest, request)
    if state.underway is not None:
        raise WrongMoment(f"the run {state.underway.request.name} is under way")
    underway = Underway(request, evidence, Phase.PERMITTED, at, suspended, dry_run)
    if dry_run and not request.verdict_number:
        state = replace(state, underway=underway)
    else:
        versions = [version for version in (state.dataset_version, evidence.dataset_version) if version is not None]
        state = replace(
            state, underway=underway, starts=_starts(state, at), dataset_version=max(versions, default=None)
        )
    return _entry(newest, request.model, at, Step.PERMITTED, request.name, state, alarm=alarm, by=by, evidence=evidence)


def started(newest: Line | None, receipt: TriggerReceipt, at: datetime) -> Entry:
    """The target has it, or shows what it would have had (a dry run, which is over with that), or never will."""
    run = _underway(newest, receipt.name, Phase.PERMITTED)
    state = state_of(newest)
    step = Step.STARTED
    underway: Underway | None = replace(
        run, phase=Phase.SUSPENDED if run.suspended else Phase.RUNNING, since=at, uid=receipt.uid
    )
    if receipt.outcome in {TriggerOutcome.DRY_RUN, TriggerOutcome.REJECTED}:
        underway = None
    if receipt.outcome is TriggerOutcome.REJECTED:
        step = Step.REJECTED
        state = replace(state, failures=state.failures + 1, failed_at=at)
    state = replace(state, underway=underway)
    return _entry(newest, run.request.model, at, step, receipt.name, state, evidence=run.evidence, receipt=receipt)


def released(newest: Line | None, run_name: str, at: datetime, by: str) -> Entry:
    """It goes on: past the service (`kubectl`) or, with `by`, by somebody through it.

    Who that was is written down also where somebody else has seen it go on before.
    """
    run = _underway(newest, run_name, *((Phase.SUSPENDED, Phase.RUNNING) if by else (Phase.SUSPENDED,)))
    state = replace(state_of(newest), underway=replace(run, phase=Phase.RUNNING, since=at))
    return _entry(newest, run.request.model, at, Step.RELEASED, run_name, state, by=by)


def ended(newest: Line | None, seen: RunSeen, at: datetime, *, renews: bool, by: str = "") -> Entry:
    """It is over. `renews`: a reference is to be made of what its model will see, for which that is awaited.

    With `by` somebody says so in the place of the target.
    """
    run = _underway(newest, seen.name, Phase.SUSPENDED, Phase.RUNNING)
    state = state_of(newest)
    if seen.progress is Progress.SUCCEEDED:
        awaited = replace(run, phase=Phase.AWAITED, since=at) if renews else None
        state = replace(state, underway=awaited, failures=0, failed_at=None)
    else:
        state = replace(state, underway=None, failures=state.failures + 1, failed_at=at)
    return _entry(
        newest, run.request.model, at, Step.ENDED, seen.name, state, progress=seen.progress, reason=seen.detail, by=by
    )


def told(newest: Line | None, model: ModelName, run_name: str, model_digest: str, at: datetime, by: str) -> Entry:
    """Which model the run made; of one that is under way it is remembered."""
    state = state_of(newest)
    if state.underway is not None and state.underway.request.name == run_name:
        state = replace(state, underway=replace(state.underway, model_digest=model_digest))
    return _entry(newest, model, at, Step.TOLD, run_name, state, by=by, model_digest=model_digest)


def served(newest: Line | None, run_name: str, position: BatchPosition, at: datetime, by: str) -> Entry:
    """The model it made is in use, and its traffic begins behind that position."""
    run = _underway(newest, run_name, Phase.AWAITED)
    underway = replace(run, phase=Phase.RENEWING, since=at, served_from=position)
    state = replace(state_of(newest), underway=underway)
    return _entry(newest, run.request.model, at, Step.SERVED, run_name, state, by=by)


def gathered(newest: Line | None, run_name: str, reference_digest: str, at: datetime, reason: str) -> Entry:
    """A reference is made of that traffic, and about to be registered: so whoever goes on knows it for ours.

    May be said again, of another one: whoever made it first was ended before it was registered, or is about to.
    """
    run = _underway(newest, run_name, Phase.RENEWING)
    made = (*run.gathered, reference_digest)[-KEPT_GATHERED:]
    state = replace(state_of(newest), underway=replace(run, gathered=made))
    return _entry(
        newest,
        run.request.model,
        at,
        Step.GATHERED,
        run_name,
        state,
        reason=reason,
        reference_digest=reference_digest,
    )


def renewed(newest: Line | None, run_name: str, reference_digest: str, at: datetime) -> Entry:
    """A reference made of that traffic is active."""
    run = _underway(newest, run_name, Phase.RENEWING)
    state = replace(state_of(newest), underway=None)
    return _entry(newest, run.request.model, at, Step.RENEWED, run_name, state, reference_digest=reference_digest)


def not_renewed(newest: Line | None, run_name: str, at: datetime, reason: str, by: str = "") -> Entry:
    """No reference is made: the old one stays, and the next run may come."""
    run = _underway(newest, run_name, Phase.AWAITED, Phase.RENEWING)
    state = replace(state_of(newest), underway=None)
    return _entry(newest, run.request.model, at, Step.NOT_RENEWED, run_name, state, reason=reason, by=by)


def forgotten(newest: Line, at: datetime, by: str) -> Entry:
    """The model was deleted: its verdicts will count from 1 again. What it was trained on, and when, stays known.

    So does a run that the target has: it goes on, and whoever registers the model again has one at a time, too.
    """
    state = newest.entry.state
    run = state.underway if state.underway and state.underway.phase in {Phase.SUSPENDED, Phase.RUNNING} else None
    state = RetrainingState(underway=run, starts=state.starts, dataset_version=state.dataset_version)
    return _entry(newest, newest.entry.model, at, Step.FORGOTTEN, "", state, by=by)


def _decided(newest: Line | None, request: RetrainRequest) -> tuple[RetrainingState, str]:
    """The state in which this request is decided, and who asked for it."""
    state = state_of(newest)
    if request.verdict_number:
        if request.verdict_number <= state.decided_until:
            raise WrongMoment(f"the drift event of verdict {request.verdict_number} is decided")
        return replace(state, decided_until=request.verdict_number, decided_run=request.name), ""
    if state.asked is None or state.asked.request != request:
        raise WrongMoment(f"the run {request.name} is decided, or nobody asked for it")
    return replace(state, asked=None), state.asked.by


def _starts(state: RetrainingState, at: datetime) -> tuple[datetime, ...]:
    """With this one; those that no budget counts any more are left out, or none does yet: a clock was wrong."""
    return (*(start for start in state.starts if abs(at - start) < _DAY), at)[-KEPT_STARTS:]


def _underway(newest: Line | None, run_name: str, *phases: Phase) -> Underway:
    run = state_of(newest).underway
    if run is None or run.request.name != run_name:
        raise UnknownRun(f"no run {run_name} is under way")
    if run.phase not in phases:
        raise WrongMoment(f"the run {run_name} is {run.phase}")
    return run


def _entry(
    newest: Line | None, model: ModelName, at: datetime, step: Step, run: str, state: RetrainingState, **said: object
) -> Entry:
    if newest is None:
        return Entry(1, model, at, step, run, "", state, **said)  # type: ignore[arg-type]
    number, model = newest.entry.number + 1, newest.entry.model  # whatever a request says
    return Entry(number, model, at, step, run, newest.digest, state, **said)  # type: ignore[arg-type]
