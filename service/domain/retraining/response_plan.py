"""What a model's plan says of retraining: when a run may start, and what follows from one that has succeeded."""

from dataclasses import asdict, dataclass, fields
from datetime import datetime, time, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from service.domain.errors import Fault

MAXIMUM_PER_DAY = 100
_YEAR = 366 * 86_400
_MAXIMUM_QUIET = 10
_ALWAYS_SAID = frozenset({"retrain", "confirm", "out_of", "cool_down"})
_SAID_BEFORE = _ALWAYS_SAID | {"only_if_it_matters"}


@dataclass(frozen=True, slots=True)
class QuietHours:
    """A part of every day, by the clock of a place, in which nothing is started: what is due waits for its end."""

    begin: time
    end: time
    """Before `begin`: on the next day."""
    zone: str = "UTC"
    """IANA name, e.g. `Europe/Berlin`."""

    def until(self, now: datetime) -> datetime | None:
        """When they end, if it is in them now."""
        zone = ZoneInfo(self.zone)
        local = now.astimezone(zone)
        for days in (-1, 0):
            begin = datetime.combine(local.date() + timedelta(days), self.begin, zone)
            end = datetime.combine(begin.date() + timedelta(self.end <= self.begin), self.end, zone)
            if begin <= local < end:
                return end
        return None


@dataclass(frozen=True, slots=True)
class NewReferencePlan:
    """A reference is made of what the new model sees, and replaces the old one."""

    rows: int
    """Of the new model's traffic; flagged ones and repeated ones are left out."""
    after_seconds: int | None = None
    """So long after its run has succeeded the new model is taken to be in use. None: somebody has to say so."""


@dataclass(frozen=True, slots=True)
class ResponsePlan:
    """What follows from findings over time."""

    retrain: bool = True
    confirm: int = 2
    """This many of the latest `out_of` windows must have drifted before anything is started ..."""
    out_of: int = 3
    cool_down: int = 20
    """... and then nothing more for this many windows."""
    only_if_it_matters: bool = False
    """Leave out windows whose estimated performance has not suffered. One that cannot be estimated counts."""
    cool_down_seconds: int = 3600
    """Nor for so long by the clock, however fast windows fill."""
    at_most_per_day: int = 4
    """Runs within any 24 hours."""
    back_off_seconds: int = 3600
    """After a run that failed nothing is started for so long, and twice that after the next, up to a day."""
    quiet_hours: tuple[QuietHours, ...] = ()
    approval: Literal["none", "manual"] = "none"
    """`manual`: runs are made suspended, and wait for somebody to release them."""
    dry_run: bool = False
    """Decide, and write down, and start nothing."""
    new_reference: NewReferencePlan | None = None
    """None: the reference stays until somebody sets another one."""


def response_document(document: dict[str, Any]) -> dict[str, Any]:
    """What a plan's digest covers: what was added since 0.1 is left out where it is not said, so digests stay."""
    default = {field.name: field.default for field in fields(ResponsePlan)}
    said = {name: value for name, value in document.items() if name in _ALWAYS_SAID or value != default[name]}
    if "quiet_hours" in said:
        said["quiet_hours"] = [{name: str(value) for name, value in quiet.items()} for quiet in said["quiet_hours"]]
    return said


def says_more_than_before(response: ResponsePlan) -> bool:
    """Whether a release from before there was a record of retraining would take it for another plan."""
    return bool(response_document(asdict(response)).keys() - _SAID_BEFORE)


def response_faults(response: ResponsePlan, keep: Literal["rows", "summaries"]) -> list[Fault]:
    """What is wrong with it, of a plan whose windows keep rows or summaries."""
    place = "response"
    faults = []
    if not 1 <= response.out_of <= 100:
        faults.append(Fault(f"{place}.out_of", "must lie between 1 and 100"))
    if not 1 <= response.confirm <= response.out_of:
        faults.append(Fault(f"{place}.confirm", "must lie between 1 and response.out_of"))
    if not 0 <= response.cool_down <= 1_000_000:
        faults.append(Fault(f"{place}.cool_down", "must lie between 0 and 1000000"))
    faults += [
        Fault(f"{place}.{name}", "must lie between 0 and a year")
        for name in ("cool_down_seconds", "back_off_seconds")
        if not 0 <= getattr(response, name) <= _YEAR
    ]
    if not 1 <= response.at_most_per_day <= MAXIMUM_PER_DAY:
        faults.append(Fault(f"{place}.at_most_per_day", f"must lie between 1 and {MAXIMUM_PER_DAY}"))
    return faults + _quiet_faults(response.quiet_hours) + _new_reference_faults(response, keep)


def _quiet_faults(quiet_hours: tuple[QuietHours, ...]) -> list[Fault]:
    if len(quiet_hours) > _MAXIMUM_QUIET:
        return [Fault("response.quiet_hours", f"must be at most {_MAXIMUM_QUIET}")]
    faults = []
    for number, quiet in enumerate(quiet_hours):
        place = f"response.quiet_hours[{number}]"
        if quiet.begin == quiet.end:
            faults.append(Fault(f"{place}.end", "must be another time than begin: `retrain: false` is never"))
        try:
            ZoneInfo(quiet.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            faults.append(Fault(f"{place}.zone", "must be a time zone's name, such as Europe/Berlin"))
    return faults


def _new_reference_faults(response: ResponsePlan, keep: Literal["rows", "summaries"]) -> list[Fault]:
    asked = response.new_reference
    if asked is None:
        return []
    faults = []
    if keep != "rows":
        faults.append(Fault("response.new_reference", "needs the rows themselves: leave it out, or keep rows"))
    if not 100 <= asked.rows <= 50_000:
        faults.append(Fault("response.new_reference.rows", "must lie between 100 and 50000"))
    if asked.after_seconds is not None and not 0 <= asked.after_seconds <= _YEAR:
        faults.append(Fault("response.new_reference.after_seconds", "must lie between 0 and a year"))
    return faults
