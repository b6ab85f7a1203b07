"""The outside world on one page.

Every port raises errors of `service.domain.errors` only; each error's `retryable` says whether trying again helps.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol

from service.domain.access import Access, Caller, Credentials
from service.domain.events import Event
from service.domain.forwarding import Parcel, Progress, Told
from service.domain.integrity.contents.source import Source
from service.domain.integrity.tree import Found
from service.domain.models import (
    Batch,
    BatchPosition,
    Delivery,
    KeptPredictions,
    LoggedBatch,
    ModelName,
    Reference,
    RetrainRequest,
    TriggerReceipt,
    Verdict,
)
from service.domain.quarantine import QuarantinedBatch
from service.domain.registration import Registration
from service.domain.retraining.gate import Evidence, Refusal
from service.domain.retraining.pinned import ObjectName
from service.domain.retraining.record import Entry, Line
from service.domain.retraining.run import Order, RunSeen
from service.domain.retraining.vetting_statement import SignedDataset
from service.domain.sharing import Sign

Clock = Callable[[], datetime]
"""The time now, with its zone."""


class Appends(Protocol):
    """The way into a log. Raises `StoreUnavailable`, `Overloaded`."""

    async def append(self, model: ModelName, batch: Batch, digest: bytes | None = None, /) -> BatchPosition | None:
        """Returns when the batch is as safe as its acknowledgement promises; None where it has no place yet.

        Repeated batches are dropped when the log is read. `digest` is that of the body under an identifier of the
        sender's: with another body this raises `ConflictingBatch`, with the same one it answers as before.
        """
        ...


class ObservationLog(Appends, Protocol):
    """Every batch of a model, in the order of acknowledgement.

    Raises `StoreUnavailable`, `Overloaded`.
    """

    async def read(self, model: ModelName, after: BatchPosition, limit: int, /) -> Sequence[LoggedBatch]:
        """The batches that follow, in order; at most `limit`, and fewer where they are large."""
        ...

    async def recent_identifiers(self, model: ModelName, until: BatchPosition, limit: int, /) -> Sequence[str]:
        """Identifiers of the latest `limit` batches up to and including `until`, oldest first."""
        ...

    async def newest_position(self, model: ModelName, /) -> BatchPosition:
        """Of the last batch ever appended; `LOG_START` without any."""
        ...

    async def length(self, model: ModelName, /) -> int:
        """Batches in the log, judged ones that are kept included; cheap, however many."""
        ...

    async def make_room(self, model: ModelName, /) -> None:
        """Drop the rows of everything that is judged; identifiers are kept. For a store that is full."""
        ...

    async def forget_before(self, model: ModelName, position: BatchPosition, keep: int, /) -> None:
        """Allow batches up to and including `position` to be dropped, all but about the latest `keep` of them.

        Fewer are kept if they are large, or old, as far as the log was told to; none at all if it is to keep none.
        Their identifiers are kept, and nothing is dropped that was not read.
        """
        ...


class JudgedBatches(Protocol):
    """What the log still has of batches that are judged; reading them changes nothing. Raises `StoreUnavailable`."""

    async def dropped_until(self, model: ModelName, /) -> BatchPosition:
        """Up to here, it included, rows were dropped, and nothing behind it; `LOG_START`: all are here."""
        ...

    async def read_again(
        self, model: ModelName, after: BatchPosition, until: BatchPosition, limit: int, /
    ) -> Sequence[LoggedBatch]:
        """The batches behind `after` up to and including `until`, in order; at most `limit`, fewer if large."""
        ...

    async def latest_rows(self, model: ModelName, until: BatchPosition, rows: int, /) -> Sequence[LoggedBatch]:
        """The batches up to and including `until`, in order: the fewest that have so many rows, or all there are."""
        ...

    async def identifiers_until(self, model: ModelName, until: BatchPosition, limit: int, /) -> Sequence[str]:
        """Identifiers of the latest `limit` batches up to and including `until`, oldest first."""
        ...


class Predictions(Protocol):
    """Predictions of named batches, kept beside the log for as long as there is room. Raises `StoreUnavailable`."""

    async def of(self, model: ModelName, names: Sequence[str], /) -> Mapping[str, KeptPredictions]:
        """Those that are there; a batch's were put there together with its rows."""
        ...


class Quarantine(Protocol):
    """Flagged rows of a model, as many batches with some as are kept. Raises `StoreUnavailable`, `CorruptedState`."""

    async def keep(self, model: ModelName, batch: QuarantinedBatch, /) -> bool:
        """False: it, or one that came later, was kept before."""
        ...

    async def latest(
        self, model: ModelName, limit: int, before: BatchPosition | None = None, /
    ) -> Sequence[QuarantinedBatch]:
        """The newest batches with flagged rows (of lower positions than `before`), newest first."""
        ...


