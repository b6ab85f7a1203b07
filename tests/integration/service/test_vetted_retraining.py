"""A service that starts runs trains on nothing that is not vetted, and says so on record."""

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from service.settings import StoreSettings, TriggerSettings
from tests.integration.service.conftest import Application, application
from tests.processes.vetted import IMAGE, Vetted
from tests.processes.waiting import eventually_async

pytestmark = pytest.mark.anyio

PATH = "/v1/models/churn/retrainings"
AT_ONCE = {"response": {"cool_down_seconds": 0, "at_most_per_day": 100, "back_off_seconds": 0}}


@dataclass(frozen=True, slots=True)
class Enforced:
    """The application with the model `churn`, for whose runs everything is as it should be."""

    running: Application
    vetted: Vetted

    async def asked(self) -> str:
        answer = await self.running.client.post(PATH, json={"reason": "new prices"})
        assert answer.status_code == 202, answer.text
        run: str = answer.json()["run"]
        return run

    async def steps(self, run: str) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = (await self.running.client.get(f"{PATH}/{run}")).json()["entries"]
        return entries

    async def decided(self, run: str) -> dict[str, Any]:
        async def entry() -> dict[str, Any] | None:
            return next((step for step in await self.steps(run) if step["step"] in {"REFUSED", "PERMITTED"}), None)

        found = await eventually_async(entry, f"{run} is decided")
        assert found is not None
        return found

    async def started(self, run: str) -> dict[str, Any]:
        async def entry() -> dict[str, Any] | None:
            return next((step for step in await self.steps(run) if step["step"] == "STARTED"), None)

        found = await eventually_async(entry, f"{run} is started")
        assert found is not None
        return found

    async def refusal(self) -> tuple[str, str]:
        entry = await self.decided(await self.asked())
        assert entry["step"] == "REFUSED"
        return entry["refusal"]["check"], entry["refusal"]["reason"]


@pytest.fixture
async def enforced(shared_store: str, tmp_path: Path) -> AsyncIterator[Enforced]:
    vetted = Vetted(tmp_path)
    trigger = TriggerSettings(
        retrainings=vetted.file, vetting="enforce", first_retry_seconds=0.05, longest_retry_seconds=0.1
    )
    store = StoreSettings(url=shared_store, prefix=secrets.token_hex(8))
    async with application(store, trigger=trigger) as running:
        await running.register("churn", AT_ONCE)
        yield Enforced(running, vetted)


async def test_what_a_permission_rests_on_is_on_record_and_told_to_the_run(enforced: Enforced) -> None:
    run = await enforced.asked()
    evidence = (await enforced.decided(run))["evidence"]
    assert evidence["dataset_digest"] == enforced.vetted.digest
    assert (evidence["dataset_version"], evidence["approver"]) == (3, enforced.vetted.approver.fingerprint)
    assert (evidence["images"], evidence["advisories"]) == ([IMAGE], [])
    assert enforced.vetted.digest in (await enforced.started(run))["receipt"]["detail"]


async def test_a_refusal_is_on_record_and_what_is_mended_is_permitted(enforced: Enforced) -> None:
    enforced.vetted.vet(expires=-timedelta(seconds=1))
    assert await enforced.refusal() == ("vetting", "vetting_expired")
    enforced.vetted.vet()
    await enforced.started(await enforced.asked())


async def test_there_is_no_way_back_to_a_dataset_before_the_one_that_was_trained_on(enforced: Enforced) -> None:
    vetted, older = enforced.vetted, {}
    for name in ("fraud.sig", "fraud.vetting"):
        older[name] = (vetted.folder / name).read_bytes()
    vetted.sign_dataset(version=4)
    vetted.vet()
    await enforced.started(await enforced.asked())
    for name, text in older.items():
        (vetted.folder / name).write_bytes(text)
    assert await enforced.refusal() == ("dataset_version", "dataset_older")
    vetted.sign_dataset(version=5)
    vetted.vet()
    await enforced.started(await enforced.asked())


async def test_a_volume_that_is_away_is_waited_for(enforced: Enforced) -> None:
    away = enforced.vetted.dataset.rename(enforced.vetted.folder / "away")
    run = await enforced.asked()

    async def is_waited_for() -> bool:
        metrics = (await enforced.running.client.get("/metrics")).text
        return any(
            line.startswith("driftwarden_delivery_failures_total") and not line.endswith(" 0.0")
            for line in metrics.splitlines()
        )

    await eventually_async(is_waited_for, "it was tried in vain")
    assert [step["step"] for step in await enforced.steps(run)] == ["ASKED"]
    away.rename(enforced.vetted.dataset)
    await enforced.started(run)
