"""What people ask and say of retraining over HTTP: it is on record with their names, and it is shown and handed out.

Runs are started by nobody here: these tests write down what a process that does would.
"""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.adapters.artifacts.elliptic_keys import EllipticKey, signature_holds
from service.adapters.log import RedisRetrainingRecord
from service.adapters.store import Keys
from service.app import Role
from service.domain.integrity.envelope import parse_bundle
from service.domain.integrity.trust import Trust, TrustedKey
from service.domain.models import ModelName, TriggerOutcome, TriggerReceipt
from service.domain.retraining import transitions
from service.domain.retraining.gate import Evidence
from service.domain.retraining.record import Entry, Line
from service.domain.retraining.run import Order, Progress, RunSeen
from service.settings import AuthenticationSettings, StoreSettings, TriggerSettings
from service.usecases.sign_events import SignEvents
from service.usecases.verify_record import VerifiedRecord, signed_by, verify_record
from tests.integration.service.conftest import Application, application
from tests.processes.callers import Callers, write_callers
from tests.processes.traffic import SMALL_PLAN
from tests.processes.waiting import eventually_async

pytestmark = pytest.mark.anyio
FRAUD = ModelName("fraud")
RETRAININGS = "/v1/models/fraud/retrainings"
KEY = EllipticKey.new("P-256")
TRUST = Trust((TrustedKey("service", KEY.public_key, KEY.fingerprint),))
EVIDENCE = Evidence("sha256:" + "1" * 64, ("train@sha256:" + "2" * 64,), "sha256:" + "3" * 64, 7, "4" * 64)
MADE = "sha256:" + "5" * 64


@dataclass(frozen=True, slots=True)
class Service:
    """The application, somebody who may do everything with the model `fraud`, and the record behind it."""

    running: Application
    callers: Callers
    record: RedisRetrainingRecord

    async def post(self, path: str, body: Any = None, caller: str = "owner") -> httpx.Response:
        return await self.running.client.post(f"{RETRAININGS}{path}", json=body, headers=self.callers.as_caller(caller))

    async def get(self, path: str = "", **parameters: Any) -> Any:
        headers = self.callers.as_caller("owner")
        answer = await self.running.client.get(f"{RETRAININGS}{path}", params=parameters, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def newest(self) -> Line:
        line = await self.record.newest(FRAUD)
        assert line is not None
        return line

    async def add(self, entry: Entry) -> Line:
        assert await self.record.append(entry)
        return await self.newest()

    async def asked(self, reason: str = "new prices") -> str:
        answer = await self.post("", {"reason": reason})
        assert answer.status_code == 202, answer.text
        run: str = answer.json()["run"]
        return run

    async def permitted(self, *, suspended: bool = False) -> str:
        """A run that the gate has let pass, and that the target has."""
        run = await self.asked()
        newest = await self.newest()
        asked = newest.entry.state.asked
        assert asked is not None
        await self.add(transitions.permitted(newest, asked.request, EVIDENCE, now(), suspended=suspended))
        receipt = TriggerReceipt(TriggerOutcome.CREATED, run, "training", "Job", "", "u-1", "17", "sha256:" + "6" * 64)
        await self.add(transitions.started(await self.newest(), receipt, now()))
        return run

    async def ended(self, *, renews: bool = False) -> str:
        run = await self.permitted()
        seen = RunSeen(FRAUD, run, Progress.SUCCEEDED)
        await self.add(transitions.ended(await self.newest(), seen, now(), renews=renews))
        return run


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
async def service(shared_store: str, tmp_path: Path) -> AsyncIterator[Service]:
    KEY.write(tmp_path / "service.pem", None)
    callers = write_callers(tmp_path / "callers")
    async with application(
        StoreSettings(url=shared_store, prefix=secrets.token_hex(8)),
        Role(evaluates=False),
        authentication=AuthenticationSettings(callers_file=callers.file),
        trigger=TriggerSettings(signing_key_file=tmp_path / "service.pem"),
    ) as running:
        running.client.headers.update(callers.as_caller("owner"))
        await running.register("fraud")
        del running.client.headers["Authorization"]
        yield Service(running, callers, RedisRetrainingRecord(running.redis, Keys(running.prefix), 1000))


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].removeprefix("urn:driftwarden:problem:")


async def test_a_run_that_is_asked_for_is_on_record_with_who_asked_and_why(service: Service) -> None:
    answer = await service.post("", {"reason": "new prices"})
    assert answer.status_code == 202
    run = answer.json()["run"]
    assert answer.headers["location"] == f"{RETRAININGS}/{run}"
    shown = await service.get()
    assert shown["asked"] == {"run": run, "by": "owner", "reason": "new prices"}
    (entry,) = (await service.get(f"/{run}"))["entries"]
    assert (entry["step"], entry["by"], entry["reason"]) == ("ASKED", "owner", "new prices")


