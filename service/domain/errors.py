"""What can go wrong, each with the answer to "would trying again help?".

DriftwardenError
├── InvalidInput                 the caller must change something; carries the places that are wrong
│   ├── InvalidModelName
│   ├── InvalidBatch
│   ├── InvalidReference
│   ├── InvalidPlan
│   ├── UnreadableBody           bytes that are not what their media type or coding says
│   ├── InvalidLabels
│   ├── InvalidRetraining
│   ├── InvalidSpan
│   ├── NotAcceptable
│   └── UnsupportedFormat
├── NotAuthenticated             no credentials, or nobody's
├── NotAllowed                   the caller is known, and may not do this
├── AccessUndecided        retry who the caller is, or may do, could not be found out
├── UnknownModel                 nothing is registered under that name
├── CompanionModel               the service itself keeps the model, for another one's performance
├── UnknownRevision              no registration is kept under that number
├── UnknownDetectorName          no detector has that name
├── UnknownVerdict               there is none of that number, or not any more
├── RowsGone                     rows of a judged window are not kept any more; carries whose are
├── RowsNeverKept                the plan keeps summaries in place of rows
├── ConcurrentChange       retry somebody else changed the registration at the same time
├── ConflictingBatch             another body came under the same identifier before
├── OutdatedSummaries            made for another reference or plan than the model has now
├── Overloaded             retry the model's log is full, or it floods; carries how long to wait
├── Saturated              retry this process has as much under way as it takes; carries how long to wait
├── SlowBody               retry a body did not arrive in time
├── StoreUnavailable       retry the log or the registrations cannot be reached or written
│   └── StoreFull                its memory is full
├── CentralUnavailable     retry a sidecar's central service does not answer, or not as it should
│   └── CentralRefused           it says no: to these credentials, or to what this release cannot do
│       ├── ParcelRefused        what was sent does not fit the model's reference and plan of now
│       └── ParcelTooLarge       it takes less at once
├── SinkUnavailable        retry who is told of events does not answer, or not yet
├── SinkRefused                  who is told of events does not take this one
├── StoreLost                    the embedded store ended and cannot be started again: the process ends
├── CorruptedState               something in the store is not what its digest or format says
│   └── ReferenceNotTrusted      a model's registration or reference is no longer what it was
├── TriggerUnavailable     retry the target of an action did not answer, or not yet
├── TriggerRejected              the target refused the action for good
├── VettingUnavailable     retry what a run would be started from could not be looked at now
│   └── VettingUnderWay          it is being looked at, and the answer is not there yet
├── RetrainingRefused            the gate said no to a run that was asked for by hand; carries the refusal's names
├── UnknownRun                   no run of the model has that name, or it is not kept any more
├── WrongMoment                  a run is not at the point at which that could be done with it
├── NoSigningKey                 what is asked for has to be signed, and the service has no key
├── BrokenRecord                 a record of retraining that is not a whole chain, or not signed as it should be
├── ArtifactRefused              files are not what a trusted signature says; the message says why
│   ├── UnusableSignature        not a signature of the supported form, or it says what cannot be
│   ├── UntrustedSigner          nobody whom we trust with this, now, made it
│   │   └── NotSigned            there is no signature at all
│   ├── RolledBack               validly signed, and not the version or the statement that is expected
│   ├── ArtifactTampered         files were changed, added or removed; carries which
│   └── ContentRefused           files are not of the kind that a policy lets pass; carries which
├── IntegrityLost          retry something that is watched is not verified now; carries what, and how it is
├── ArtifactUnreadable     retry files cannot be read, or change while they are
├── UnsignableArtifact           files of which a signature could not tell everything
└── InvalidConfiguration         settings or a template that cannot work; raised at start
"""

from collections.abc import Sequence
from dataclasses import dataclass

_NAMED = 20
"""Of many, so many are named in a message."""
_LISTED = 100
"""And so many beside it."""


class DriftwardenError(Exception):
    """The root of what the service raises on purpose."""

    retryable = False


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with an input, and where."""

    place: str
    """Path inside the document, e.g. `rows[3][1]` or `detectors[0].name`; empty for the document as a whole."""
    message: str
    """What is wrong and what would be right. Never repeats the offending value: inputs may be personal data."""


class InvalidInput(DriftwardenError):
    """The caller sent something that cannot be right; nothing of it was stored."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__(
            "; ".join(f"{fault.place}: {fault.message}" if fault.place else fault.message for fault in faults)
        )
        self.faults = faults


