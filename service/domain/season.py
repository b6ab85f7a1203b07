"""Seasons: which hour, weekday, or hour of the week a row is of, so that it is compared with rows of the same."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import Rows
from detectors.errors import InvalidRows
from detectors.seasonal import Seasonal, blocks
from service.domain.errors import Fault, InvalidPlan
from service.domain.models import Reference
from service.domain.row_times import Times

By = Literal["hour_of_day", "day_of_week", "hour_of_week"]

PLACE = "decision.season"
MINIMUM_SEASON_ROWS = 100
"""Of each season, beside any one block. Ranks among fewer say too little."""
MINIMUM_PERIODS = 2
"""Of one day alone nobody knows what is the hour's and what is the day's."""
MOST_OFFSET_MINUTES = 14 * 60
_NAMED = 3
_HOUR_MS = 3_600_000
_LENGTHS: dict[By, tuple[int, int]] = {
    "hour_of_day": (_HOUR_MS, 24),
    "day_of_week": (24 * _HOUR_MS, 7),
    "hour_of_week": (_HOUR_MS, 7 * 24),
}
"""How long a season lasts, and how many of them are a period."""
_MONDAY_MS = 4 * 24 * _HOUR_MS
"""1970 began on a Thursday."""
_WORDS: dict[By, tuple[str, str]] = {
    "hour_of_day": ("hour of the day", "hours of the day"),
    "day_of_week": ("day of the week", "days of the week"),
    "hour_of_week": ("hour of the week", "hours of the week"),
}
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True, slots=True)
class SeasonPlan:
    """By what rows are alike."""

    by: By
    utc_offset_minutes: int = 0
    """Of the clock that says which hour it is. It is the same all year."""

    @property
    def count(self) -> int:
        """How many seasons there are."""
        return _LENGTHS[self.by][1]

    @property
    def words(self) -> str:
        """What a season is called."""
        return _WORDS[self.by][0]

    @property
    def words_for_several(self) -> str:
        """What several are."""
        return _WORDS[self.by][1]

    def of(self, times: Times) -> Times:
        """Of each row, its season: from 0 on, from midnight and Monday."""
        return np.asarray(self._local(times) // _LENGTHS[self.by][0] % self.count)

    def periods(self, times: Times) -> Times:
        """Of each row, its day, or its week; numbered."""
        length, count = _LENGTHS[self.by]
        return np.asarray(self._local(times) // (length * count))

    def name(self, season: int) -> str:
        """e.g. `03:00`, `Monday`, `Monday 03:00`."""
        if self.by == "day_of_week":
            return _DAYS[season]
        hour = f"{season % 24:02}:00"
        return hour if self.by == "hour_of_day" else f"{_DAYS[season // 24]} {hour}"

    def _local(self, times: Times) -> Times:
        return times + self.utc_offset_minutes * 60_000 - _MONDAY_MS


def season_faults(plan: SeasonPlan | None) -> list[Fault]:
    """What is wrong with it, whatever the reference."""
    if plan is None:
        return []
    faults = []
    if plan.by not in _LENGTHS:
        faults.append(Fault(f"{PLACE}.by", f"must be one of {', '.join(_LENGTHS)}"))
    if abs(plan.utc_offset_minutes) > MOST_OFFSET_MINUTES:
        faults.append(Fault(f"{PLACE}.utc_offset_minutes", f"must lie between -{MOST_OFFSET_MINUTES} and as much"))
    return faults


@dataclass(frozen=True, slots=True, eq=False)
class FittedSeasons:
    """A reference's seasons, to compare like with like. Immutable, shared by threads."""

    plan: SeasonPlan
    seasonal: Seasonal
    rows: NDArray[np.int64]
    """Of the reference, in each season; none of those that it lacks."""

    def carried(self, rows: Rows, times: Times | None) -> Rows:
        """Window rows as the detectors see them; raises `InvalidRows`."""
        if times is None:
            raise InvalidRows("the plan compares rows by their times (decision.season), and these have none")
        moment = int(times[0]) if len(times) else 0
        return self.seasonal.carried(rows, self.plan.of(times), moment)

    def strangers(self, times: Times) -> int:
        """How many rows are of a season that the reference lacks."""
        return int((self.rows[self.plan.of(times)] == 0).sum())

    @property
    def fewest_rows(self) -> int:
        """Of the seasons that the reference has."""
        return int(self.rows[self.rows > 0].min())

    @property
    def lacking(self) -> tuple[str, ...]:
        """Names of the seasons that the reference lacks."""
        return tuple(self.plan.name(season) for season in np.flatnonzero(self.rows == 0).tolist())


def fit_seasons(plan: SeasonPlan | None, reference: Reference, block_rows: int) -> FittedSeasons | None:
    """None where none are planned. Raises `InvalidPlan` if the reference says too little of them."""
    if plan is None:
        return None
    if reference.times is None:
        message = 'needs the time of each row of the reference: declare the column that has it as of the role "time"'
        raise InvalidPlan(Fault(PLACE, message))
    seasons = plan.of(reference.times)
    rows = np.bincount(seasons, minlength=plan.count)
    _refuse_few(plan, reference.times, seasons, rows, block_rows)
    categorical = np.array([name in reference.categorical for name in reference.features])
    return FittedSeasons(plan, Seasonal.of(reference.rows, seasons, plan.count, categorical), rows)


def alike(reference: Reference, seasons: FittedSeasons | None, block_rows: int) -> Reference:
    """The reference as detectors see it and blocks are cut from it: each block by the ranks of the others."""
    if seasons is None:
        return reference
    assert reference.times is not None  # noqa: S101 - or there were no seasons
    rows = seasons.seasonal.held_out(reference.rows, seasons.plan.of(reference.times), block_rows)
    return replace(reference, rows=rows)


def _refuse_few(plan: SeasonPlan, times: Times, seasons: Times, rows: NDArray[np.int64], block_rows: int) -> None:
    periods = plan.periods(times)
    most = np.zeros(plan.count, dtype=np.int64)
    for held in blocks(len(times), block_rows):
        np.maximum(most, np.bincount(seasons[held], minlength=plan.count), out=most)
    few = np.flatnonzero((rows > 0) & (rows - most < MINIMUM_SEASON_ROWS)).tolist()
    if few:
        named = ", ".join(plan.name(season) for season in few[:_NAMED]) + (" and others" if len(few) > _NAMED else "")
        message = (
            f"needs {MINIMUM_SEASON_ROWS} rows of each {plan.words} beside any {block_rows} that follow one another; "
            f"the reference has fewer of {named}: give a longer one, or leave these rows out of it"
        )
        raise InvalidPlan(Fault(PLACE, message))
    once = [season for season in np.flatnonzero(rows).tolist() if len(np.unique(periods[seasons == season])) == 1]
    if once:
        message = (
            f"needs each {plan.words} at least {MINIMUM_PERIODS} times; the reference has {plan.name(once[0])} once"
        )
        raise InvalidPlan(Fault(PLACE, message))