class VerdictLog(Protocol):
    """A model's verdicts, numbered without gaps. Raises `StoreUnavailable`."""

    async def commit(self, verdict: Verdict, /) -> bool:
        """Add it under its number. False: another evaluator had committed that number first."""
        ...

    async def newest(self, model: ModelName, /) -> Verdict | None:
        """Holds the cursor."""
        ...

    async def page(self, model: ModelName, after: int, limit: int, /) -> Sequence[Verdict]:
        """Verdicts with numbers above `after`, oldest first."""
        ...

    async def latest(self, model: ModelName, limit: int, before: int | None = None, /) -> Sequence[Verdict]:
        """The newest verdicts (with numbers below `before`), newest first."""
        ...


class DeliveryLog(Protocol):
    """Which actions have been delivered; with the verdicts it is the outbox. Raises `StoreUnavailable`."""

    async def record(self, model: ModelName, delivery: Delivery, /) -> bool:
        """False: it, or a later one, was recorded before."""
        ...

    async def last(self, model: ModelName, /) -> int:
        """Number of the last verdict whose action was delivered; 0 without any."""
        ...

    async def page(self, model: ModelName, first: int, last: int, /) -> Sequence[Delivery]:
        """Deliveries of the verdicts numbered `first` to `last`."""
        ...


class Registrations(Protocol):
    """References and plans. Raises `StoreUnavailable`, `CorruptedState`."""

    async def models(self) -> Sequence[ModelName]: ...

    async def newest(self, model: ModelName, /) -> Registration | None: ...

    async def revision(self, model: ModelName, revision: int, /) -> Registration | None:
        """An earlier registration, while it is kept."""
        ...

    async def revisions(self, model: ModelName, /) -> Sequence[Registration]:
        """Those that are kept, newest first; each one's reference is kept as well."""
        ...

    async def register(self, registration: Registration, reference: Reference | None, /) -> bool:
        """Store the reference (unless None: it is there already), then the registration under its revision.

        False: another writer had registered that revision first.
        """
        ...

    async def forget(self, model: ModelName, /) -> bool:
        """Remove everything that is stored of the model: registrations, references, rows, verdicts, deliveries.

        Whether it was registered. Names of batches stay for as long as they are remembered, and the record of its
        retraining stays.
        """
        ...

    async def reference(self, registration: Registration, /) -> Reference:
        """Its rows, verified against their digest."""
        ...


class Trigger(Protocol):
    """Starts what a verdict asks for. Raises `TriggerUnavailable`, `TriggerRejected`."""

    async def fire(self, order: Order, /) -> TriggerReceipt:
        """Firing the same order any number of times starts it once."""
        ...


class RetrainingRecord(Protocol):
    """What was decided and done about a model's retraining, in a chain. Raises `StoreUnavailable`, `CorruptedState`."""

    async def append(self, entry: Entry, /) -> bool:
        """Add it under its number; False: another one had that number first, so read the newest and decide again."""
        ...

    async def newest(self, model: ModelName, /) -> Line | None:
        """Holds the state."""
        ...

    async def page(self, model: ModelName, after: int, limit: int, /) -> Sequence[Line]:
        """Entries with numbers above `after`, oldest first."""
        ...


class RunFiles(Protocol):
    """The files that runs of a model are made from, read anew with every call, and whoever may sign them.

    Blocks. Raises the kinds of `ArtifactRefused`, and `ArtifactUnreadable`.
    """

    def template_digest(self) -> str | None:
        """`sha256:` and hexadecimal digits, as it is now; None: no file of one is pinned."""
        ...

    def dataset(self) -> SignedDataset | None:
        """Verified; None: none is named."""
        ...

    def vet(self, dataset: SignedDataset, /) -> str | Refusal:
        """Fingerprint of the key that has vetted it, or why it is not vetted."""
        ...

    def base_model(self) -> str | None:
        """The digest of what it was signed as; None: none is named."""
        ...


class ClusterObjects(Protocol):
    """What runs are made from where it is in the cluster. Raises `VettingUnavailable`."""

    async def read(self, named: ObjectName, /) -> Mapping[str, Any] | None:
        """None: there is none of that name."""
        ...


class Vetting(Protocol):
    """The checks of the gate that need the outside world: those behind `Check.PACE`. Raises `VettingUnavailable`."""

    async def vet(self, request: RetrainRequest, used_version: int | None, /) -> Evidence | Refusal:
        """`used_version`: of the dataset that was trained on last. Never blocks the event loop."""
        ...


class Runs(Protocol):
    """Runs of ours in the target. Raises `TriggerUnavailable`, `TriggerRejected`."""

    async def watch(self, tell: Callable[[RunSeen], Awaitable[None]], /) -> None:
        """Tell of every run how it is, and again whenever that changes, until cancelled or something is wrong.

        Goes on where it was, if it is called again. A run that is not there any more is told as `GONE`.
        """
        ...

    async def look(self, model: ModelName, name: str, /) -> RunSeen:
        """How one is now; `GONE` if it is not there."""
        ...

    async def release(self, model: ModelName, name: str, /) -> None:
        """Let one go on that is suspended; a second time has no effect. `TriggerRejected`: we may not."""
        ...