class InvalidModelName(InvalidInput):
    """A model name that could not be a Kubernetes label value or a safe key."""


class InvalidBatch(InvalidInput):
    """Observations that cannot be compared with the model's reference."""


class InvalidReference(InvalidInput):
    """Reference rows that cannot be tested against: too few, not finite, without features."""


class InvalidPlan(InvalidInput):
    """A plan that names something unknown or asks for something impossible."""


class InvalidLabels(InvalidInput):
    """Labels that cannot be those of the batches they are sent for; none of them were counted."""


class UnreadableBody(InvalidInput):
    """A body that is damaged, cut off, or not of the format or coding that its headers name."""


class UnsupportedFormat(InvalidInput):
    """A media type that no payload format reads."""


class NotAuthenticated(DriftwardenError):
    """The request brings no credentials, or some that are nobody's."""

    def __init__(self, message: str, *, presented: bool) -> None:
        super().__init__(message)
        self.presented = presented
        """Whether it brought any."""


class NotAllowed(DriftwardenError):
    """The caller is known and may not do this; whether the model exists is not said."""


class AccessUndecided(DriftwardenError):
    """Who the caller is, or what it may do, could not be found out now; nothing is let in meanwhile."""

    retryable = True


class InvalidRetraining(InvalidInput):
    """Something said or asked of a run that nobody may say, or that is not as it must be."""


class InvalidSpan(InvalidInput):
    """Verdicts whose rows cannot be given together."""


class NotAcceptable(InvalidInput):
    """None of the media types that the caller accepts can be written."""


class UnknownModel(DriftwardenError):
    """No reference was registered under this name."""

    @classmethod
    def here(cls, model: str) -> "UnknownModel":
        """With what would make it known."""
        return cls(f"no model is registered as {model!r}: PUT its reference to /v1/models/{model}/reference first")


class CompanionModel(DriftwardenError):
    """A model that follows from another one's plan: it is not registered, fed or deleted by itself."""


class UnknownRevision(DriftwardenError):
    """No registration of the model has this number, or it is not kept any more."""


class UnknownDetectorName(DriftwardenError):
    """No detector has this name."""


class UnknownVerdict(DriftwardenError):
    """The model has no verdict of this number, or it is not kept any more."""


class RowsGone(DriftwardenError):
    """Rows of a judged window, some or all of them, are not in the log any more."""

    def __init__(self, message: str, oldest: int | None = None) -> None:
        super().__init__(message)
        self.oldest = oldest
        """Number of the oldest verdict whose window's rows are all there, if there is one."""


class RowsNeverKept(DriftwardenError):
    """A window of summaries: its rows never were in the log."""


class ConcurrentChange(DriftwardenError):
    """Another writer registered a newer revision first; read it and decide again."""

    retryable = True


class ConflictingBatch(DriftwardenError):
    """A batch under an identifier that another body has; nothing of it was stored."""


class OutdatedSummaries(DriftwardenError):
    """Summaries for another reference or plan than the model's current one; the same rows may be summarised anew."""


class Overloaded(DriftwardenError):
    """More of this model waits, or is under way, than it may have."""

    retryable = True

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds."""


class Saturated(DriftwardenError):
    """This process has as much under way as it takes; another replica, or the same a moment later, may do."""

    retryable = True

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds."""


class SlowBody(DriftwardenError):
    """A sender took longer for its body than a place among the requests under way can be kept for it."""

    retryable = True


class StoreUnavailable(DriftwardenError):
    """The store did not answer, refused to write, or is full; nothing was acknowledged."""

    retryable = True


class StoreFull(StoreUnavailable):
    """The store has no memory left; dropping what is judged already may help."""


class CentralUnavailable(DriftwardenError):
    """The central service does not answer, or not as it should; what waits for it is kept."""

    retryable = True

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after if retry_after is not None else 2.0
        """Seconds."""


class SinkUnavailable(DriftwardenError):
    """Who is told of events does not answer, or asks to be told later."""

    retryable = True


