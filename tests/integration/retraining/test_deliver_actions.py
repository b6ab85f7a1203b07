"""From a drift event, or from somebody's wish, to one run: what is written down, started, refused and shown."""

from dataclasses import replace
from datetime import time, timedelta
from itertools import pairwise

import pytest

from service.domain.errors import VettingUnavailable, VettingUnderWay
from service.domain.models import TriggerOutcome
from service.domain.retraining.gate import Check, Refusal
from service.domain.retraining.record import Phase
from service.domain.retraining.response_plan import QuietHours, ResponsePlan
from service.domain.retraining.run import Progress
from service.domain.retraining.transitions import forgotten
from service.domain.sharing import Outlook
from tests.conformance.ports.documents import MODEL, NOON
from tests.conformance.ports.documents import registration as registered_anew
from tests.integration.retraining.conftest import Retraining
from tests.soak.forced_events import force

pytestmark = pytest.mark.anyio

EVERY_WINDOW = ResponsePlan(confirm=1, out_of=1, cool_down=0)
EVENTS = 1_000
"""Forced in a day."""


class Ended(Exception):
    """The process is ended here."""


class EndedAfter:
    """A record in a process that is ended as soon as it has added a step."""

    def __init__(self, record: object, step: str) -> None:
        self._record, self._step = record, step

    def __getattr__(self, name: str) -> object:
        return getattr(self._record, name)

    async def append(self, entry: object, /) -> bool:
        added = await self._record.append(entry)
        if added and entry.step == self._step:
            raise Ended
        return added


def plans(**said: object) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("retraining", [replace(EVERY_WINDOW, **said)], indirect=True)


async def test_a_drift_event_becomes_one_run_and_is_shown_with_its_verdict(retraining: Retraining) -> None:
    verdict = await retraining.drift()
    assert await retraining.settle() is Outlook.NOTHING
    assert await retraining.said() == ["PERMITTED", "STARTED"]
    assert retraining.target.names == [verdict.action.name]
    (shown,) = await retraining.shown()
    assert (shown.verdict_number, shown.receipt.outcome) == (1, TriggerOutcome.CREATED)
    permitted, started = await retraining.entries()
    assert permitted.alarm is not None
    assert (permitted.alarm.verdict_number, permitted.alarm.p_value) == (1, 0.01)
    assert permitted.evidence == retraining.vetter.answer
    assert started.state.underway is not None
    assert (started.state.underway.phase, started.state.underway.uid) == (Phase.RUNNING, started.receipt.uid)


async def test_what_drifts_while_a_run_is_under_way_is_refused_and_shown_as_refused(retraining: Retraining) -> None:
    for _ in range(3):
        await retraining.drift()
    await retraining.settle()
    assert await retraining.said() == ["PERMITTED", "STARTED", "REFUSED under_way", "REFUSED under_way"]
    assert [each.receipt.outcome for each in await retraining.shown()] == ["CREATED", "REFUSED", "REFUSED"]
    assert (await retraining.shown())[1].receipt.detail.startswith("pace: under_way: the run retrain-")


async def test_nothing_is_started_until_the_cool_down_is_over(retraining: Retraining) -> None:
    for minutes in (0, 59, 1):
        retraining.time.pass_by(minutes=minutes)
        await retraining.drift()
        await retraining.settle()
        if await retraining.phase() is Phase.RUNNING:
            await retraining.end()
    said = ["PERMITTED", "STARTED", "ENDED", "REFUSED cool_down", "PERMITTED", "STARTED", "ENDED"]
    assert await retraining.said() == said


@plans(cool_down_seconds=0, back_off_seconds=600)
async def test_after_failures_it_waits_twice_as_long_each_time(retraining: Retraining) -> None:
    for minutes, refusal in ((0, None), (9, "back_off"), (1, None), (19, "back_off"), (1, None)):
        retraining.time.pass_by(minutes=minutes)
        await retraining.drift()
        await retraining.settle()
        refused = (await retraining.entries())[-1].refusal
        assert (None if refused is None else refused.reason) == refusal
        if refused is None:
            await retraining.end(Progress.FAILED)