class Claims(Protocol):
    """Which evaluator is at which model: hints that spare double work. Raises `StoreUnavailable`.

    Nothing rests on them: a claim ends by itself after a few seconds, unless it is renewed.
    """

    async def claim(self, models: Collection[ModelName], /) -> Mapping[ModelName, str]:
        """Claim them, or keep them claimed; whose each one is now. What nobody has is left out."""
        ...

    async def release(self, models: Collection[ModelName], /, *, leaving: bool = False) -> None:
        """Those of them that are ours are free now; `leaving`: and this evaluator is no longer present."""
        ...

    async def meet(self) -> Collection[str]:
        """Say that this evaluator is present; all who said so in the last few seconds, itself among them."""
        ...


class Signs(Protocol):
    """Where there is work, so that thousands of idle models are not read in vain. Raises `StoreUnavailable`."""

    async def of(self, models: Sequence[ModelName], /) -> Sequence[Sign]:
        """One sign for each."""
        ...


class Authenticator(Protocol):
    """Whose credentials are. Raises `AccessUndecided`."""

    async def authenticate(self, credentials: Credentials, /) -> Caller | None:
        """None: nobody's that this one knows."""
        ...


class Authorizer(Protocol):
    """What callers may do. Raises `AccessUndecided`."""

    async def allows(self, caller: Caller, wanted: Access, /) -> bool:
        """Of a caller from the authenticator that it belongs to."""
        ...


class Central(Protocol):
    """The central service, as a sidecar asks it. Raises `CentralUnavailable`, and `CentralRefused` of that kind."""

    async def registration(self, model: ModelName, tag: str | None, /) -> Told | None:
        """What the model is watched by; None: still what it was under that tag. Raises `UnknownModel`."""
        ...

    async def reference(self, model: ModelName, /) -> bytes:
        """Its current reference as it is stored. Raises `UnknownModel`."""
        ...

    async def deliver(self, model: ModelName, parcel: Parcel, /) -> None:
        """Returns when the central service has acknowledged it. Delivering it any number of times counts once.

        Raises `UnknownModel`, `ParcelRefused`, `ParcelTooLarge`: nothing of it was taken.
        """
        ...


class ForwardProgress(Protocol):
    """How far a sidecar's log is forwarded, in the sidecar's own store. Raises `StoreUnavailable`, `CorruptedState`."""

    async def identity(self) -> str:
        """Of the store, and so of this sidecar: no other's, and the same as long as the store is."""
        ...

    async def of(self, model: ModelName, /) -> Progress: ...

    async def record(self, model: ModelName, progress: Progress, /) -> None: ...

    async def waiting_bytes(self) -> int:
        """What the logs of all models take in the store."""
        ...


class ArtifactFiles(Protocol):
    """A file, or a folder with everything in it, as it is on a disk. Blocks; raises `ArtifactUnreadable`."""

    @property
    def name(self) -> str: ...

    def found(self) -> Sequence[Found]:
        """What has a name in it, whatever it is, in no order; the signature itself is left out."""
        ...

    def digests(self, names: Collection[str], /) -> Mapping[str, str]:
        """SHA-256 of files, in hexadecimal. What is not a file any more raises."""
        ...


class ArtifactContents(Protocol):
    """The same, to be looked into. Blocks; raises `ArtifactUnreadable`."""

    def found(self) -> Sequence[Found]: ...

    def opened(self, name: str, /) -> AbstractContextManager[Source]:
        """A file, to be read from wherever one likes."""
        ...


class EventSink(Protocol):
    """Somebody who wants to know. Telling an event twice is harmless: it has an identifier."""

    async def send(self, event: Event, /) -> None:
        """Raises `SinkUnavailable`, and `SinkRefused` if it is of no use to try again."""
        ...


class WatchedArtifact(Protocol):
    """Files that are verified again and again. Blocks; raises `ArtifactUnreadable`."""

    def mark(self) -> bytes:
        """Another one after every change of the files, or of what they are verified against; cheap."""
        ...

    def verify(self, progress: Callable[[int], None], /) -> tuple[str, bytes]:
        """The digest of what they were signed as, and the mark of what was read: another one if that was elsewhere.

        `progress` is told what was read, and may wait, or raise.

        Raises the kinds of `ArtifactRefused`.
        """
        ...


class PrivateKey(Protocol):
    """What signs."""

    @property
    def public_key(self) -> bytes:
        """Its public half, in PEM."""
        ...

    @property
    def fingerprint(self) -> str:
        """Of that."""
        ...

    def sign(self, message: bytes, /) -> bytes: ...


class SignatureCheck(Protocol):
    """Whether a key made a signature."""

    def __call__(self, public_key: bytes, signature: bytes, message: bytes, /) -> bool: ...