async def test_why_no_run_is_started_is_said_in_the_first_member(service: Service) -> None:
    assert [each["reason"] for each in (await service.get())["held_up"]] == ["no_verdict"]
    await service.asked()
    shown = await service.get(limit=1)
    assert list(shown)[:2] == ["model", "held_up"]
    assert [each["reason"] for each in shown["held_up"]] == ["waiting", "no_verdict"]


async def test_a_run_that_waits_for_somebody_is_what_holds_the_next_one_up(service: Service) -> None:
    run = await service.permitted(suspended=True)
    first = (await service.get())["held_up"][0]
    assert first["reason"] == "under_way"
    assert run in first["detail"]
    assert "release" in first["detail"]


async def test_of_a_model_that_was_deleted_nothing_is_held_up(service: Service) -> None:
    await service.permitted()
    headers = service.callers.as_caller("owner")
    assert (await service.running.client.delete("/v1/models/fraud", headers=headers)).status_code == 204
    assert (await service.get())["held_up"] == []


async def test_what_is_asked_for_is_signed_and_carries_nothing_of_the_reason(service: Service) -> None:
    await service.asked("run this: $(curl evil)")
    asked = (await service.newest()).entry.state.asked
    assert asked is not None
    assert SignEvents(KEY, signature_holds).is_ours(asked.request)
    assert "evil" not in repr(Order(asked.request, EVIDENCE))  # all that a trigger is told


async def test_one_at_a_time_is_asked_for(service: Service) -> None:
    run = await service.asked()
    again = await service.post("", {"reason": "twice"})
    assert problem(again) == (409, "wrong-moment")
    assert run in again.json()["detail"]


async def test_of_many_who_ask_at_once_one_is_taken(service: Service) -> None:
    answers = await asyncio.gather(*(service.post("", {"reason": f"of {caller}"}) for caller in range(8)))
    assert sorted(answer.status_code for answer in answers) == [202] + [409] * 7
    assert [entry["step"] for entry in (await service.get())["entries"]] == ["ASKED"]


async def test_what_comes_too_soon_is_refused_at_once_and_on_record(service: Service) -> None:
    run = await service.permitted()
    answer = await service.post("", {"reason": "sooner"})
    assert problem(answer) == (409, "retraining-refused")
    assert (answer.json()["check"], answer.json()["reason"]) == ("pace", "under_way")
    asked, refused = reversed((await service.get(limit=2))["entries"])
    assert (asked["step"], refused["step"], refused["by"]) == ("ASKED", "REFUSED", "owner")
    assert refused["refusal"]["reason"] == "under_way"
    assert (await service.get())["underway"]["run"] == run


async def test_a_dry_run_says_what_the_gate_says_and_writes_nothing(service: Service) -> None:
    foreseen = await service.post("", {"reason": "may I", "dry_run": True})
    assert foreseen.status_code == 200
    assert foreseen.json() == {"run": None, "permitted": None, "refusal": None, "evidence": None}
    assert await service.record.newest(FRAUD) is None
    await service.permitted()
    before = await service.newest()
    foreseen = await service.post("", {"reason": "may I", "dry_run": True})
    assert (foreseen.json()["permitted"], foreseen.json()["refusal"]["reason"]) == (False, "under_way")
    assert await service.newest() == before


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({}, "reason"),
        ({"reason": ""}, "reason"),
        ({"reason": "x" * 501}, "reason"),
        ({"reason": 1}, "reason"),
        ({"reason": "why", "image": "evil:latest"}, "image"),
        ({"reason": "why", "command": ["sh"]}, "command"),
        ({"reason": "why", "serviceAccountName": "admin"}, "serviceAccountName"),
        ({"reason": "why", "namespace": "kube-system"}, "namespace"),
        ({"reason": "why", "env": [{"name": "LD_PRELOAD", "value": "x"}]}, "env"),
        ({"reason": "why", "labels": {"a": "b"}}, "labels"),
    ],
)
async def test_54_nobody_who_asks_says_what_is_run(service: Service, body: dict[str, Any], place: str) -> None:
    answer = await service.post("", body)
    assert problem(answer) == (422, "invalid-retraining")
    assert [fault["place"] for fault in answer.json()["errors"]] == [place]
    assert "evil" not in answer.text
    assert await service.record.newest(FRAUD) is None


async def test_a_reason_that_is_no_text_or_too_much_is_refused_before_it_is_read(service: Service) -> None:
    headers = service.callers.as_caller("owner") | {"Content-Type": "application/json"}
    half = await service.running.client.post(RETRAININGS, content=rb'{"reason": "\ud800"}', headers=headers)
    assert half.status_code == 400
    large = await service.running.client.post(RETRAININGS, content=b" " * 20_000, headers=headers)
    assert problem(large) == (413, "content-too-large")


