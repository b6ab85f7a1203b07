"""The words of the service, as data. Everything here is frozen; what changes is which one is newest."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, NewType

import numpy as np
from numpy.typing import NDArray

from service.domain.errors import Fault, InvalidModelName

if TYPE_CHECKING:
    from service.domain.summaries import Summaries

ModelName = NewType("ModelName", str)
"""A served model under watch; safe as a store key, a metric label and a Kubernetes label value."""

BatchPosition = NewType("BatchPosition", str)
"""Where the log put a batch: milliseconds since 1970 by the store's clock, `-`, a number. `LOG_START` is before all."""

LOG_START = BatchPosition("0-0")

LATEST_MS = 253_370_764_800_000
"""9999-01-01 in milliseconds since the epoch: the latest event time, so that it is a date in every zone."""

_LAST_SEQUENCE = 2**64 - 1
_MODEL_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", re.ASCII)


def model_name(text: str) -> ModelName:
    """Check a name from outside; raises `InvalidModelName`."""
    if not _MODEL_NAME.fullmatch(text):
        message = (
            "a model name has 1 to 63 letters, digits, '.', '_' or '-', and begins and ends with a letter or digit"
        )
        raise InvalidModelName(Fault("model", message))
    return ModelName(text)


@dataclass(frozen=True, slots=True)
class FlaggedRows:
    """How many rows have which label."""

    outlier: int = 0
    too_typical: int = 0
    duplicate: int = 0
    invalid: int = 0

    @property
    def total(self) -> int:
        """A row has one label."""
        return self.outlier + self.too_typical + self.duplicate + self.invalid

    def __add__(self, other: "FlaggedRows", /) -> "FlaggedRows":
        return FlaggedRows(
            self.outlier + other.outlier,
            self.too_typical + other.too_typical,
            self.duplicate + other.duplicate,
            self.invalid + other.invalid,
        )


NONE_FLAGGED = FlaggedRows()


@dataclass(frozen=True, slots=True)
class Batch:
    """What one request carried."""

    identifier: str
    """The sender's idempotency key, or one made for it: a batch counts once however often it is sent."""
    rows: NDArray[np.float64]
    """Shape (rows, features), columns in the order of the registration that was current when it came."""
    observed_at: datetime
    """When the inferences happened, by the sender's word; when they arrived, without it."""
    traceparent: str | None = None
    """W3C trace context of the request, so that a verdict's trace can point back to it."""
    revision: int = 0
    """Of the registration whose features the columns are; 0: not known, and taken to be the current one."""
    times: NDArray[np.int64] | None = None
    """Event time of each row in milliseconds since the epoch; None: `observed_at` for all of them."""
    panes: bytes | None = None
    """Instead of rows, of which there are none then: a document of `service.domain.summaries`."""
    mismatches: int = 0
    """Values that did not match the schema, and were taken as the plan says."""
    predictions: NDArray[np.float64] | None = None
    """Of each row, to be kept under the batch's name beside the log, for labels that come later; None: nobody asks."""
    flagged: FlaggedRows = NONE_FLAGGED
    """Of its rows, once they have been labelled; nothing that is stored with it."""
    sender: bytes | None = None
    """Digest of who sent it; None: nobody knows."""


@dataclass(frozen=True, slots=True)
class KeptPredictions:
    """What is left of a batch for its labels."""

    observed_at: datetime
    values: NDArray[np.float64]
    """One for each of its rows."""


@dataclass(frozen=True, slots=True)
class LoggedBatch:
    """A batch and its place in the log."""

    position: BatchPosition
    batch: Batch


@dataclass(frozen=True, slots=True)
class Cursor:
    """Up to where a model's log has been judged."""

    position: BatchPosition = LOG_START
    """Every batch up to this one, it included, is judged (or was dropped as repeated) ..."""
    offset: int = 0
    """... and so are this many rows of the batch that follows it."""
    read: BatchPosition = LOG_START
    """Up to here the log had been read for the window: what was dropped of it is counted in its verdict."""
    until: int | None = None
    """Windows by time: those up to this event time (milliseconds since the epoch) are judged, so that rows older than
    it are judged as well if they stand at or before `closed_at`, and are late if they stand after it."""
    closed_at: BatchPosition = LOG_START
    """See `until`."""
    ends: int | None = None
    """Windows by count or time: the event time at which the window that is next ends, if it is not full before."""


def is_after(position: BatchPosition, other: BatchPosition) -> bool:
    """Whether `position` comes later in the log than `other`."""
    return _ordinal(position) > _ordinal(other)


def earliest(positions: Iterable[BatchPosition]) -> BatchPosition:
    """Which of them comes first in the log."""
    return min(positions, key=_ordinal)


def arrival(position: BatchPosition) -> int:
    """When the log took the batch at this place, in milliseconds since the epoch by the store's clock."""
    return _ordinal(position)[0]


def just_after(position: BatchPosition) -> BatchPosition:
    """The place that follows it, whether or not a batch is there."""
    milliseconds, sequence = _ordinal(position)
    return BatchPosition(f"{milliseconds}-{sequence + 1}")