@plans(cool_down_seconds=0, at_most_per_day=2)
async def test_a_day_has_no_more_runs_than_its_budget(retraining: Retraining) -> None:
    for hours in (0, 1, 22, 1):
        retraining.time.pass_by(hours=hours)
        await retraining.drift()
        await retraining.settle()
        if await retraining.phase() is Phase.RUNNING:
            await retraining.end()
    assert [each.receipt.outcome for each in await retraining.shown()] == ["CREATED", "CREATED", "REFUSED", "CREATED"]
    assert "REFUSED daily_budget" in await retraining.said()


@plans(quiet_hours=(QuietHours(time(12), time(14)),))
async def test_in_quiet_hours_what_is_due_waits_and_what_somebody_asks_for_does_not(retraining: Retraining) -> None:
    await retraining.drift()
    assert await retraining.settle() is Outlook.LATER
    assert await retraining.said() == []
    await retraining.ask()
    assert await retraining.settle() is Outlook.NOTHING  # and with the run that was asked for, the event is refused
    assert await retraining.said() == ["ASKED", "PERMITTED", "STARTED", "REFUSED under_way"]


@plans(quiet_hours=(QuietHours(time(12), time(14)),))
async def test_when_quiet_hours_are_over_it_is_started(retraining: Retraining) -> None:
    await retraining.drift()
    assert await retraining.settle() is Outlook.LATER
    retraining.time.pass_by(hours=2)
    assert await retraining.settle() is Outlook.NOTHING
    assert await retraining.said() == ["PERMITTED", "STARTED"]


async def test_a_plan_that_starts_nothing_any_more_takes_no_permission_back(retraining: Retraining) -> None:
    """Whoever was ended while it was asked of the target may have had it made."""
    retraining.target.away = True
    await retraining.drift()
    await retraining.settle()
    await retraining.register(replace(EVERY_WINDOW, retrain=False))
    retraining.target.away = False
    retraining.time.pass_by(minutes=1)
    await retraining.settle()
    assert await retraining.said() == ["PERMITTED", "STARTED"]


async def in_quiet_hours_what_was_permitted(retraining: Retraining, *, by_hand: bool) -> None:
    """Before they began, while the target was away."""
    retraining.target.away = True
    await (retraining.ask() if by_hand else retraining.drift())
    assert await retraining.settle() is Outlook.FAILED
    assert await retraining.said() == [*(["ASKED"] if by_hand else []), "PERMITTED"]
    retraining.target.away = False
    retraining.time.pass_by(hours=1)


@plans(quiet_hours=(QuietHours(time(13), time(14)),))
async def test_what_was_permitted_before_quiet_hours_waits_for_their_end(retraining: Retraining) -> None:
    await in_quiet_hours_what_was_permitted(retraining, by_hand=False)
    assert await retraining.settle() is Outlook.LATER
    assert retraining.target.names == []
    retraining.time.pass_by(hours=1)
    assert await retraining.settle() is Outlook.NOTHING
    assert len(retraining.target.names) == 1


@plans(quiet_hours=(QuietHours(time(13), time(14)),))
async def test_what_somebody_asked_for_before_quiet_hours_does_not_wait(retraining: Retraining) -> None:
    await in_quiet_hours_what_was_permitted(retraining, by_hand=True)
    assert await retraining.settle() is Outlook.NOTHING
    assert len(retraining.target.names) == 1


@plans(approval="manual")
async def test_with_approval_the_run_is_made_suspended(retraining: Retraining) -> None:
    await retraining.drift()
    await retraining.settle()
    assert retraining.target.orders[0].suspended
    assert await retraining.phase() is Phase.SUSPENDED


async def test_how_a_run_is_made_was_decided_with_its_permission(retraining: Retraining) -> None:
    """Whatever the plan says by the time at which the target is there again."""
    await retraining.register(replace(EVERY_WINDOW, dry_run=True))
    await retraining.drift()
    retraining.target.away = True
    retraining.deliver = retraining.replica(record=EndedAfter(retraining.record, "PERMITTED"))
    with pytest.raises(Ended):
        await retraining.settle()
    await retraining.register(EVERY_WINDOW)
    retraining.deliver, retraining.target.away = retraining.replica(), False
    await retraining.settle()
    assert retraining.target.names == []
    assert (await retraining.shown())[0].receipt.outcome is TriggerOutcome.DRY_RUN


