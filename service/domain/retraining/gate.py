"""What a run must pass before it is started: eight checks in this order, each of which refuses by name."""

from dataclasses import dataclass
from enum import StrEnum


class Check(StrEnum):
    """In the order in which they are made; the first that refuses decides."""

    EVENT = "event"
    """The drift event exists, was not consumed before, is ours (signed), and is confirmed."""
    PACE = "pace"
    """Nothing is under way, the cool-down and the back-off are over, the day's budget is not spent."""
    DATASET_SIGNATURE = "dataset_signature"
    """A key that is trusted with datasets signed what to train on."""
    DATASET_BYTES = "dataset_bytes"
    """The files are those that were signed, all of them and no other."""
    VETTING = "vetting"
    """An approver, who is somebody else, says of this very dataset that it was vetted, and it holds still."""
    DATASET_VERSION = "dataset_version"
    """It is no older than the last one that was trained on."""
    BASE_MODEL = "base_model"
    """The model to start from is, now, what was signed."""
    TEMPLATE = "template"
    """What is started is what was pinned, and so are its images."""


ADVISABLE = frozenset({Check.DATASET_SIGNATURE, Check.DATASET_BYTES, Check.VETTING, Check.DATASET_VERSION})
"""Those that an operator may make advisory: what they would have refused is then written down with the permission."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a run is not started."""

    check: Check
    reason: str
    """A name in lower case with underscores, e.g. `cool_down`: metrics, alerts and people go by it."""
    detail: str
    """For people: what is wrong, and what to do. Names no secrets and repeats no input."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a permission rests on. Digests are `sha256:` and hexadecimal digits."""

    template_digest: str
    images: tuple[str, ...] = ()
    """That the run's containers are made from, each by its digest."""
    dataset_digest: str | None = None
    """Of what the dataset was signed as (its payload); None: none was named, or it was not verified."""
    dataset_version: int | None = None
    approver: str | None = None
    """Fingerprint of the key that vetted it."""
    base_model_digest: str | None = None
    advisories: tuple[Refusal, ...] = ()
    """What would have been refused, were vetting enforced."""