def just_before(position: BatchPosition) -> BatchPosition:
    """The place before it, likewise; `LOG_START` has none."""
    milliseconds, sequence = _ordinal(position)
    if sequence:
        return BatchPosition(f"{milliseconds}-{sequence - 1}")
    return BatchPosition(f"{milliseconds - 1}-{_LAST_SEQUENCE}") if milliseconds else position


def _ordinal(position: BatchPosition) -> tuple[int, int]:
    milliseconds, _, sequence = position.partition("-")
    return int(milliseconds), int(sequence or 0)


@dataclass(frozen=True, slots=True)
class Window:
    """Rows that one test looks at, cut from the log."""

    rows: NDArray[np.float64]
    """All of the window, or a sample of them; none where there are summaries."""
    seen: int
    """Rows of the window."""
    step: int
    """Rows from its first one to that of the next window: all of them, or fewer where windows overlap."""
    start: Cursor
    """From here the log gives this very window again."""
    end: Cursor
    """From here it gives the next one."""
    started_at: datetime
    ended_at: datetime
    batches: int
    duplicates: int
    """Repeated batches dropped while this window was read."""
    misfits: int
    """Batches dropped because they have another number of features than the reference."""
    late: int
    """Rows dropped because the window that they belong to had been judged."""
    future: int
    """Rows dropped because they claim to be of more than a day after they arrived."""
    traceparents: tuple[str, ...]
    """Of some of its batches; bounded."""
    summaries: "Summaries | None" = None
    """Of all rows of the window, which are not kept themselves."""
    mismatches: int = 0
    """Values that did not match the schema, of the batches read for this window."""
    times: NDArray[np.int64] | None = None
    """Event time of each of `rows`, in milliseconds since the epoch; None where there are summaries."""
    flagged: FlaggedRows = NONE_FLAGGED
    """Rows that were flagged, of the batches read for this window."""

    @property
    def tested(self) -> int:
        """Rows that detectors look at."""
        return len(self.rows) if self.summaries is None else self.summaries.rows


class Finding(StrEnum):
    """What a window says of its model."""

    DRIFT = "DRIFT"
    STABLE = "STABLE"
    UNDECIDED = "UNDECIDED"


@dataclass(frozen=True, slots=True)
class FeatureMeasurement:
    """One number of one detector, judged."""

    feature: str | None
    """None for a detector that looks at all features together."""
    statistic: float | None
    """None, like the others, where there was too little to measure."""
    effect: float | None
    p_value: float | None
    """If rows were independent: an i.i.d. p-value, never what a calibrated decision rests on."""
    score: float | None
    """Standardised by what calm blocks of the reference do; None without calibration."""
    missing: int
    """Values (for all features together: rows) left out because they are missing."""
    drifted: bool


@dataclass(frozen=True, slots=True)
class DetectorMeasurement:
    """What one detector measured in one window."""

    detector: str
    method: str
    seed: int | None
    reference_rows: int
    window_rows: int
    features: tuple[FeatureMeasurement, ...]


@dataclass(frozen=True, slots=True)
class EstimatedPerformance:
    """How well the model does in a window, as far as its predictions tell it without labels."""

    metric: str
    estimated: float | None
    """None where the metric is not defined for these rows, as precision is where nothing is predicted positive."""
    interval: tuple[float, float] | None
    """Of 95 %."""
    reference: float
    """What the metric was in the reference, by its labels."""
    matters: bool | None
    """Whether the estimate is lower than that by what the plan calls a loss; None: nothing could be estimated."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A finding and what it rests on."""

    finding: Finding
    reason: str
    calibrated: bool
    """True: judged against blocks of the reference. False: against independent rows, which real traffic is not."""
    false_alarm_rate: float
    """What was asked for, a window."""
    p_value: float | None
    """Of the whole window, all detectors and features together."""
    detectors: tuple[DetectorMeasurement, ...]
    once_in_windows: float | None = None
    """Under a budget: so rarely do calm windows gather as much evidence as there is now; None without calibration."""
    windows_per_alarm: float | None = None
    """What the budget asks for: at most one false alarm in so many windows. None: there is none."""
    performance: EstimatedPerformance | None = None
    """None where the plan asks for none, or the window has too few rows."""

    @property
    def matters(self) -> bool | None:
        """Whether performance is estimated to have suffered; None: not known."""
        return None if self.performance is None else self.performance.matters

    @property
    def drifted_features(self) -> tuple[str, ...]:
        """Features that some detector found drifted, largest effect first."""
        effects: dict[str, float] = {}
        for detector in self.detectors:
            for measurement in detector.features:
                if measurement.drifted and measurement.feature is not None:
                    effects[measurement.feature] = max(measurement.effect or 0.0, effects.get(measurement.feature, 0.0))
        return tuple(sorted(effects, key=lambda feature: -effects[feature]))

    @property
    def ranked_features(self) -> tuple[str, ...]:
        """Features by how far the most surprising detector is from calm, drifted or not; those measured only."""
        surprise: dict[str, float] = {}
        for detector in self.detectors:
            for measurement in detector.features:
                if measurement.feature is None:
                    continue
                number = measurement.score if measurement.score is not None else _improbability(measurement.p_value)
                if number is not None:
                    surprise[measurement.feature] = max(number, surprise.get(measurement.feature, number))
        return tuple(sorted(surprise, key=lambda feature: -surprise[feature]))