@plans(dry_run=True)
async def test_a_plan_that_only_shows_starts_nothing_and_keeps_the_pace(retraining: Retraining) -> None:
    for _ in range(2):
        await retraining.drift()
    await retraining.settle()
    assert await retraining.said() == ["PERMITTED", "STARTED", "REFUSED cool_down"]
    assert retraining.target.names == []
    assert (await retraining.shown())[0].receipt.detail == "a manifest"


async def test_who_asks_for_a_dry_run_may_have_the_run_right_after(retraining: Retraining) -> None:
    await retraining.ask("shown", dry_run=True)
    await retraining.settle()
    assert (await retraining.state()).dataset_version is None
    await retraining.ask("done")
    await retraining.settle()
    assert await retraining.said() == ["ASKED", "PERMITTED", "STARTED"] * 2
    assert retraining.target.names == ["done"]


async def test_a_run_that_somebody_asked_for_goes_through_the_same_gate(retraining: Retraining) -> None:
    await retraining.ask("first")
    await retraining.settle()
    await retraining.end()
    await retraining.ask("second")
    await retraining.settle()
    said = await retraining.entries()
    assert (said[-1].refusal.reason, said[-1].by, said[-1].alarm) == ("cool_down", "ana", None)
    assert await retraining.shown() == []


async def test_a_refusal_of_the_vetting_is_written_down_with_its_name(retraining: Retraining) -> None:
    refusal = Refusal(Check.VETTING, "vetting_expired", "it ended on Monday")
    retraining.vetter.answer = refusal
    await retraining.drift()
    await retraining.settle()
    (entry,) = await retraining.entries()
    assert entry.refusal == refusal
    assert (await retraining.shown())[0].receipt.detail == "vetting: vetting_expired: it ended on Monday"
    assert retraining.target.names == []


