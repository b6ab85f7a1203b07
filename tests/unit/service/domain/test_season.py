"""Hours and days: which season a row is of, what a reference must have of each, and windows judged like with like."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.domain.errors import InvalidPlan
from service.domain.fitted_plan import FittedPlan, fit
from service.domain.judgement import judged
from service.domain.models import (
    Batch,
    BatchPosition,
    BudgetState,
    Cursor,
    Decision,
    Finding,
    LoggedBatch,
    Reference,
    Window,
)
from service.domain.plan import DecisionPlan, DetectorPlan, Plan, WindowPlan, check
from service.domain.season import SeasonPlan
from service.domain.summaries import panes_of
from service.domain.windows import RecentIdentifiers, cutter
from service.http.schemas import Plan as Document

WINDOW = 150
BY_HOUR = SeasonPlan("hour_of_day")
KS = DetectorPlan("kolmogorov_smirnov")
START_MS = 1_767_225_600_000
"""2026-01-01, a Thursday."""
EVERY_MS = 120_000
"""Between rows: 30 an hour, so that a window is of five hours."""
DAYS = 21
NOBODY = RecentIdentifiers(0, ())


def times(first: int, count: int) -> NDArray[np.int64]:
    return START_MS + np.arange(first, first + count, dtype=np.int64) * EVERY_MS


def cyclic(seed: int, when: NDArray[np.int64], shift: float = 0.0) -> NDArray[np.float64]:
    """One feature that goes up and down by two deviations over the day, and one that does not."""
    drawn = np.random.default_rng(seed).normal(size=(len(when), 2))
    drawn[:, 0] += 2 * np.sin(when / 86_400_000 * 2 * np.pi) + shift
    return drawn


def reference(days: int = DAYS) -> Reference:
    when = times(0, days * 720)
    return Reference(("demand", "noise"), cyclic(1, when), times=when)


def plan(season: SeasonPlan | None = BY_HOUR, **window: Any) -> Plan:
    made = Plan(WindowPlan(**{"rows": WINDOW, **window}), (KS,), DecisionPlan(0.05, season=season))
    check(made)
    return made


@cache
def fitted(season: SeasonPlan | None = BY_HOUR) -> FittedPlan:
    return fit(plan(season), reference())


def cut(made: FittedPlan, shift: float = 0.0, count: int = 20) -> list[Window]:
    """Windows of the days after the reference, cut from a log."""
    when = times(DAYS * 720 + 40, count * WINDOW)
    cuts = cutter(made.plan.window, 2, Cursor(), NOBODY, key=b"")
    now = datetime.fromtimestamp(when[-1] / 1000, UTC)
    cuts.feed(LoggedBatch(BatchPosition(f"{when[-1]}-1"), Batch("1", cyclic(2, when, shift), now, times=when)))
    found = []
    while (window := cuts.cut()) is not None:
        found.append(window)
    assert len(found) == count
    return found


def judge(made: FittedPlan, shift: float = 0.0, count: int = 20) -> list[Decision]:
    return [judged(made, window, BudgetState())[0] for window in cut(made, shift, count)]


def share(decisions: list[Decision]) -> float:
    return float(np.mean([decision.finding is Finding.DRIFT for decision in decisions]))


def test_half_a_deviation_within_the_hour_is_found_and_hours_themselves_raise_no_alarm() -> None:
    calm, moved = judge(fitted()), judge(fitted(), 0.5)
    assert share(calm) <= 0.15
    assert share(moved) >= 0.7
    assert moved[0].drifted_features == ("demand",)
    assert all("calm blocks of the reference, each row by its hour of the day" in each.reason for each in calm)
    # Against all hours at once, calm has room for every hour, and the same shift is nothing beyond it.
    assert share(judge(fitted(None), 0.5)) <= 0.2


def test_sampled_windows_and_windows_by_time_know_the_times_of_their_rows() -> None:
    for window in ({"sample_rows": 100}, {"rows": None, "every_seconds": 5 * 3600, "sample_rows": 100}):
        made = replace(fitted(), plan=plan(**window))
        cuts, when = cutter(made.plan.window, 2, Cursor(), NOBODY, key=b""), times(DAYS * 720, 1000)
        batch = Batch("1", cyclic(2, when), datetime.fromtimestamp(when[-1] / 1000, UTC), times=when)
        cuts.feed(LoggedBatch(BatchPosition(f"{when[-1]}-1"), batch))
        found = cuts.cut()
        assert found is not None
        assert found.times is not None
        assert len(found.times) == len(found.rows) == 100
        place = {row.tobytes(): moment for row, moment in zip(batch.rows, when.tolist(), strict=True)}
        assert [place[row.tobytes()] for row in found.rows] == found.times.tolist()


def test_summaries_are_of_rows_that_were_carried() -> None:
    made = fit(plan(rows=None, every_seconds=18_000, keep="summaries"), reference(), calibrates=False)
    when = times(DAYS * 720, WINDOW)
    (pane,) = panes_of(made, cyclic(3, when), when, None)
    (summed,), (measured,) = pane.summaries.measured(made), made.measure(cyclic(3, when), when)
    assert np.array_equal(summed.statistic, measured.statistic)
    judging = fit(made.plan, reference())  # with blocks, as a sidecar's is not: its summaries are of the same reference
    assert judging.calibration is not None
    assert judging.detectors[0].reference.digest == made.detectors[0].reference.digest
    plainly = fit(plan(None, rows=None, every_seconds=18_000, keep="summaries"), reference(), calibrates=False)
    assert plainly.detectors[0].reference.digest != made.detectors[0].reference.digest  # never mixed with one another


def test_rows_without_times_are_undecided() -> None:
    decision, _ = judged(fitted(), replace(cut(fitted(), count=1)[0], times=None), BudgetState())
    assert decision.finding is Finding.UNDECIDED
    assert decision.reason == "the plan compares rows by their times (decision.season), and these have none"


def test_rows_of_hours_that_the_reference_lacks_are_told() -> None:
    when = times(0, DAYS * 720)
    open_hours = when // 3_600_000 % 24 >= 5
    made = fit(plan(), Reference(("demand", "noise"), cyclic(1, when)[open_hours], times=when[open_hours]))
    assert made.seasons is not None
    assert made.seasons.lacking == ("00:00", "01:00", "02:00", "03:00", "04:00")
    assert made.seasons.fewest_rows == DAYS * 30
    found = judge(made, count=24)
    partly = [each for each in found if "hours of the day that the reference lacks" in each.reason]
    assert partly
    wholly = [each for each in partly if each.finding is Finding.UNDECIDED]
    assert wholly
    assert "too few" in wholly[0].reason
    assert share(found) <= 0.2


@given(st.integers(0, 7_000_000_000), st.integers(-840, 840))
def test_seasons_are_those_of_the_calendar(seconds: int, offset: int) -> None:
    there = np.array([seconds * 1000])
    local = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds, minutes=offset)
    found = {by: SeasonPlan(by, offset) for by in ("hour_of_day", "day_of_week", "hour_of_week")}  # type: ignore[arg-type]
    assert found["hour_of_day"].of(there) == [local.hour]
    assert found["day_of_week"].of(there) == [local.weekday()]
    assert found["hour_of_week"].of(there) == [local.weekday() * 24 + local.hour]
    assert found["hour_of_week"].name(local.weekday() * 24 + local.hour) == f"{local:%A %H}:00"


@pytest.mark.parametrize(
    ("season", "given_reference", "said"),
    [
        (BY_HOUR, replace(reference(2), times=None), 'declare the column that has it as of the role "time"'),
        (BY_HOUR, reference(2), "100 rows of each hour of the day beside any 150 that follow one another"),
        (
            SeasonPlan("day_of_week"),
            reference(13),
            "each day of the week at least 2 times; the reference has Wednesday",
        ),
        (SeasonPlan("hour_of_week"), reference(), "fewer of Monday 00:00, Monday 01:00, Monday 02:00 and others"),
    ],
)
def test_a_reference_that_says_too_little_of_a_season_is_refused(
    season: SeasonPlan, given_reference: Reference, said: str
) -> None:
    with pytest.raises(InvalidPlan) as raised:
        fit(plan(season), given_reference)
    (fault,) = raised.value.faults
    assert fault.place == "decision.season"
    assert said in fault.message


def test_nonsense_is_refused_and_plans_of_other_seasons_are_other_plans() -> None:
    with pytest.raises(InvalidPlan) as raised:
        plan(SeasonPlan("moon_phase", 900))  # type: ignore[arg-type]
    assert [fault.place for fault in raised.value.faults] == [
        "decision.season.by",
        "decision.season.utc_offset_minutes",
    ]
    assert len({plan(None).digest, plan().digest, plan(SeasonPlan("hour_of_day", 60)).digest}) == 3


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**20), st.integers(0, 23))
def test_a_window_of_any_hour_alone_is_as_calm_as_any(seed: int, hour: int) -> None:
    when = START_MS + DAYS * 86_400_000 + hour * 3_600_000 + np.arange(WINDOW, dtype=np.int64) * 20_000
    (measured,) = fitted().measure(cyclic(seed, when), when)
    assert measured.statistic.max() < 0.2


def test_a_plan_with_a_season_is_the_same_plan_over_the_api_and_in_the_store() -> None:
    said = plan(SeasonPlan("hour_of_week", -300))
    document = Document.model_validate(said)
    assert document.to_domain() == said
    assert msgspec.json.decode(document.model_dump_json(), type=Plan).digest == said.digest  # as a sidecar reads it
    assert msgspec.json.decode(msgspec.json.encode(said), type=Plan) == said
