"""What the API takes and gives about responses: when a run that retrains may start, and what follows from one."""

from datetime import time
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from service.domain.retraining import response_plan as domain
from service.http.document import Document

_DEFAULT = domain.ResponsePlan()
_TIME = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"


def _of_domain(value: Any) -> Any:
    return value.isoformat("minutes") if isinstance(value, time) else value


TimeOfDay = Annotated[str, BeforeValidator(_of_domain), Field(pattern=_TIME, examples=["22:00"])]


class QuietHours(Document):
    """A part of every day in which nothing is started: what is due waits for its end."""

    begin: TimeOfDay
    end: TimeOfDay
    """Before `begin`: on the next day."""
    zone: Annotated[str, Field(max_length=64)] = "UTC"
    """By the clock of which place: its IANA name, e.g. `Europe/Berlin`."""

    def to_domain(self) -> domain.QuietHours:
        """The same, frozen."""
        return domain.QuietHours(time.fromisoformat(self.begin), time.fromisoformat(self.end), self.zone)


class NewReference(Document):
    """A reference is made of what the new model sees, and replaces the old one."""

    rows: int
    """Of the new model's traffic; flagged ones and repeated ones are left out."""
    after_seconds: int | None = None
    """So long after its run has succeeded the new model is taken to be in use. Null: somebody has to say so."""


class ResponsePlan(Document):
    """What follows from findings over time; docs/retraining.md."""

    retrain: bool = _DEFAULT.retrain
    """False: drift never starts anything. Somebody who may can still ask for a run."""
    confirm: int = _DEFAULT.confirm
    """This many of the latest `out_of` windows must have drifted."""
    out_of: int = _DEFAULT.out_of
    """See `confirm`."""
    cool_down: int = _DEFAULT.cool_down
    """Windows without a further action after one."""
    only_if_it_matters: bool = _DEFAULT.only_if_it_matters
    """Windows whose estimated performance has not suffered do not count. Needs `performance`."""
    cool_down_seconds: int = _DEFAULT.cool_down_seconds
    """After a start nothing is started for so long, however fast windows fill."""
    at_most_per_day: int = _DEFAULT.at_most_per_day
    """Runs within any 24 hours."""
    back_off_seconds: int = _DEFAULT.back_off_seconds
    """After a run that failed nothing is started for so long, twice that after the next, and so on up to a day."""
    quiet_hours: list[QuietHours] = Field(default=[])
    """What is due in these waits."""
    approval: Literal["none", "manual"] = _DEFAULT.approval
    """`manual`: runs are made suspended, and wait for somebody to release them."""
    dry_run: bool = _DEFAULT.dry_run
    """Decide, write down and show, and start nothing."""
    new_reference: NewReference | None = None
    """What becomes of the reference when a run has succeeded; null: it stays until somebody sets another one."""

    def to_domain(self) -> domain.ResponsePlan:
        """The same, frozen."""
        said = self.model_dump(exclude={"quiet_hours", "new_reference"})
        asked = self.new_reference
        return domain.ResponsePlan(
            **said,
            quiet_hours=tuple(quiet.to_domain() for quiet in self.quiet_hours),
            new_reference=None if asked is None else domain.NewReferencePlan(asked.rows, asked.after_seconds),
        )