def _improbability(p_value: float | None) -> float | None:
    return None if p_value is None else 1 - p_value


@dataclass(frozen=True, slots=True)
class ResponseState:
    """What a response policy remembers from one verdict to the next; it travels inside the verdict."""

    recent: tuple[bool, ...] = ()
    """Whether each of the latest windows drifted, newest last."""
    silent_until: int = 0
    """No action before this verdict number: the cool-down."""


@dataclass(frozen=True, slots=True)
class BudgetState:
    """What a budget of false alarms remembers from one verdict to the next; it travels inside the verdict."""

    evidence: tuple[float, ...] = ()
    """Log-evidence gathered so far for every number of every detector, in the plan's order; empty: none yet."""
    windows: int = 0
    """Judged under this budget and this reference."""
    alarms: int = 0
    """Of these, those that drifted."""
    seconds: float = 0.0
    """How long these windows lasted together in event time."""


@dataclass(frozen=True, slots=True)
class RetrainRequest:
    """An action: start retraining. Made once, inside the verdict that caused it; delivered at least once."""

    name: str
    """Deterministic, a DNS-1123 label: the same verdict gives the same name, so a second create is refused."""
    model: ModelName
    verdict_number: int
    window_start: datetime
    window_end: datetime
    reference_digest: str
    plan_digest: str
    drifted_features: tuple[str, ...]
    traceparent: str | None
    signature: str | None = None
    """Of the service whose evaluator made it, so that nobody else can: see `service.domain.retraining.signed_event`.
    None: it signs none."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A window's finding with what it rests on, what follows from it, and where the log is read next."""

    number: int
    """1, 2, 3 ... for each model, without gaps. The store refuses a number that it has: the compare-and-set."""
    model: ModelName
    cursor: Cursor
    first_row: int
    """Ordinal of the window's first row among all rows judged for this model."""
    rows: int
    """Rows of the window."""
    batches: int
    duplicates: int
    misfits: int
    started_at: datetime
    ended_at: datetime
    decided_at: datetime
    reference_digest: str
    plan_digest: str
    registration_revision: int
    decision: Decision
    response: ResponseState
    action: RetrainRequest | None
    start: Cursor | None = None
    """From here the log gives this very window again, while it is kept; None before 0.2."""
    next_row: int | None = None
    """Ordinal of the next window's first row; None: it follows this window's last."""
    tested_rows: int | None = None
    """Rows that the detectors looked at, fewer than `rows` where the plan takes a sample; None: all of them."""
    late: int = 0
    """Rows that came too late for their window and were not judged."""
    future: int = 0
    """Rows of more than a day ahead of their arrival, not judged."""
    budget: BudgetState | None = None
    """After this verdict; None where the plan has no budget."""
    mismatches: int = 0
    """Values that did not match the schema, of the batches read for this window; its rows have them all the same."""
    flagged: FlaggedRows | None = None
    """Rows that were flagged, of the batches read for this window; its rows are judged all the same. None: the plan
    labels none."""


class TriggerOutcome(StrEnum):
    """What became of an action."""

    CREATED = "CREATED"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    """An earlier delivery of the same action had succeeded: success too."""
    DRY_RUN = "DRY_RUN"
    REJECTED = "REJECTED"
    """The target refused it for good."""
    REFUSED = "REFUSED"
    """The gate did not let it pass."""


@dataclass(frozen=True, slots=True)
class TriggerReceipt:
    """What a trigger says after it fired."""

    outcome: TriggerOutcome
    name: str
    namespace: str | None
    kind: str
    """Of the object, e.g. `Job`."""
    detail: str = ""
    """The server's message, or the manifest of a dry run (YAML)."""
    uid: str = ""
    """Of the object, as the target knows it; empty where there is none."""
    version: str = ""
    """Of the object when it was made, or found (`resourceVersion`)."""
    manifest_digest: str = ""
    """SHA-256 of what the target was asked to make, as canonical JSON; `sha256:` and hexadecimal digits.

    Empty: what it was made from has changed, so that is not known any more."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """An action's entry in the record of deliveries."""

    verdict_number: int
    receipt: TriggerReceipt
    delivered_at: datetime


@dataclass(frozen=True, slots=True)
class Reference:
    """The immutable rows that production is compared with."""

    features: tuple[str, ...]
    rows: NDArray[np.float64] = field(repr=False)
    """Shape (rows, features), in time order where the sender has it so: calibration cuts contiguous blocks from it."""
    labels: tuple[str, ...] = ()
    """Features that detectors look at only where a plan names them, and whose values may be missing."""
    times: NDArray[np.int64] | None = field(default=None, repr=False)
    """Of each row, in milliseconds since the epoch, ascending; None where the sender has not given them."""
    categorical: tuple[str, ...] = ()
    """Features that hold codes; told only of a reference with times, to which they matter."""
