"""Laws of the record and the pace: whatever is said in whatever order, runs keep their distance, one at a time."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from service.domain.errors import UnknownRun, WrongMoment
from service.domain.models import BatchPosition, ModelName, RetrainRequest, TriggerOutcome, TriggerReceipt
from service.domain.retraining import transitions
from service.domain.retraining.gate import Check, Evidence, Refusal
from service.domain.retraining.pace import quiet_until, too_soon
from service.domain.retraining.record import (
    Asked,
    Entry,
    Line,
    Phase,
    RetrainingState,
    Step,
    first_break,
    read,
    written,
)
from service.domain.retraining.response_plan import QuietHours, ResponsePlan
from service.domain.retraining.run import Progress, RunSeen

MODEL = ModelName("churn")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
OUTCOMES = [TriggerOutcome.CREATED, TriggerOutcome.ALREADY_EXISTS, TriggerOutcome.REJECTED, TriggerOutcome.DRY_RUN]
ENDS = [Progress.SUCCEEDED, Progress.FAILED, Progress.GONE]
PLANS = st.builds(
    ResponsePlan,
    cool_down_seconds=st.sampled_from([0, 60, 3600, 100_000]),
    at_most_per_day=st.sampled_from([1, 2, 4, 100]),
    back_off_seconds=st.sampled_from([0, 60, 7200]),
)


def request(number: int, name: str) -> RetrainRequest:
    return RetrainRequest(name, MODEL, number, NOON, NOON, "sha256:a", "sha256:b", (), None)


class Record(RuleBasedStateMachine):
    """Anything that may be said of a model's retraining, by anybody, at any time; most of it at the wrong moment."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOON
        self.plan = ResponsePlan()
        self.lines: list[Line] = []
        self.events = 0
        self.history = 0
        self.wishes = 0

    @property
    def newest(self) -> Line | None:
        return self.lines[-1] if self.lines else None

    @property
    def state(self) -> RetrainingState:
        return transitions.state_of(self.newest)

    def add(self, entry: Entry) -> None:
        line = written(entry)
        assert read(line.text) == line
        self.lines.append(line)

    def decide(self, wanted: RetrainRequest, plan: ResponsePlan) -> None:
        refusal = too_soon(plan, self.state, self.now)
        if refusal is None:
            self.add(transitions.permitted(self.newest, wanted, Evidence("sha256:t"), self.now))
        else:
            self.add(transitions.refused(self.newest, wanted, refusal, self.now))

    @rule(plan=PLANS)
    def change_the_plan(self, plan: ResponsePlan) -> None:
        self.plan = plan

    @rule(seconds=st.sampled_from([1, 59, 61, 3599, 3601, 40_000, 90_000]))
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule()
    def drift(self) -> None:
        self.events += 1
        self.decide(request(self.events, f"event-{self.history}-{self.events}"), self.plan)

    @rule()
    @precondition(lambda self: self.events > 0)
    def decide_an_event_again(self) -> None:
        with pytest.raises(WrongMoment):
            self.decide(request(self.events, f"event-{self.history}-{self.events}"), self.plan)

    @rule()
    @precondition(lambda self: self.state.asked is None)
    def ask(self) -> None:
        self.wishes += 1
        asked = Asked(request(0, f"wish-{self.wishes}"), "ana", "why")
        self.add(transitions.asked(self.newest, asked, self.now))

    @rule()
    def decide_what_was_asked(self) -> None:
        wish = self.state.asked
        if wish is not None:
            self.decide(wish.request, self.plan)
        with pytest.raises(WrongMoment):
            self.decide(request(0, f"wish-{self.wishes}"), self.plan)

    @rule(outcome=st.sampled_from(OUTCOMES))
    def start(self, outcome: TriggerOutcome) -> None:
        self.of_the_run(
            lambda name: transitions.started(self.newest, TriggerReceipt(outcome, name, None, "Job"), self.now)
        )

    @rule(progress=st.sampled_from(ENDS), renews=st.booleans())
    def end(self, progress: Progress, *, renews: bool) -> None:
        self.of_the_run(
            lambda name: transitions.ended(self.newest, RunSeen(MODEL, name, progress), self.now, renews=renews)
        )

    @rule()
    def serve(self) -> None:
        self.of_the_run(lambda name: transitions.served(self.newest, name, BatchPosition("1-0"), self.now, "ana"))

    @rule()
    def renew(self) -> None:
        self.of_the_run(lambda name: transitions.renewed(self.newest, name, "sha256:r", self.now))

    @rule()
    def renew_not(self) -> None:
        self.of_the_run(lambda name: transitions.not_renewed(self.newest, name, self.now, "why"))

    @rule()
    @precondition(lambda self: self.newest is not None)
    def forget(self) -> None:
        assert self.newest is not None
        self.add(transitions.forgotten(self.newest, self.now, "ana"))
        self.events, self.history = 0, self.history + 1

    def of_the_run(self, entry_of: Callable[[str], Entry]) -> None:
        """What cannot be said now is refused, and nothing has changed."""
        name = "none" if self.state.underway is None else self.state.underway.request.name
        with suppress(WrongMoment, UnknownRun):
            self.add(entry_of(name))

    @invariant()
    def it_is_a_chain(self) -> None:
        assert first_break(self.lines) is None

    @invariant()
    def each_run_is_permitted_once_and_one_is_under_way(self) -> None:
        underway = None
        permitted: list[str] = []
        for line in self.lines:
            entry = line.entry
            if entry.step is Step.PERMITTED:
                assert underway is None
                permitted.append(entry.run)
            run = entry.state.underway
            underway = None if run is None else run.request.name
            assert underway is None or underway == permitted[-1]
        assert len(set(permitted)) == len(permitted)

    @invariant()
    def what_is_remembered_is_bounded(self) -> None:
        assert len(self.state.starts) <= transitions.KEPT_STARTS
        assert list(self.state.starts) == sorted(self.state.starts)


