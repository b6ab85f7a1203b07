"""Redis as people run it: a master is lost and the service goes on, by itself; what is promised then, and what not."""

import asyncio
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import httpx
import pytest

from service.adapters.store import Keys
from service.adapters.store_permissions import access_rules
from service.settings import StoreSettings
from tests.integration.service.conftest import Application, application
from tests.processes.store_groups import Cluster, OneServer, SentinelGroup, with_user
from tests.processes.stores import StoreServer, valkey_binary
from tests.processes.traffic import payload, rows
from tests.processes.waiting import eventually_async

pytestmark = pytest.mark.anyio

PREFIX = "shared"
KEYS = Keys(PREFIX)
MODELS = ("churn", "fraud", "price", "returns", "claims")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    yield from started(Cluster(valkey_binary(), tmp_path))


@pytest.fixture
def sentinels(tmp_path: Path) -> Iterator[SentinelGroup]:
    yield from started(SentinelGroup(valkey_binary(), tmp_path))


def started(group: OneServer) -> Iterator[OneServer]:
    try:
        group.start()
        for server in group.servers:
            admit(server)
        yield group
    finally:
        group.kill()


def admit(server: StoreServer) -> None:
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "watch", "on", ">pass", *access_rules(PREFIX))


def on(group: OneServer) -> AbstractAsyncContextManager[Application]:
    """Run it as a user who may do what the documentation says."""
    return application(StoreSettings(url=with_user(group.url, "watch", "pass"), prefix=PREFIX))


async def judged(app: Application, model: str, count: int) -> list[int]:
    async def enough() -> list[int]:
        answer = await app.client.get(f"/v1/models/{model}/verdicts")
        numbers = [each["number"] for each in answer.json().get("verdicts", [])]
        return numbers if len(numbers) >= count else []

    return await eventually_async(enough, f"{count} verdicts of {model}")


async def taken(app: Application, model: str, key: str) -> httpx.Response:
    """Try until the batch is acknowledged, as a sender does; every refusal says when to come again."""

    async def sent() -> httpx.Response | None:
        answer = await app.observe(payload(rows(len(key), 50)), model, key)
        if answer.status_code != 200:
            assert answer.status_code == 503, answer.text
            assert int(answer.headers["retry-after"]) > 0
            return None
        return answer

    return await eventually_async(sent, f"a batch of {model} is acknowledged")  # type: ignore[return-value]


def refused_commands(group: OneServer) -> list[object]:
    found: list[object] = []
    for server in group.servers:
        with server.client() as client:
            found += client.execute_command("ACL", "LOG")
    return found


async def test_the_way_through_on_a_cluster_touches_every_master(cluster: Cluster) -> None:
    async with on(cluster) as app:
        for model in MODELS:
            await app.register(model)
            await taken(app, model, "1")
        for model in MODELS:
            assert await judged(app, model, 1) == [1]
        assert (await app.client.get("/readyz")).status_code == 200
    holders = {cluster.master_of(f"{PREFIX}:{{{model}}}:observations").port for model in MODELS}
    assert len(holders) == 3
    assert refused_commands(cluster) == []


async def test_a_model_on_another_master_goes_on_while_one_is_down(cluster: Cluster) -> None:
    async with on(cluster) as app:
        for model in MODELS:
            await app.register(model)
        lost = master_without_the_list(cluster)
        touched = [model for model in MODELS if cluster.master_of(f"{PREFIX}:{{{model}}}:verdicts") is lost]
        others = [model for model in MODELS if model not in touched]
        assert touched
        assert others
        lost.kill()
        # Taken in the same turn of the event loop, and so in one pipeline: each node fails for itself.
        together = await asyncio.gather(*(app.observe(payload(rows(1, 20)), model) for model in MODELS))
        answers = {model: answer.status_code for model, answer in zip(MODELS, together, strict=True)}
        assert answers == {model: 503 if model in touched else 200 for model in MODELS}
        for model in others:
            await taken(app, model, "1")
            assert await judged(app, model, 1) == [1]
        answer = await app.observe(payload(rows(1, 50)), touched[0], "1")
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
        lost.start()
        admit(lost)
        await taken(app, touched[0], "1")
        assert await judged(app, touched[0], 1) == [1]
        assert (await app.client.get("/readyz")).status_code == 200


def master_without_the_list(cluster: Cluster) -> StoreServer:
    """One that holds some model, but not the list of models, which all of them need."""
    listed = cluster.master_of(KEYS.models)
    holders = [cluster.master_of(f"{PREFIX}:{{{model}}}:verdicts") for model in MODELS]
    return next(server for server in holders if server is not listed)


async def test_readiness_is_that_of_the_master_that_has_the_list_of_models(cluster: Cluster) -> None:
    async with on(cluster) as app:
        await app.register(MODELS[0])
        listed = cluster.master_of(KEYS.models)
        assert cluster.master_of(KEYS.probe) is listed
        listed.kill()
        refused = await app.client.get("/readyz")
        assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
        listed.start()
        admit(listed)
        await eventually_async(lambda: ready(app), "the service is ready again")


async def test_after_a_fail_over_writes_go_on_and_what_had_been_replicated_is_there(sentinels: SentinelGroup) -> None:
    """Replication is asynchronous: what was acknowledged in the last moment may be lost, so it is waited for here."""
    first, second = sentinels.servers
    async with on(sentinels) as app:
        await app.register()
        await taken(app, "churn", "1")
        assert await judged(app, "churn", 1) == [1]
        with first.client() as master:
            assert master.wait(1, 10_000) == 1
        first.kill()
        await taken(app, "churn", "2")
        assert sentinels.sentinel.master()["port"] == second.port
        assert await judged(app, "churn", 2) == [2, 1]
        await eventually_async(lambda: ready(app), "the service is ready again")
        # The old master comes back as a replica; nobody is led astray by it.
        first.start()
        await taken(app, "churn", "3")
        assert await judged(app, "churn", 3) == [3, 2, 1]


async def ready(app: Application) -> bool:
    return (await app.client.get("/readyz")).status_code == 200
