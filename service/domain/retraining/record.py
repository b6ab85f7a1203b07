"""The record of a model's retraining: what was decided and done, each entry holding the digest of the one before.

An entry carries the state after it, so the newest one is all that has to be read to go on; adding one under its number
is the compare-and-set by which replicas agree (ADR 24). What is hashed is the line as it was written, so that a later
release, which may know more, finds the same digests.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import msgspec

from service.domain.errors import CorruptedState
from service.domain.models import BatchPosition, ModelName, RetrainRequest, TriggerReceipt
from service.domain.retraining.gate import Evidence, Refusal
from service.domain.retraining.run import Progress


class Step(StrEnum):
    """What an entry says has happened."""

    ASKED = "ASKED"
    """Somebody asked for a run."""
    REFUSED = "REFUSED"
    """The gate said no to a drift event, or to what somebody asked for."""
    PERMITTED = "PERMITTED"
    """The gate let it pass: from here on the run is under way, and is started until it is there."""
    STARTED = "STARTED"
    """The target has it."""
    REJECTED = "REJECTED"
    """The target refused it for good."""
    RELEASED = "RELEASED"
    """Somebody let a suspended run go on."""
    ENDED = "ENDED"
    TOLD = "TOLD"
    """Which model it made is known."""
    SERVED = "SERVED"
    """The model it made is in use: traffic from here on is its own."""
    GATHERED = "GATHERED"
    """A reference was made of that traffic and calibrates the plan: it is registered next."""
    RENEWED = "RENEWED"
    """A reference made of that traffic is active."""
    NOT_RENEWED = "NOT_RENEWED"
    """No reference is made of it."""
    FORGOTTEN = "FORGOTTEN"
    """The model was deleted."""


class Phase(StrEnum):
    """At which point a run under way is."""

    PERMITTED = "PERMITTED"
    SUSPENDED = "SUSPENDED"
    RUNNING = "RUNNING"
    AWAITED = "AWAITED"
    """It has succeeded, and the model it made is not in use yet."""
    RENEWING = "RENEWING"
    """Rows of that model's traffic are being gathered."""


@dataclass(frozen=True, slots=True)
class Underway:
    """The one run of a model that is under way."""

    request: RetrainRequest
    evidence: Evidence
    phase: Phase
    since: datetime
    """Of the phase."""
    suspended: bool = False
    """It is made so that it waits for somebody to release it."""
    dry_run: bool = False
    """It is shown, and not started."""
    uid: str = ""
    """Of the object in the target."""
    model_digest: str | None = None
    """Of the model it made."""
    served_from: BatchPosition | None = None
    """Where in the log that model's traffic begins."""
    gathered: tuple[str, ...] = ()
    """Digests of references that were made of that traffic, the latest last; whichever is registered is ours."""
    signature: str | None = None
    """Of the service that permitted it (`service.domain.retraining.signed_permission`). None: it signs none."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A run that somebody asked for and that is not decided yet."""

    request: RetrainRequest
    by: str
    reason: str
    dry_run: bool = False
    """Only to be shown what would be started."""


@dataclass(frozen=True, slots=True)
class RetrainingState:
    """What is remembered from one entry to the next."""

    decided_until: int = 0
    """Drift events of verdicts up to this number are decided: permitted or refused."""
    decided_run: str = ""
    """Name of the last of these, by which verdicts of another history that count from 1 again are told apart."""
    underway: Underway | None = None
    asked: Asked | None = None
    starts: tuple[datetime, ...] = ()
    """When runs of the last day, and in any case the last one, were permitted; oldest first."""
    failures: int = 0
    """Runs that failed one after another since the last one that did not."""
    failed_at: datetime | None = None
    """When the last of them did."""
    dataset_version: int | None = None
    """Of the newest dataset that a run was permitted with."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """The verdict that an entry goes back to, as it was."""

    verdict_number: int
    digest: str
    """SHA-256 of the verdict as it is stored: hexadecimal, behind `sha256:`."""
    p_value: float | None
    window_start: datetime
    window_end: datetime
    rows: int
    reference_digest: str
    plan_digest: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One line."""

    number: int
    """1, 2, 3 ... for each model, without gaps."""
    model: ModelName
    at: datetime
    step: Step
    run: str
    """Name of the run that it is about."""
    previous: str
    """Digest of the entry before; empty for the first."""
    state: RetrainingState
    """After it."""
    alarm: Alarm | None = None
    """None: somebody asked for the run."""
    by: str = ""
    """Who did it, where somebody did, as the service knows its callers."""
    reason: str = ""
    """In the words of whoever did it; bounded."""
    refusal: Refusal | None = None
    evidence: Evidence | None = None
    receipt: TriggerReceipt | None = None
    progress: Progress | None = None
    """With which a run ended."""
    model_digest: str | None = None
    reference_digest: str | None = None
    """Of the reference that is active since, or is to be."""


@dataclass(frozen=True, slots=True)
class Line:
    """An entry as it is written."""

    entry: Entry
    text: bytes
    """JSON, without line breaks."""

    @property
    def digest(self) -> str:
        return "sha256:" + hashlib.sha256(self.text).hexdigest()


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Entry).decode


def written(entry: Entry) -> Line:
    """As it is to be kept and hashed."""
    return Line(entry, _encode(entry))


def read(text: bytes) -> Line:
    """Members that a newer release has added are passed over. Raises `CorruptedState`."""
    try:
        return Line(_decode(text), text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise CorruptedState(f"an entry of a record of retraining cannot be read: {error}") from error


def first_break(lines: Sequence[Line], before: Line | None = None) -> int | None:
    """Number of the first entry that does not follow the one in front of it; None: they are a chain.

    `before` stands in front of the first; without it, that one may be any that is kept.
    """
    for line in lines:
        number, previous = line.entry.number, line.entry.previous
        if before is not None:
            follows = number == before.entry.number + 1 and previous == before.digest
            same_model = line.entry.model == before.entry.model
            if not (follows and same_model):
                return number
        elif (number == 1) != (previous == ""):
            return number
        before = line
    return None
