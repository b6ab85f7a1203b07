"""What a verdict sets off carries the service's signature, if it has a key to sign with."""

import secrets
from pathlib import Path

import pytest

from service.adapters.artifacts.elliptic_keys import EllipticKey, signature_holds
from service.adapters.log import RedisVerdictLog
from service.adapters.store import Keys
from service.domain.errors import InvalidConfiguration
from service.domain.models import ModelName, RetrainRequest
from service.settings import StoreSettings, TriggerSettings
from service.usecases.sign_events import SignEvents
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
