"""What a verdict sets off carries the service's signature, if it has a key to sign with."""

import hashlib
import secrets
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from service.adapters.artifacts.elliptic_keys import EllipticKey, signature_holds
from service.adapters.log import RedisRetrainingRecord, RedisVerdictLog
from service.adapters.reference_store import RedisRegistrations
from service.adapters.store import Keys
from service.adapters.trigger.template import SHIPPED_TEMPLATE
from service.domain.errors import InvalidConfiguration
from service.domain.models import ModelName, RetrainRequest
from service.domain.retraining.by_hand import request_by_hand
from service.domain.retraining.gate import Evidence
from service.domain.retraining.record import Asked, Entry, Phase, RetrainingState, Step, Underway
from service.domain.retraining.transitions import asked
from service.settings import StoreSettings, TriggerSettings
from service.usecases.sign_events import SignEvents
from service.usecases.sign_permissions import SignPermissions
from tests.integration.service.conftest import Application, application
from tests.processes.traffic import payload, rows
from tests.processes.waiting import eventually_async

pytestmark = pytest.mark.anyio


async def set_off(application: Application) -> RetrainRequest:
    """What the first drift sets off."""
    await application.register()
    await application.observe(payload(rows(2, 50, shift=10.0)))
    verdicts = RedisVerdictLog(application.redis, Keys(application.prefix), 100)

    async def action() -> RetrainRequest | None:
        newest = await verdicts.newest(ModelName("churn"))
        return None if newest is None else newest.action

    found = await eventually_async(action, "a verdict sets something off")
    assert found is not None
    return found


async def test_what_a_verdict_sets_off_is_signed_with_the_services_key(shared_store: str, tmp_path: Path) -> None:
    key = EllipticKey.new("P-256")
    key.write(tmp_path / "service.pem", None)
    trigger = TriggerSettings(signing_key_file=tmp_path / "service.pem")
    async with application(StoreSettings(url=shared_store, prefix=secrets.token_hex(8)), trigger=trigger) as running:
        request = await set_off(running)
    assert SignEvents(key, signature_holds).is_ours(request)
    assert not SignEvents(EllipticKey.new("P-256"), signature_holds).is_ours(request)


async def decided(application: Application, run: str) -> dict[str, Any]:
    """The entry that says what became of a run that was asked for."""

    async def entry() -> dict[str, Any] | None:
        found = (await application.client.get(f"/v1/models/churn/retrainings/{run}")).json()["entries"]
        return next((each for each in found if each["step"] in {"PERMITTED", "REFUSED"}), None)

    found = await eventually_async(entry, "it is decided")
    assert found is not None
    return found


@pytest.mark.parametrize("by", ["another key", "nobody", "the service, for something else"])
async def test_what_somebody_wrote_into_the_store_past_the_service_starts_nothing(
    shared_store: str, tmp_path: Path, by: str
) -> None:
    key = EllipticKey.new("P-256")
    key.write(tmp_path / "service.pem", None)
    trigger = TriggerSettings(signing_key_file=tmp_path / "service.pem")
    async with application(StoreSettings(url=shared_store, prefix=secrets.token_hex(8)), trigger=trigger) as running:
        await running.register()
        keys = Keys(running.prefix)
        registration = await RedisRegistrations(running.redis, keys).newest(ModelName("churn"))
        assert registration is not None
        forged = request_by_hand(registration, None, datetime.now(UTC), None)
        if by == "another key":
            forged = SignEvents(EllipticKey.new("P-256"), signature_holds)(forged)
        elif by != "nobody":
            other = SignEvents(key, signature_holds)(replace(forged, traceparent="00-0-0-00"))
            forged = replace(forged, signature=other.signature)
        record = RedisRetrainingRecord(running.redis, keys, 100)
        assert await record.append(asked(None, Asked(forged, "owner", "trust me"), datetime.now(UTC)))
        refused = await decided(running, forged.name)
        genuine = await running.client.post("/v1/models/churn/retrainings", json={"reason": "really"})
        permitted = await decided(running, genuine.json()["run"])
    assert (refused["step"], refused["refusal"]["reason"]) == ("REFUSED", "event_not_ours")
    assert permitted["step"] == "PERMITTED"


@pytest.mark.parametrize("change", ["nothing", "dataset", "signature"])
async def test_a_permission_that_somebody_wrote_into_the_store_starts_nothing(
    shared_store: str, tmp_path: Path, change: str
) -> None:
    key = EllipticKey.new("P-256")
    key.write(tmp_path / "service.pem", None)
    trigger = TriggerSettings(signing_key_file=tmp_path / "service.pem")
    async with application(StoreSettings(url=shared_store, prefix=secrets.token_hex(8)), trigger=trigger) as running:
        await running.register()
        keys, now = Keys(running.prefix), datetime.now(UTC)
        registration = await RedisRegistrations(running.redis, keys).newest(ModelName("churn"))
        assert registration is not None
        request = SignEvents(key, signature_holds)(request_by_hand(registration, None, now, None))
        evidence = Evidence("sha256:" + hashlib.sha256(SHIPPED_TEMPLATE.read_bytes()).hexdigest())
        state = RetrainingState(underway=Underway(request, evidence, Phase.PERMITTED, now))
        permission = Entry(1, ModelName("churn"), now, Step.PERMITTED, request.name, "", state)
        written = SignPermissions(key, signature_holds)(permission)
        if change == "dataset":
            written = _changed(written, evidence=replace(evidence, dataset_digest="sha256:" + "e" * 64))
        elif change == "signature":
            written = _changed(written, signature=None)
        assert await RedisRetrainingRecord(running.redis, keys, 100).append(written)

        async def end() -> dict[str, Any] | None:
            found = (await running.client.get(f"/v1/models/churn/retrainings/{request.name}")).json()["entries"]
            return next((each for each in found if each["step"] in {"STARTED", "REJECTED"}), None)

        ended = await eventually_async(end, "it has come to something")
    assert ended is not None
    assert ended["step"] == ("STARTED" if change == "nothing" else "REJECTED")
    assert ("has not signed this permission" in ended["receipt"]["detail"]) == (change != "nothing")


def _changed(entry: Entry, **change: Any) -> Entry:
    """Of the run that it permits."""
    assert entry.state.underway is not None
    return replace(entry, state=replace(entry.state, underway=replace(entry.state.underway, **change)))


async def test_without_a_key_nothing_is_signed(running_app: Application) -> None:
    assert (await set_off(running_app)).signature is None


@pytest.mark.parametrize("passphrase", [None, b"secret"])
async def test_a_key_that_cannot_be_used_is_refused_at_the_start(tmp_path: Path, passphrase: bytes | None) -> None:
    if passphrase is not None:
        EllipticKey.new("P-256").write(tmp_path / "service.pem", passphrase)
    trigger = TriggerSettings(signing_key_file=tmp_path / "service.pem")
    with pytest.raises(InvalidConfiguration, match="DRIFT_TRIGGER__SIGNING_KEY_FILE"):
        async with application(StoreSettings(embedded_directory=tmp_path), trigger=trigger):
            pass
