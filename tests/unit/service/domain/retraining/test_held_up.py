"""Why no run was started is answered in one place, by the names that the page has."""

import re
from dataclasses import replace
from datetime import time, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from service.domain.models import Finding, TriggerOutcome, TriggerReceipt, Verdict
from service.domain.registration import Registration
from service.domain.retraining import held_up as source
from service.domain.retraining import transitions
from service.domain.retraining.gate import Check, Evidence, Refusal
from service.domain.retraining.held_up import held_up
from service.domain.retraining.record import Asked, Line, written
from service.domain.retraining.response_plan import QuietHours, ResponsePlan
from service.domain.retraining.run import Progress, RunSeen
from tests.conformance.ports.documents import NOON
from tests.processes.drift_events import drifted, registered

PAGE = Path(__file__).parents[5] / "docs" / "retraining.md"
DRIFTING = ResponsePlan(confirm=1, out_of=1, cool_down=0)
QUIET = (QuietHours(time(11), time(13)),)


def event(watched: Registration) -> Verdict:
    made = drifted(None, watched)
    assert made.action is not None
    return made


def permitted(verdict: Verdict, *, dry_run: bool = False, suspended: bool = False) -> list[Line]:
    assert verdict.action is not None
    made = transitions.permitted(None, verdict.action, Evidence("sha256:t"), NOON, suspended=suspended, dry_run=dry_run)
    return [written(made)]


def started(verdict: Verdict, outcome: TriggerOutcome, *, detail: str = "", suspended: bool = False) -> list[Line]:
    assert verdict.action is not None
    lines = permitted(verdict, dry_run=outcome is TriggerOutcome.DRY_RUN, suspended=suspended)
    receipt = TriggerReceipt(outcome, verdict.action.name, "training", "Job", detail)
    return [*lines, written(transitions.started(lines[-1], receipt, NOON))]


def reasons(plan: ResponsePlan, lines: list[Line], verdicts: list[Verdict], hours: float = 0.0) -> list[str]:
    return [each.reason for each in held_up(registered(plan), lines, verdicts, NOON + timedelta(hours=hours))]


def test_a_model_without_verdicts_and_one_that_is_calm() -> None:
    assert reasons(ResponsePlan(), [], []) == ["no_verdict"]
    calm = replace(event(registered(DRIFTING)), action=None)
    calm = replace(calm, decision=replace(calm.decision, finding=Finding.STABLE))
    [found] = held_up(registered(ResponsePlan()), [], [calm], NOON)
    assert found.reason == "too_few_drifted"
    assert "0 of the latest 3 windows" in found.detail
    assert found.detail.endswith("verdict 1 is STABLE")


def test_a_plan_by_which_drift_starts_nothing() -> None:
    assert reasons(ResponsePlan(retrain=False), [], []) == ["switched_off", "no_verdict"]


def test_an_event_that_waits_for_the_end_of_quiet_hours_says_until_when() -> None:
    plan = replace(DRIFTING, quiet_hours=QUIET)
    found = held_up(registered(plan), [], [event(registered(plan))], NOON)
    assert (found[0].reason, "verdict 1" in found[0].detail) == ("quiet_hours", True)
    assert "13:00:00" in found[0].detail


def test_an_event_that_waits_though_nothing_is_quiet_is_being_looked_at() -> None:
    assert reasons(DRIFTING, [], [event(registered(DRIFTING))])[0] == "waiting"


def test_what_somebody_asked_for_waits_to_be_decided() -> None:
    request = event(registered(DRIFTING)).action
    assert request is not None
    asked = written(transitions.asked(None, Asked(replace(request, verdict_number=0), "ana", "new prices"), NOON))
    assert reasons(DRIFTING, [asked], [])[0] == "waiting"


def test_of_waiting_events_the_oldest_is_named() -> None:
    first = event(registered(DRIFTING))
    second = drifted(first, registered(DRIFTING))
    assert "verdict 1 " in held_up(registered(DRIFTING), [], [second, first], NOON)[0].detail


