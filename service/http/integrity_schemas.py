"""What the API gives about integrity: what is watched, and how it is."""

from typing import Literal, Self

from service.domain.integrity.statement import Kind
from service.domain.integrity.watched import State
from service.http.document import Document
from service.usecases.trusted_registrations import ShownReference
from service.usecases.watch_artifacts import Shown


class TargetView(Document):
    """Files that are watched."""

    name: str
    kind: Kind | None
    mode: Literal["enforce", "observe"]
    """Whether /readyz/integrity rests on it."""
    state: State
    reason: str
    """Why the last verification did not succeed, or the first that found it tampered with; else empty."""
    last_success_age_seconds: float | None
    """Since it was verified last; null: never."""
    payload_digest: str | None
    """Of the last success."""
    changed: list[str]
    """Files that are not as they were signed, at most 50."""
    missing: list[str]
    added: list[str]
    files_not_named: int
    """So many more are changed, missing or added."""

    @classmethod
    def of(cls, shown: Shown) -> Self:
        target, history, changes = shown.target, shown.history, shown.history.changes
        named = len(changes.changed) + len(changes.missing) + len(changes.added)
        return cls(
            name=target.name,
            kind=target.kind,
            mode="enforce" if target.enforced else "observe",
            state=shown.state,
            reason=history.reason,
            last_success_age_seconds=shown.age_seconds,
            payload_digest=history.payload_digest,
            changed=list(changes.changed),
            missing=list(changes.missing),
            added=list(changes.added),
            files_not_named=sum(changes.counts) - named,
        )


class ReferenceView(Document):
    """What the store has of a model that this process judges."""

    model: str
    revision: int
    reference_digest: str
    trusted: bool
    reason: str
    """Why it is not trusted, and nothing is judged by it; empty if it is."""
    last_success_age_seconds: float | None
    """Since the stored reference was verified last; null: not yet."""

    @classmethod
    def of(cls, shown: ShownReference) -> Self:
        return cls(
            model=shown.model,
            revision=shown.revision,
            reference_digest=shown.reference_digest,
            trusted=not shown.fault,
            reason=shown.fault,
            last_success_age_seconds=shown.age_seconds,
        )


class IntegrityView(Document):
    """Everything that this process watches."""

    targets: list[TargetView]
    references: list[ReferenceView]
