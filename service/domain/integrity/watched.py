"""What verifying the same files again and again came to: a state for each target, and when it may be relied on.

    unknown ──▶ verified ◀──▶ stale            the last success is too old
       │            │
       │            ├──▶ unverifiable           the signature says nothing, or files cannot be read for a while
       └────────────┴──▶ tampered               files are not what was signed; nothing leads out of it

Seconds are those of a monotonic clock.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from service.domain.errors import ArtifactTampered
from service.domain.integrity.names import shown
from service.domain.integrity.statement import Kind

NAMED_FILES = 50
"""Of each kind of change, so many files are named."""

_TO_BE_USED = 0.8
"""Of the time for which a success still counts: machines are late now and then."""


class State(StrEnum):
    """Of a target, at one moment."""

    UNKNOWN = "unknown"
    """Not verified yet."""
    VERIFIED = "verified"
    TAMPERED = "tampered"
    """It was not what it has to be; and stays so though it may be again."""
    UNVERIFIABLE = "unverifiable"
    """Nobody trusted says what it has to be, or it cannot be read."""
    STALE = "stale"
    """Verified, and too long ago."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of a target's patience."""

    max_age_seconds: float = 900.0
    """A success counts for so long."""
    grace_seconds: float = 60.0
    """What cannot be read, or has changed and is not verified again, is unverifiable after so long ..."""
    grace_tries: int = 3
    """... or after so many tries in a row, whichever is first."""

    @property
    def retry_seconds(self) -> float:
        """Between tries while it cannot be read."""
        return self.grace_seconds / self.grace_tries

    def renewal_seconds(self, age: float) -> float:
        """Which a success of that age leaves for the next one, with some to spare."""
        return _TO_BE_USED * (self.max_age_seconds - age)


@dataclass(frozen=True, slots=True)
class Target:
    """What is watched, and how."""

    name: str
    kind: Kind | None
    enforced: bool
    """Whether readiness rests on it."""
    ours: bool
    """Whether this process's own does, too."""
    interval_seconds: float
    """Between two readings of files that seem to be as they were."""
    poll_seconds: float
    """Between two looks at their sizes and times."""
    bytes_per_second: float
    """At which they are read then."""
    bounds: Bounds


@dataclass(frozen=True, slots=True)
class Changes:
    """Files that are not as they were signed; of many some are named, in characters that no log obeys."""

    changed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    counts: tuple[int, int, int] = (0, 0, 0)
    """Of all of them: changed, missing, added."""

    @classmethod
    def of(cls, error: ArtifactTampered) -> "Changes":
        every = (error.changed, error.missing, error.extra)
        named = (tuple(shown(name) for name in names[:NAMED_FILES]) for names in every)
        changed, missing, added = named
        return cls(changed, missing, added, (len(every[0]), len(every[1]), len(every[2])))


@dataclass(frozen=True, slots=True)
class History:
    """What every verification so far came to; each makes the next one."""

    last_success: float | None = None
    """When it ended."""
    payload_digest: str | None = None
    """Of the last success."""
    tampered: bool = False
    refused: bool = False
    """The last signature that could be read was not one to rely on."""
    unreadable_since: float | None = None
    unreadable_tries: int = 0
    reason: str = ""
    """Why it is not verified."""
    changes: Changes = Changes()

    def verified(self, now: float, payload_digest: str) -> "History":
        """Everything is as it has to be; if it was tampered with before, that is not forgotten."""
        if self.tampered:
            return replace(self, refused=False, unreadable_since=None, unreadable_tries=0)
        return History(now, payload_digest)

    def found_tampered(self, reason: str, changes: Changes) -> "History":
        """The first finding is kept: what follows may be somebody who covers it up."""
        if self.tampered:
            return replace(self, unreadable_since=None, unreadable_tries=0)
        return History(self.last_success, self.payload_digest, tampered=True, reason=reason, changes=changes)

    def found_refused(self, reason: str) -> "History":
        """The signature, or who made it, cannot be relied on; so no grace runs, and nothing has to be soon."""
        reason = self.reason if self.tampered else reason
        return replace(self, refused=True, unreadable_since=None, unreadable_tries=0, reason=reason)

    def seen_changed(self, now: float) -> "History":
        """By sizes and times: it has to be verified again within the grace, however long reading takes."""
        if self.unreadable_since is not None:
            return self
        reason = self.reason or "files changed, and are not verified again yet"
        return replace(self, unreadable_since=now, reason=reason)

    def found_unreadable(self, now: float, reason: str) -> "History":
        since = now if self.unreadable_since is None else self.unreadable_since
        kept = self.tampered or self.refused
        tries = self.unreadable_tries + 1
        return replace(self, unreadable_since=since, unreadable_tries=tries, reason=self.reason if kept else reason)

    def state(self, now: float, bounds: Bounds) -> State:
        if self.tampered:
            return State.TAMPERED
        if self.refused or self._given_up(now, bounds):
            return State.UNVERIFIABLE
        if self.last_success is None:
            return State.UNKNOWN
        return State.VERIFIED if now - self.last_success <= bounds.max_age_seconds else State.STALE

    def is_in_grace(self, now: float, bounds: Bounds) -> bool:
        """Whether a verification that is done soon keeps it from being given up."""
        return self.unreadable_since is not None and not self._given_up(now, bounds)

    def pace(self, now: float, target: Target, bytes_to_read: int) -> float | None:
        """In bytes a second: faster than was asked for if the success would be too old before all is read.

        None, as fast as can be, if it is too old already.
        """
        if self.last_success is None or self.state(now, target.bounds) not in {State.VERIFIED, State.STALE}:
            return target.bytes_per_second
        left = target.bounds.renewal_seconds(now - self.last_success)
        return max(target.bytes_per_second, bytes_to_read / left) if left > 0 else None

    def _given_up(self, now: float, bounds: Bounds) -> bool:
        if self.unreadable_since is None:
            return False
        return self.unreadable_tries >= bounds.grace_tries or now - self.unreadable_since >= bounds.grace_seconds