@pytest.mark.parametrize("path", ["", "/run/release", "/run/over", "/run/model", "/run/served", "/run/keep-reference"])
async def test_who_may_only_read_steers_nothing(service: Service, path: str) -> None:
    answer = await service.post(path, {"reason": "why"}, caller="dashboard")
    assert problem(answer) == (403, "not-allowed")


async def test_a_model_that_nobody_knows_has_no_record(service: Service) -> None:
    client, administrator = service.running.client, service.callers.as_caller("administrator")
    for path in ("", "/record", "/retrain-x"):
        answer = await client.get(f"/v1/models/nobody/retrainings{path}", headers=administrator)
        assert problem(answer) == (404, "unknown-model")
    answer = await client.post("/v1/models/nobody/retrainings", json={"reason": "x"}, headers=administrator)
    assert problem(answer) == (404, "unknown-model")


async def test_entries_are_paged_newest_first_without_gaps(service: Service) -> None:
    await service.ended()
    steps, before = [], None
    while True:
        page = await service.get(limit=3, **({} if before is None else {"before": before}))
        steps += [(entry["number"], entry["step"]) for entry in page["entries"]]
        before = page["before"]
        if before is None:
            break
    assert steps == [(4, "ENDED"), (3, "STARTED"), (2, "PERMITTED"), (1, "ASKED")]


async def test_one_run_is_shown_from_what_it_goes_back_to(service: Service) -> None:
    run = await service.ended()
    shown = await service.get(f"/{run}")
    assert [entry["step"] for entry in shown["entries"]] == ["ASKED", "PERMITTED", "STARTED", "ENDED"]
    permitted, started = shown["entries"][1:3]
    assert permitted["evidence"]["dataset_digest"] == EVIDENCE.dataset_digest
    assert (started["receipt"]["uid"], started["phase"]) == ("u-1", "RUNNING")
    unknown = await service.running.client.get(
        f"{RETRAININGS}/retrain-fraud-9-x", headers=service.callers.as_caller("owner")
    )
    assert problem(unknown) == (404, "unknown-run")


async def test_which_model_a_run_made_is_told_once(service: Service) -> None:
    run = await service.ended()
    for _ in range(2):
        assert (await service.post(f"/{run}/model", {"payload_digest": MADE})).status_code == 204
    other = await service.post(f"/{run}/model", {"payload_digest": "sha256:" + "7" * 64})
    assert problem(other) == (409, "wrong-moment")
    told = [entry for entry in (await service.get(f"/{run}"))["entries"] if entry["step"] == "TOLD"]
    assert [(entry["by"], entry["model_digest"]) for entry in told] == [("owner", MADE)]
    assert (await service.post(f"/{run}/model", {"payload_digest": "sha256:abc"})).status_code == 422


async def test_a_run_that_was_not_started_has_made_no_model(service: Service) -> None:
    run = await service.asked()
    assert problem(await service.post(f"/{run}/model", {"payload_digest": MADE})) == (409, "wrong-moment")
    assert problem(await service.post("/unheard-of/model", {"payload_digest": MADE})) == (404, "unknown-run")


async def test_a_model_in_use_is_told_and_its_traffic_begins_behind_what_is_in_the_log(service: Service) -> None:
    run = await service.ended(renews=True)
    ingested = await service.running.client.post(
        "/v1/models/fraud/observations", json={"rows": [[1.0, 2.0, 3.0]]}, headers=service.callers.as_caller("pods")
    )
    assert ingested.status_code == 200, ingested.text
    assert (await service.post(f"/{run}/served")).status_code == 204
    underway = (await service.newest()).entry.state.underway
    assert underway is not None
    assert underway.served_from == ingested.json()["position"]
    assert (await service.get())["entries"][0]["by"] == "owner"
    assert problem(await service.post(f"/{run}/served")) == (409, "wrong-moment")


async def test_a_model_that_is_not_wanted_leaves_the_reference_and_the_way_free(service: Service) -> None:
    run = await service.ended(renews=True)
    assert (await service.post(f"/{run}/keep-reference", {"reason": "no better"})).status_code == 204
    shown = await service.get()
    assert shown["underway"] is None
    assert (shown["entries"][0]["step"], shown["entries"][0]["reason"]) == ("NOT_RENEWED", "no better")


async def test_a_process_that_starts_no_runs_releases_none(service: Service) -> None:
    run = await service.permitted(suspended=True)
    assert problem(await service.post(f"/{run}/release")) == (502, "target-rejected")
    assert (await service.get())["underway"]["phase"] == "SUSPENDED"
    assert problem(await service.post("/unheard-of/release")) == (404, "unknown-run")