@pytest.mark.parametrize(
    ("plan", "refusal", "level"),
    [({}, Refusal(Check.VETTING, "vetting_expired", ""), "WARNING"), ({"retrain": False}, None, "INFO")],
)
async def test_a_refusal_is_a_warning_where_something_is_wrong(
    retraining: Retraining,
    plan: dict[str, object],
    refusal: Refusal | None,
    level: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    retraining.vetter.answer = refusal
    await retraining.drift()
    await retraining.register(replace(EVERY_WINDOW, **plan))
    await retraining.settle()
    assert [each.levelname for each in caplog.records if each.getMessage() == "retraining REFUSED"] == [level]


async def test_what_cannot_be_looked_at_is_neither_refused_nor_started(retraining: Retraining) -> None:
    known, retraining.vetter.answer = retraining.vetter.answer, VettingUnavailable("the volume is not mounted")
    await retraining.drift()
    assert await retraining.settle() is Outlook.FAILED
    assert await retraining.said() == []
    retraining.vetter.answer = known
    assert await retraining.settle() is Outlook.FAILED, "the back-off is not over"
    retraining.time.pass_by(seconds=1)
    assert await retraining.settle() is Outlook.NOTHING
    assert await retraining.said() == ["PERMITTED", "STARTED"]


async def test_a_dataset_that_takes_long_is_no_failure_and_is_asked_for_in_each_round(retraining: Retraining) -> None:
    known, retraining.vetter.answer = retraining.vetter.answer, VettingUnderWay("it is still being read")
    await retraining.drift()
    for _ in range(5):
        assert await retraining.settle() is Outlook.LATER, "whoever has begun to read it keeps the model"
    assert retraining.metrics.delivery_failures.labels(MODEL)._value.get() == 0
    assert retraining.metrics.pending_actions.labels(MODEL)._value.get() == 1
    retraining.vetter.answer = known
    assert await retraining.settle() is Outlook.NOTHING
    assert await retraining.said() == ["PERMITTED", "STARTED"]


async def test_what_waited_here_does_not_seem_to_wait_when_another_replica_has_started_it(
    retraining: Retraining,
) -> None:
    retraining.target.away = True
    await retraining.drift()
    assert await retraining.settle() is Outlook.FAILED
    before, retraining.deliver, retraining.target.away = retraining.deliver, retraining.replica(), False
    assert await retraining.settle() is Outlook.NOTHING
    retraining.metrics.pending_actions.labels(MODEL).set(1)  # as the replica that has given the model up showed it
    await before.follow(MODEL)
    assert retraining.metrics.pending_actions.labels(MODEL)._value.get() == 0


async def test_what_was_tried_before_it_could_be_vetted_does_not_make_the_start_wait_longer(
    retraining: Retraining,
) -> None:
    known, retraining.vetter.answer = retraining.vetter.answer, VettingUnavailable("the volume is not mounted")
    await retraining.drift()
    for _ in range(6):
        await retraining.settle()
        retraining.time.pass_by(minutes=1)
    retraining.vetter.answer, retraining.target.away = known, True
    assert await retraining.settle() is Outlook.FAILED
    retraining.target.away = False
    retraining.time.pass_by(seconds=1)
    assert await retraining.settle() is Outlook.NOTHING


async def test_the_vetting_is_told_which_version_was_used_last(retraining: Retraining) -> None:
    await retraining.drift()
    await retraining.settle()
    assert retraining.vetter.used_version is None
    await retraining.end()
    retraining.time.pass_by(hours=1)
    await retraining.drift()
    await retraining.settle()
    assert retraining.vetter.used_version == 3


async def test_what_the_target_refuses_for_good_is_a_failure(retraining: Retraining) -> None:
    retraining.target.rejects = True
    await retraining.drift()
    await retraining.settle()
    assert await retraining.said() == ["PERMITTED", "REJECTED"]
    assert (await retraining.state()).failures == 1
    assert (await retraining.shown())[0].receipt.outcome is TriggerOutcome.REJECTED


async def test_an_hour_without_the_api_server_loses_nothing_and_ends_in_one_run(retraining: Retraining) -> None:
    retraining.target.away = True
    outlooks = set()
    for _ in range(60):
        await retraining.drift()
        outlooks.add(await retraining.settle())
        retraining.time.pass_by(minutes=1)
    assert outlooks == {Outlook.FAILED}
    assert await retraining.phase() is Phase.PERMITTED
    assert retraining.metrics.pending_actions.labels(MODEL)._value.get() == 1
    retraining.target.away = False
    assert await retraining.settle() is Outlook.NOTHING
    shown = await retraining.shown()
    assert [each.verdict_number for each in shown] == list(range(1, 61))
    assert [each.receipt.outcome for each in shown] == ["CREATED"] + ["REFUSED"] * 59
    assert len(retraining.target.names) == 1
    assert retraining.metrics.pending_actions.labels(MODEL)._value.get() == 0


async def test_however_many_events_are_forced_one_run_is_started_a_cool_down(retraining: Retraining) -> None:
    """Case 56; 10,000 of them in the long form."""
    starts = await force(retraining, EVENTS)
    assert len(starts) == 4, "the day's budget"
    assert all(later - earlier >= timedelta(hours=1) for earlier, later in pairwise(starts))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("off", "switched_off"),
        ("reference", "reference_replaced"),
        ("unsigned", "event_not_ours"),
        ("forged", "not_confirmed"),
        ("another's", "not_its_own"),
    ],
)
async def test_what_is_no_event_to_follow_is_refused_by_name(retraining: Retraining, change: str, reason: str) -> None:
    match change:
        case "off":
            await retraining.drift()
            await retraining.register(replace(EVERY_WINDOW, retrain=False))
        case "reference":
            await retraining.drift()
            other = registered_anew(2, seed=1, plan=retraining.watched.plan)
            assert await retraining.registrations.register(other, None)
        case "unsigned":
            await retraining.drift()
            retraining.is_ours = False
        case "forged":
            await retraining.register(replace(EVERY_WINDOW, confirm=2, out_of=2))
            forged = retraining.made(replace(EVERY_WINDOW, confirm=1))
            assert await retraining.verdicts.commit(forged)
        case _:
            made = retraining.made(EVERY_WINDOW)
            assert await retraining.verdicts.commit(replace(made, action=replace(made.action, model="another")))
    await retraining.settle()
    assert await retraining.said() == [f"REFUSED {reason}"]
    assert retraining.target.names == []