class SinkRefused(DriftwardenError):
    """Who is told of events does not take this one, and will not."""


class CentralRefused(CentralUnavailable):
    """The central service said no, and will until something is changed there or here."""


class ParcelRefused(CentralRefused):
    """Rows or summaries that do not fit the model's current reference and plan; none of them were taken."""


class ParcelTooLarge(CentralRefused):
    """A body larger than the central service takes; nothing of it was."""


class StoreLost(DriftwardenError):
    """The embedded store ended and cannot be started again; whoever supervises the process starts it anew."""


class CorruptedState(DriftwardenError):
    """Stored bytes that do not decode or do not match their digest; they are not used."""


class ReferenceNotTrusted(CorruptedState):
    """What a model is judged by was changed in the store, past the service; nothing is judged by it meanwhile."""


class TriggerUnavailable(DriftwardenError):
    """The action could not be delivered now; it stays in the outbox."""

    retryable = True

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds, where the target said so."""


class TriggerRejected(DriftwardenError):
    """The target will not accept this action however often it is sent; the refusal is recorded."""


class VettingUnavailable(DriftwardenError):
    """A dataset, model or template could not be looked at now; nothing is started meanwhile, and nothing refused."""

    retryable = True


class VettingUnderWay(VettingUnavailable):
    """Nothing is wrong: it takes its time, or is not its turn yet."""


class RetrainingRefused(DriftwardenError):
    """A run that somebody asked for and that the gate does not let pass; it is on record."""

    def __init__(self, message: str, check: str, reason: str) -> None:
        super().__init__(message)
        self.check = check
        self.reason = reason


class UnknownRun(DriftwardenError):
    """The model's record has no run of this name, or not any more."""


class WrongMoment(DriftwardenError):
    """What was asked for cannot be done with a run that is where this one is."""


class NoSigningKey(DriftwardenError):
    """Something that is worth nothing without a signature, of a service that has nothing to sign with."""


class BrokenRecord(DriftwardenError):
    """Entries of a record were changed, removed or reordered, or its end is not what was signed; names the first."""


class ArtifactRefused(DriftwardenError):
    """An artifact that must not be used: nobody who is trusted says that it is as it is."""


class UnusableSignature(ArtifactRefused):
    """A signature that is damaged, of another form, or that says what cannot be."""


class UntrustedSigner(ArtifactRefused):
    """A signature by a key that is not trusted, or not for this, or not now; or by nobody at all."""


class NotSigned(UntrustedSigner):
    """Files that nobody has signed, or whose signature is not where it should be."""


class RolledBack(ArtifactRefused):
    """A valid signature that is not the one, or not of the version, that is expected."""


class ArtifactTampered(ArtifactRefused):
    """Files that are not those that were signed."""

    def __init__(
        self, message: str, changed: tuple[str, ...], missing: tuple[str, ...], extra: tuple[str, ...]
    ) -> None:
        super().__init__(message)
        self.changed = changed
        self.missing = missing
        self.extra = extra
        """Also what is no file: symbolic links, devices, folders without anything in them."""


class ContentRefused(ArtifactRefused):
    """Files that run code when they are loaded, or may, where a policy refuses them."""

    def __init__(self, message: str, names: tuple[str, ...]) -> None:
        super().__init__(message)
        self.names = names


class IntegrityLost(DriftwardenError):
    """Something that readiness rests on is not verified."""

    retryable = True

    def __init__(self, states: Sequence[tuple[str, str]]) -> None:
        """Names, each with its state: of many references, the first; everybody may ask for them."""
        named = ", ".join(f"{name} is {state}" for name, state in states[:_NAMED])
        more = len(states) - _NAMED
        super().__init__(named + (f", and {more} more are not verified" if more > 0 else ""))
        self.states = tuple(states[:_LISTED])


class ArtifactUnreadable(DriftwardenError):
    """Files that cannot be read, or that somebody writes meanwhile: nothing can be said of them."""

    retryable = True


class UnsignableArtifact(DriftwardenError):
    """Files of which a signature could not tell everything: names, links, folders without anything in them."""


class InvalidConfiguration(DriftwardenError):
    """A setting, file or template that cannot work; the message names it and says what to change."""