async def test_a_run_that_nobody_can_see_is_said_to_be_over_by_somebody(service: Service) -> None:
    """As where runs are only shown by now: nobody else would ever end it."""
    run = await service.permitted()
    assert (await service.post(f"/{run}/over", {"reason": "that cluster is gone"})).status_code == 204
    shown = await service.get()
    assert shown["underway"] is None
    entry = shown["entries"][0]
    said = (entry["step"], entry["progress"], entry["by"], entry["reason"])
    assert said == ("ENDED", "GONE", "owner", "that cluster is gone")
    assert (await service.newest()).entry.state.failures == 1
    assert problem(await service.post(f"/{run}/over", {"reason": "again"})) == (404, "unknown-run")


async def handed_out(service: Service) -> VerifiedRecord:
    answer = await service.running.client.get(f"{RETRAININGS}/record", headers=service.callers.as_caller("owner"))
    assert answer.headers["content-type"] == "application/jsonl"
    return verify_record(answer.content, TRUST, now(), signature_holds)


async def test_the_record_is_handed_out_as_it_was_written_with_a_signed_head(service: Service) -> None:
    assert (await handed_out(service)).lines == []
    await service.ended()
    found = await handed_out(service)
    assert found.lines == list(await service.record.page(FRAUD, 0, 100))
    assert (found.head.model, found.head.first, found.head.newest) == ("fraud", 1, 4)


async def test_a_record_of_several_pages_is_handed_out_whole(service: Service) -> None:
    for _ in range(125):
        newest = await service.record.newest(FRAUD)
        if newest is None:
            await service.asked()
        else:
            await service.add(transitions.told(newest, FRAUD, "retrain-x", MADE, now(), "trainer"))
    assert (await handed_out(service)).head.newest == 125


async def test_provenance_is_of_the_told_model_and_signed(service: Service) -> None:
    run = await service.ended()
    await service.post(f"/{run}/model", {"payload_digest": MADE})
    answer = await service.running.client.get(
        f"{RETRAININGS}/{run}/provenance", headers=service.callers.as_caller("owner")
    )
    bundle = parse_bundle(answer.content)
    signed_by(bundle, TRUST, now(), signature_holds)
    statement = json.loads(bundle.payload)
    assert statement["subject"] == [{"name": "fraud", "digest": {"sha256": "5" * 64}}]
    assert statement["predicate"]["runDetails"]["builder"]["id"] == f"urn:driftwarden:service:{KEY.fingerprint}"


async def test_the_record_outlives_its_model_and_says_who_deleted_it(service: Service) -> None:
    run = await service.ended()
    headers = service.callers.as_caller("owner")
    assert (await service.running.client.delete("/v1/models/fraud", headers=headers)).status_code == 204
    newest, *_ = (await service.get())["entries"]
    assert (newest["step"], newest["by"]) == ("FORGOTTEN", "owner")
    assert [entry["step"] for entry in (await service.get(f"/{run}"))["entries"]][-1] == "ENDED"
    assert (await handed_out(service)).head.newest == 5


async def test_without_a_key_nothing_is_vouched_for(running_app: Application) -> None:
    await running_app.register()
    record = await running_app.client.get("/v1/models/churn/retrainings/record")
    assert (record.status_code, record.content) == (200, b"")
    answer = await running_app.client.get("/v1/models/churn/retrainings/retrain-x/provenance")
    assert problem(answer) == (404, "no-signing-key")


async def test_where_callers_are_not_known_that_is_on_record(running_app: Application) -> None:
    await running_app.register()
    answer = await running_app.client.post("/v1/models/churn/retrainings", json={"reason": "x"})
    assert answer.status_code == 202, answer.text
    shown = await running_app.client.get(answer.headers["location"])
    assert shown.json()["entries"][0]["by"] == "(not authenticated)"


async def test_a_plan_that_follows_drift_with_nothing_does_not_bind_those_who_ask(running_app: Application) -> None:
    await running_app.register(plan={**SMALL_PLAN, "response": {"retrain": False}})
    answer = await running_app.client.post("/v1/models/churn/retrainings", json={"reason": "all the same"})
    where = answer.headers["location"]

    async def decided() -> Any:
        entries = (await running_app.client.get(where)).json()["entries"]
        return entries[1:2]

    (entry,) = await eventually_async(decided, "it is decided")
    assert entry["step"] == "PERMITTED"


async def test_a_process_that_starts_runs_says_in_a_dry_run_what_a_permission_would_rest_on(
    running_app: Application,
) -> None:
    await running_app.register()
    answer = await running_app.client.post("/v1/models/churn/retrainings", json={"reason": "may I", "dry_run": True})
    foreseen = answer.json()
    assert (foreseen["permitted"], foreseen["refusal"]) == (True, None)
    assert foreseen["evidence"]["template_digest"].startswith("sha256:")
    assert (await running_app.client.get("/v1/models/churn/retrainings")).json()["entries"] == []