async def test_a_run_that_nobody_of_ours_asked_for_is_refused(retraining: Retraining) -> None:
    retraining.is_ours = False
    await retraining.ask()
    await retraining.settle()
    assert await retraining.said() == ["ASKED", "REFUSED event_not_ours"]


async def test_a_deleted_model_begins_anew_and_its_pace_is_remembered(retraining: Retraining) -> None:
    await retraining.drift()
    await retraining.settle()
    await retraining.registrations.forget(MODEL)
    newest = await retraining.record.newest(MODEL)
    await retraining.record.append(forgotten(newest, retraining.time.now, "ana"))
    assert await retraining.settle() is Outlook.NOTHING
    await retraining.register()
    await retraining.drift(history=2)
    await retraining.settle()
    assert await retraining.said() == ["PERMITTED", "STARTED", "FORGOTTEN", "REFUSED under_way"]
    assert [each.verdict_number for each in await retraining.shown()] == [1]
    await retraining.end()
    await retraining.drift(history=2)
    await retraining.settle()
    assert (await retraining.said())[4:] == ["ENDED", "REFUSED cool_down"]


async def test_a_run_that_the_target_does_not_have_is_forgotten_with_its_model(retraining: Retraining) -> None:
    retraining.target.away = True
    await retraining.drift()
    await retraining.settle()
    await retraining.registrations.forget(MODEL)
    newest = await retraining.record.newest(MODEL)
    await retraining.record.append(forgotten(newest, retraining.time.now, "ana"))
    retraining.target.away = False
    retraining.time.pass_by(hours=1)
    await retraining.register()
    await retraining.settle()
    assert await retraining.said() == ["PERMITTED", "FORGOTTEN"]
    assert retraining.target.names == []


async def test_a_model_that_is_not_registered_takes_no_label(retraining: Retraining) -> None:
    """The cluster tells of runs of models that were deleted long ago."""
    await retraining.drift()
    await retraining.registrations.forget(MODEL)
    assert await retraining.settle() is Outlook.NOTHING
    assert f'"{MODEL}"' not in retraining.metrics.exposition().decode()


async def test_an_event_of_a_model_that_is_just_being_deleted_is_left_alone(
    retraining: Retraining, monkeypatch: pytest.MonkeyPatch
) -> None:
    await retraining.drift()
    found = [await retraining.registrations.newest(MODEL)]

    async def newest(_: object, /) -> object:
        return found.pop() if found else None

    monkeypatch.setattr(retraining.registrations, "newest", newest)
    assert await retraining.settle() is Outlook.LATER
    assert await retraining.said() == []


async def reads(retraining: Retraining) -> int:
    said = await retraining.redis.info("commandstats")
    return sum(said.get(f"cmdstat_{command}", {"calls": 0})["calls"] for command in ("xrange", "xrevrange"))


async def test_a_look_at_a_model_with_nothing_to_do_reads_five_entries(retraining: Retraining) -> None:
    """Of the registration, the record, and the verdicts: the last that was seen, the last that was decided, the next.

    Every model is looked at every now and then, and with each of its verdicts.
    """
    await retraining.drift()
    await retraining.settle()
    before = await reads(retraining)
    assert await retraining.settle() is Outlook.NOTHING
    assert await reads(retraining) - before == 5


async def test_what_happens_is_told_to_others(retraining: Retraining) -> None:
    await retraining.drift()
    await retraining.settle()
    types = {event.type for event in retraining.events}
    assert types == {"io.driftwarden.retraining.changed.v1"}
    assert [event.data["step"] for event in retraining.events] == ["PERMITTED", "STARTED"]
    assert len({event.identifier for event in retraining.events}) == 2
    started = retraining.events[-1]
    assert (started.subject, started.time, started.data["outcome"]) == (MODEL, NOON, "CREATED")
    scraped = retraining.metrics.exposition().decode()
    assert f'driftwarden_retrainings_total{{model="{MODEL}",reason="CREATED",step="STARTED"}} 1.0' in scraped
    assert f'driftwarden_retraining_phase{{model="{MODEL}",phase="RUNNING"}} 1.0' in scraped