TestRecord = Record.TestCase
TestRecord.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


waits = st.sampled_from([0, 1, 58, 60, 3_598, 3_600, 7_199, 14_399, 50_000, 86_400])
moments = st.lists(waits, min_size=1, max_size=3).flatmap(
    lambda few: st.lists(st.sampled_from(few), min_size=10, max_size=60)
)


@given(PLANS, moments, st.lists(st.sampled_from(ENDS), min_size=60, max_size=60))
def test_starts_keep_the_cool_down_the_budget_of_a_day_and_the_back_off(
    plan: ResponsePlan, waits: list[int], ends: list[Progress]
) -> None:
    now, line = NOON, None
    starts: list[datetime] = []
    ended: list[tuple[datetime, int]] = []
    for number, (seconds, end) in enumerate(zip(waits, ends, strict=False), 1):
        now += timedelta(seconds=seconds)
        state = transitions.state_of(line)
        if too_soon(plan, state, now) is not None:
            continue
        starts.append(now)
        wanted = request(number, f"event-{number}")
        line = written(transitions.permitted(line, wanted, Evidence("sha256:t"), now))
        receipt = TriggerReceipt(TriggerOutcome.CREATED, wanted.name, None, "Job")
        line = written(transitions.started(line, receipt, now))
        line = written(transitions.ended(line, RunSeen(MODEL, wanted.name, end), now, renews=False))
        ended.append((now, transitions.state_of(line).failures))
    assert all(later - earlier >= timedelta(seconds=plan.cool_down_seconds) for earlier, later in pairwise(starts))
    for first, beyond in zip(starts, starts[plan.at_most_per_day :], strict=False):
        assert beyond - first >= DAY
    for (at, failures), following in zip(ended, starts[1:], strict=False):
        if failures:
            assert following - at >= min(DAY, timedelta(seconds=plan.back_off_seconds * 2 ** (failures - 1)))


@pytest.mark.parametrize(("ahead", "reason"), [(timedelta(hours=23), "cool_down"), (DAY, None), (400 * DAY, None)])
def test_a_clock_that_was_ahead_holds_up_the_next_run_for_a_day_at_the_most(ahead: timedelta, reason: str) -> None:
    """A day is the longest back-off, and the budget's."""
    plan, at = ResponsePlan(at_most_per_day=1), NOON + ahead
    line = written(transitions.permitted(None, request(1, "event"), Evidence("sha256:t"), at))
    receipt = TriggerReceipt(TriggerOutcome.CREATED, "event", None, "Job")
    line = written(transitions.started(line, receipt, at))
    line = written(transitions.ended(line, RunSeen(MODEL, "event", Progress.FAILED), at, renews=False))
    held_up = too_soon(plan, line.entry.state, NOON)
    assert (None if held_up is None else held_up.reason) == reason
    following = transitions.permitted(line, request(2, "next"), Evidence("sha256:t"), NOON)
    assert (following.state.starts == (NOON,)) == (reason is None), "what is not believed does not stay"


