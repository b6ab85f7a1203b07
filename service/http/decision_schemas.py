"""What the API takes and gives about decisions: how often alarms may be false, and how often they would be."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ModelWrapValidatorHandler, model_validator
from pydantic_core import PydanticCustomError

from service.domain import plan as domain
from service.domain.models import Verdict
from service.domain.season import SeasonPlan
from service.http.document import Document
from service.usecases.fitted_models import Readiness

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_PERIOD = r"^[1-9][0-9]{0,8}[smhdw]$"


def _period(text: str) -> str:
    if re.fullmatch(_PERIOD, text) is None:
        message = "must be a number and s, m, h, d or w, such as 30d; a number of windows is per_windows"
        raise PydanticCustomError("period", message)
    return text


Period = Annotated[str, AfterValidator(_period), Field(json_schema_extra={"pattern": _PERIOD}, examples=["30d"])]


class FalseAlarms(Document):
    """So many windows may be found drifted, all detectors and features together, while nothing changes."""

    at_most: int = domain.FalseAlarmBudget().at_most
    per_windows: int | None = None
    """Either in so many windows ..."""
    per: Period | None = None
    """... or in so much event time: a number and `s`, `m`, `h`, `d` or `w`."""

    @classmethod
    def of(cls, budget: domain.FalseAlarmBudget) -> Self:
        per = None if budget.per_seconds is None else f"{budget.per_seconds}s"
        return cls(at_most=budget.at_most, per_windows=budget.per_windows, per=per)

    def to_domain(self) -> domain.FalseAlarmBudget:
        """The same, frozen."""
        seconds = None if self.per is None else int(self.per[:-1]) * _SECONDS[self.per[-1]]
        return domain.FalseAlarmBudget(self.at_most, self.per_windows, seconds)


class Season(Document):
    """By what rows are alike: each is compared with those of the reference that are of the same."""

    by: Literal["hour_of_day", "day_of_week", "hour_of_week"]
    utc_offset_minutes: int = 0
    """Of the clock that says which hour it is; the same all year."""

    def to_domain(self) -> SeasonPlan:
        """The same, frozen."""
        return SeasonPlan(self.by, self.utc_offset_minutes)


class DecisionPlan(Document):
    """How often an alarm may be false."""

    false_alarm_rate: float = domain.DecisionPlan().false_alarm_rate
    """Of one window, all detectors and features together, when nothing has changed. Without a budget."""
    false_alarms: FalseAlarms | None = None
    """A budget over time, which takes the place of the rate of one window."""
    season: Season | None = None
    """Compare rows with those of the same hour or day; needs a reference with times. Null: with all of them."""

    @model_validator(mode="wrap")
    @classmethod
    def _from_domain(cls, value: Any, read: ModelWrapValidatorHandler[Self]) -> Self:
        if isinstance(value, domain.DecisionPlan):
            budget = None if value.false_alarms is None else FalseAlarms.of(value.false_alarms)
            season = None if value.season is None else Season.model_validate(value.season)
            return cls(false_alarm_rate=value.false_alarm_rate, false_alarms=budget, season=season)
        return read(value)

    def to_domain(self) -> domain.DecisionPlan:
        """The same, frozen."""
        budget = None if self.false_alarms is None else self.false_alarms.to_domain()
        season = None if self.season is None else self.season.to_domain()
        return domain.DecisionPlan(self.false_alarm_rate, budget, season)


class RateView(Document):
    """A share of the reference's own blocks."""

    rate: float
    lower: float
    """Of its 95 % confidence interval."""
    upper: float
    alarms: int
    blocks: int


class SensitivityView(Document):
    """What one detector can see in windows of this size."""

    detector: str
    false_alarms: RateView | None
    """If it were the plan's only one, at the plan's `false_alarm_rate`."""
    smallest_shift: float | None
    """In standard deviations, of the feature that is hardest to see: found in one window, or under a budget in two. It
    was planted into blocks of the reference. Null: none of those tried, up to two deviations."""
    hardest_feature: str | None
    """Which one that is; null for a detector of all features together, all of which were shifted, and if no feature
    ever moves."""


class SeasonsView(Document):
    """What a reference has of the hours or days by which the plan compares."""

    fewest_rows: int
    """Of those that it has."""
    lacking: list[str]
    """Those that it has no rows of: rows of these count as missing."""


class ReadinessView(Document):
    """Whether findings rest on the reference's own calm blocks."""

    calibrated: bool
    """False: findings rest on the assumption of independent rows and will alarm too often on real traffic."""
    window_rows: int
    """Of a window that is judged so; where windows vary in size, of the largest that the reference can calibrate."""
    blocks: int
    """Contiguous blocks of that size in the reference."""
    blocks_needed: int
    reference_rows_needed: int
    """How long the reference must be to calibrate this plan."""
    false_alarm_rate: float | None
    """Share of the reference's own blocks that alarm when each is judged by the others; under a budget, in a row."""
    false_alarm_interval: tuple[float, float] | None
    """Its 95 % confidence interval."""
    effective_blocks: float | None
    """Independent blocks that say as much as these, which follow one another and may be alike."""
    sensitivities: list[SensitivityView]
    seasons: SeasonsView | None
    """What the reference has of the plan's seasons; null where the plan has none."""
    shortfall: str
    """Why this reference does not calibrate this plan, and what would; empty if it does."""

    @classmethod
    def of(cls, readiness: Readiness) -> Self:
        return cls.model_validate(readiness)


class BudgetView(Document):
    """What a budget of false alarms has come to."""

    windows_per_alarm: float | None
    """It allows one in so many windows; null where windows have no length in time that could be counted."""
    once_in_windows: float | None
    """So rarely do calm windows gather as much evidence as there is now; null without calibration."""
    windows: int
    """Judged under this budget and this reference."""
    alarms: int
    """Of these, those that drifted."""

    @classmethod
    def of(cls, verdict: Verdict) -> Self | None:
        """None where the plan has no budget."""
        spent, decision = verdict.budget, verdict.decision
        if spent is None:
            return None
        return cls(
            windows_per_alarm=decision.windows_per_alarm,
            once_in_windows=decision.once_in_windows,
            windows=spent.windows,
            alarms=spent.alarms,
        )
