"""Documents of a model's retraining: what is asked for, what was decided, and what stands in the record."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field, StringConstraints

from service.domain.models import TriggerOutcome
from service.domain.retraining import record
from service.domain.retraining.gate import Check
from service.domain.retraining.record import Line, Phase, Step
from service.domain.retraining.run import Progress
from service.domain.retraining.transitions import MAXIMUM_REASON
from service.http.document import Document
from service.usecases.read_retraining import RecordPage
from service.usecases.retrain_by_hand import Foreseen

Reason = Annotated[str, StringConstraints(min_length=1, max_length=MAXIMUM_REASON)]
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]


class RetrainingRequest(Document):
    """That a run is wanted. What it is made from, only the operator's files say."""

    reason: Reason
    """For those who read the record; the run is told nothing of it."""
    dry_run: bool = False
    """Say what the gate would say now, and write nothing down."""
    rehearsal: bool = False
    """Decide it and write it down, show what would be made, and make nothing."""


class ReasonGiven(Document):
    """Why."""

    reason: Reason


class ModelMade(Document):
    """Which model a run has made."""

    payload_digest: Digest
    """As `driftwarden sign` printed it: `sha256:` and 64 hexadecimal digits in lower case."""


class RefusalView(Document):
    """Why a run is not started."""

    check: Check
    """Of the gate, in whose order the first that refuses decides."""
    reason: str
    detail: str


class EvidenceView(Document):
    """What a permission rests on."""

    template_digest: str
    images: list[str]
    dataset_digest: str | None
    dataset_version: int | None
    approver: str | None
    """Fingerprint of the key that vetted the dataset."""
    base_model_digest: str | None
    advisories: list[RefusalView]
    """What would have been refused, were vetting enforced."""


class AlarmView(Document):
    """The verdict that a run goes back to."""

    verdict_number: int
    digest: str
    p_value: float | None
    window_start: datetime
    window_end: datetime
    rows: int
    reference_digest: str
    plan_digest: str


class ReceiptView(Document):
    """What the target has."""

    outcome: TriggerOutcome
    kind: str
    namespace: str | None
    name: str
    uid: str
    version: str
    manifest_digest: str
    detail: str
    """The target's message, or the manifest of a dry run."""


class EntryView(Document):
    """One entry of the record."""

    number: int
    at: datetime
    step: Step
    run: str
    digest: str
    """Of the line, by which the next entry names it."""
    by: str
    """Who did it, where somebody did."""
    reason: str
    alarm: AlarmView | None
    refusal: RefusalView | None
    evidence: EvidenceView | None
    receipt: ReceiptView | None
    progress: Progress | None
    model_digest: str | None
    reference_digest: str | None
    phase: Phase | None
    """At which point the model's run under way was after it."""

    @classmethod
    def of(cls, line: Line) -> Self:
        entry = line.entry
        underway = entry.state.underway
        said = {name: getattr(entry, name) for name in cls.model_fields if name not in {"digest", "phase"}}
        phase = None if underway is None else underway.phase
        return cls.model_validate({**said, "digest": line.digest, "phase": phase})


class UnderwayView(Document):
    """The one run of a model that is under way."""

    run: str
    phase: Phase
    since: datetime
    uid: str
    model_digest: str | None
    evidence: EvidenceView

    @classmethod
    def of(cls, underway: record.Underway) -> Self:
        evidence = EvidenceView.model_validate(underway.evidence)
        return cls(
            run=underway.request.name,
            phase=underway.phase,
            since=underway.since,
            uid=underway.uid,
            model_digest=underway.model_digest,
            evidence=evidence,
        )


class AskedView(Document):
    """What somebody asked for, and what is not decided yet."""

    run: str
    by: str
    reason: str


class HeldUpView(Document):
    """One thing that stands between drift and a run."""

    reason: str
    """A name: that of the gate's refusal, where there is one."""
    detail: str
    """For people: what it is, and where it is set or told."""


class RetrainingsView(Document):
    """How a model's retraining is, and what came to pass, newest first."""

    model: str
    held_up: list[HeldUpView]
    """Why drift starts no run now, the most immediate first; empty: the next window that drifts is vetted."""
    underway: UnderwayView | None
    asked: AskedView | None
    failures: int
    """Runs that failed one after another."""
    entries: list[EntryView]
    before: Annotated[int | None, Field(description="Ask for the next page with `?before=` this; null on the last.")]

    @classmethod
    def of(cls, model: str, page: RecordPage) -> Self:
        state = page.state
        asked = state.asked
        return cls(
            model=model,
            held_up=[HeldUpView.model_validate(each) for each in page.held_up],
            underway=None if state.underway is None else UnderwayView.of(state.underway),
            asked=None if asked is None else AskedView(run=asked.request.name, by=asked.by, reason=asked.reason),
            failures=state.failures,
            entries=[EntryView.of(line) for line in page.lines],
            before=page.before,
        )


class RunView(Document):
    """One run, from what it goes back to."""

    model: str
    run: str
    entries: list[EntryView]
    """Oldest first."""


class AskedAnswer(Document):
    """What became of what was asked for."""

    run: str | None
    """Its name, under which it is decided; null where nothing was written."""
    permitted: bool | None
    """Of a dry run: whether it would pass now. Null: that is not decided yet, or not by this process."""
    refusal: RefusalView | None
    evidence: EvidenceView | None

    @classmethod
    def foreseen(cls, found: Foreseen) -> Self:
        refusal = None if found.refusal is None else RefusalView.model_validate(found.refusal)
        evidence = None if found.evidence is None else EvidenceView.model_validate(found.evidence)
        undecided = refusal is None and evidence is None
        return cls(run=None, permitted=None if undecided else refusal is None, refusal=refusal, evidence=evidence)