quiet = st.builds(
    QuietHours,
    st.times().map(lambda at: at.replace(second=0, microsecond=0)),
    st.times().map(lambda at: at.replace(second=0, microsecond=0)),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
).filter(lambda hours: hours.begin != hours.end)


@given(quiet, st.integers(0, 366 * 24 * 60))
def test_quiet_hours_end_within_a_day_and_are_over_then(hours: QuietHours, minutes: int) -> None:
    now = NOON + timedelta(minutes=minutes)
    end = quiet_until(ResponsePlan(quiet_hours=(hours,)), now)
    if end is None:
        return
    assert now < end <= now + timedelta(hours=26), "a day, and a clock that is set back"
    assert end.timetz().replace(tzinfo=None) == hours.end


@pytest.mark.parametrize(
    ("local", "until"),
    [
        ("2026-03-01T21:59:00+01:00", None),
        ("2026-03-01T22:00:00+01:00", "2026-03-02T06:30:00+01:00"),
        ("2026-03-02T06:29:59+01:00", "2026-03-02T06:30:00+01:00"),
        ("2026-03-02T06:30:00+01:00", None),
        ("2026-03-28T23:00:00+01:00", "2026-03-29T06:30:00+02:00"),  # clocks are set forward
        ("2026-10-24T23:00:00+02:00", "2026-10-25T06:30:00+01:00"),  # and back
    ],
)
def test_quiet_hours_go_by_the_clock_of_their_place(local: str, until: str | None) -> None:
    plan = ResponsePlan(quiet_hours=(QuietHours(time(22), time(6, 30), "Europe/Berlin"),))
    found = quiet_until(plan, datetime.fromisoformat(local).astimezone(UTC))
    assert found == (None if until is None else datetime.fromisoformat(until))


def test_the_last_of_several_quiet_hours_counts() -> None:
    plan = ResponsePlan(quiet_hours=(QuietHours(time(10), time(13)), QuietHours(time(11), time(15))))
    assert quiet_until(plan, NOON) == NOON.replace(hour=15)


def test_a_dry_run_that_somebody_asked_for_is_no_start_and_uses_no_dataset() -> None:
    wanted = request(0, "wish")
    line = written(transitions.asked(None, Asked(wanted, "ana", "why", dry_run=True), NOON))
    evidence = Evidence("sha256:t", dataset_version=7)
    line = written(transitions.permitted(line, wanted, evidence, NOON, dry_run=True))
    assert (line.entry.state.starts, line.entry.state.dataset_version) == ((), None)
    shown = TriggerReceipt(TriggerOutcome.DRY_RUN, "wish", None, "Job")
    line = written(transitions.started(line, shown, NOON))
    assert too_soon(ResponsePlan(), line.entry.state, NOON) is None


def test_a_suspended_run_goes_on_when_it_is_released() -> None:
    wanted = request(1, "event")
    line = written(transitions.permitted(None, wanted, Evidence("sha256:t"), NOON, suspended=True))
    line = written(transitions.started(line, TriggerReceipt(TriggerOutcome.CREATED, "event", None, "Job"), NOON))
    line = written(transitions.released(line, "event", NOON, "ana"))
    assert line.entry.state.underway is not None
    assert line.entry.state.underway.phase is Phase.RUNNING


def test_a_back_off_of_a_week_is_a_week_after_every_failure() -> None:
    """A day is the longest that a shorter one grows to."""
    plan = ResponsePlan(back_off_seconds=7 * 86_400)
    for failures in (1, 2, 30):
        state = RetrainingState(failures=failures, failed_at=NOON)
        assert too_soon(plan, state, NOON + 7 * DAY - timedelta(seconds=1)) is not None
        assert too_soon(plan, state, NOON + 7 * DAY) is None


def test_a_refusal_of_any_check_decides_its_event_and_leaves_the_pace() -> None:
    for number, check in enumerate(Check, 1):
        line = written(transitions.refused(None, request(number, "event"), Refusal(check, "why", ""), NOON))
        assert line.entry.state == RetrainingState(decided_until=number, decided_run="event")
