"""What has happened, for others to follow up."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that has happened; the words are those of CloudEvents 1.0."""

    identifier: str
    """No two events of this service share it: who is told twice may drop the second."""
    type: str
    """e.g. `io.driftwarden.integrity.changed.v1`."""
    subject: str
    """What it happened to."""
    time: datetime
    data: Mapping[str, object]
    """What JSON can hold."""
