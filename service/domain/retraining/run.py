"""A run that retrains a model: what it is started by, and how it is."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from service.domain.models import ModelName, RetrainRequest
from service.domain.retraining.gate import Evidence


@dataclass(frozen=True, slots=True)
class Order:
    """What is handed to a trigger: a request that has passed the gate, with what that rests on."""

    request: RetrainRequest
    evidence: Evidence
    suspended: bool = False
    """Whether it is to wait, once it is there, until somebody releases it."""


class Progress(StrEnum):
    """How a run is."""

    SUSPENDED = "SUSPENDED"
    """It is there, and waits to be released."""
    RUNNING = "RUNNING"
    """Also while it waits for a place to run in."""
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    GONE = "GONE"
    """It was deleted before anybody saw its end."""

    @property
    def is_over(self) -> bool:
        return self in {Progress.SUCCEEDED, Progress.FAILED, Progress.GONE}


@dataclass(frozen=True, slots=True)
class RunSeen:
    """What the target says of one run of ours."""

    model: ModelName
    name: str
    progress: Progress
    uid: str = ""
    at: datetime | None = None
    """When it came to that, by the target's clock."""
    detail: str = ""
    """For people, bounded: why it failed."""