def test_a_run_under_way_says_what_it_waits_for() -> None:
    verdict = event(registered(DRIFTING))
    suspended = started(verdict, TriggerOutcome.CREATED, suspended=True)
    [found, *_] = held_up(registered(DRIFTING), suspended, [verdict], NOON)
    assert found.reason == "under_way"
    assert "release" in found.detail
    assert "SUSPENDED since" in found.detail
    quiet = replace(DRIFTING, quiet_hours=QUIET)
    assert reasons(quiet, permitted(verdict), [verdict])[:2] == ["under_way", "quiet_hours"]
    assert reasons(quiet, suspended, [verdict])[:2] == ["under_way", "too_few_drifted"]


def test_a_refusal_is_told_by_its_name_also_when_others_stand_in_the_way_by_now() -> None:
    verdict = event(registered(DRIFTING))
    assert verdict.action is not None
    refusal = Refusal(Check.VETTING, "vetting_expired", "it held until noon: vet the dataset again")
    refused = written(transitions.refused(None, verdict.action, refusal, NOON))
    found = held_up(registered(DRIFTING), [refused], [verdict], NOON)
    assert found[0].reason == "vetting_expired"
    assert verdict.action.name in found[0].detail
    assert "vet the dataset again" in found[0].detail


def test_what_the_target_refused_is_told_in_its_words() -> None:
    verdict = event(registered(DRIFTING))
    rejected = started(verdict, TriggerOutcome.REJECTED, detail="quota is full")
    found = {each.reason: each.detail for each in held_up(registered(DRIFTING), rejected, [verdict], NOON)}
    assert "quota is full" in found["rejected"]


def test_a_run_that_was_only_shown_says_so_and_holds_the_next_one_up() -> None:
    verdict = event(registered(DRIFTING))
    shown = started(verdict, TriggerOutcome.DRY_RUN, detail="kind: Job")
    assert reasons(DRIFTING, shown, [verdict])[:2] == ["cool_down", "dry_run"]
    assert reasons(DRIFTING, shown, [verdict], hours=1)[0] == "dry_run"
    assert reasons(replace(DRIFTING, dry_run=True), [], [])[0] == "dry_run"


def test_a_failure_and_a_days_runs_hold_the_next_up() -> None:
    verdict = event(registered(DRIFTING))
    assert verdict.action is not None
    lines = started(verdict, TriggerOutcome.CREATED)
    seen = RunSeen(verdict.model, verdict.action.name, Progress.FAILED)
    lines.append(written(transitions.ended(lines[-1], seen, NOON, renews=False)))
    plan = replace(DRIFTING, cool_down_seconds=0, at_most_per_day=1)
    assert reasons(plan, lines, [verdict])[0] == "back_off"
    assert reasons(plan, lines, [verdict], hours=2)[0] == "daily_budget"


def test_an_event_is_followed_by_windows_without_one() -> None:
    watched = registered(replace(DRIFTING, cool_down=3))
    made = [event(watched)]
    for _ in range(3):
        made.append(drifted(made[-1], watched))
    silent = ["silent" in reasons(watched.plan.response, [], made[number::-1]) for number in range(4)]
    assert silent == [True, True, True, False]


def test_a_window_that_drifts_next_is_all_that_is_missing() -> None:
    watched = registered(replace(DRIFTING, cool_down=1))
    first = event(watched)
    second = drifted(first, watched)
    assert second.action is None
    decided = started(first, TriggerOutcome.CREATED)
    assert first.action is not None
    seen = RunSeen(first.model, first.action.name, Progress.SUCCEEDED)
    decided.append(written(transitions.ended(decided[-1], seen, NOON, renews=False)))
    assert reasons(watched.plan.response, decided, [second, first], hours=2) == []


@pytest.mark.parametrize("reason", sorted(set(re.findall(r'HeldUp\(\s*"(\w+)"', Path(source.__file__).read_text()))))
def test_every_reason_is_on_the_page(reason: str) -> None:
    section = PAGE.read_text().split("## Why was no run started?")[1].split("\n## ")[0]
    assert f"`{reason}`" in section


def test_the_most_immediate_stands_first() -> None:
    section = PAGE.read_text().split("## Why was no run started?")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)`", section, re.MULTILINE)
    order = {reason: place for place, reason in enumerate(rows)}
    verdict = event(registered(DRIFTING))
    plan = replace(DRIFTING, retrain=False, cool_down=3, quiet_hours=QUIET)
    found = reasons(
        plan, started(verdict, TriggerOutcome.DRY_RUN), [drifted(drifted(verdict, registered(plan)), registered(plan))]
    )
    assert all(order[first] < order[second] for first, second in pairwise(found)), found
