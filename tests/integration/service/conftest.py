"""The application in this process, on a real store."""

import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from service.adapters.embedded_store import _socket_path, embedded_store
from service.adapters.store import Client, connection
from service.app import Role, running
from service.settings import EvaluationSettings, HttpSettings, Settings, StoreSettings
from tests.processes.services import PATIENT_SECONDS
from tests.processes.traffic import SMALL_PLAN, reference
from tests.processes.waiting import eventually_async

MAX_BODY_BYTES = 64 * 1024
MAX_REFERENCE_BYTES = 512 * 1024
EVERYTHING = Role()


@dataclass(frozen=True, slots=True)
class Application:
    """What a test asks, and the store behind it."""

    client: httpx.AsyncClient
    redis: Client
    app: FastAPI
    prefix: str
    """First part of every key of this application."""

    async def register(self, model: str = "churn", plan: dict[str, Any] | None = None) -> None:
        """Put a model under watch; asked again, as the answer says, where a store with little time was too busy."""
        for path, body in (("reference", reference()), ("plan", plan or SMALL_PLAN)):

            async def registered(path: str = path, body: dict[str, Any] = body) -> bool:
                answer = await self.client.put(f"/v1/models/{model}/{path}", json=body)
                assert answer.status_code in {200, 503}, answer.text
                return answer.status_code == 200

            await eventually_async(registered, f"the {path} of {model} is registered")

    async def observe(self, body: dict[str, Any], model: str = "churn", key: str | None = None) -> httpx.Response:
        headers = {} if key is None else {"Idempotency-Key": key}
        return await self.client.post(f"/v1/models/{model}/observations", json=body, headers=headers)

    async def verdicts(self, model: str = "churn") -> list[dict[str, Any]]:
        """Oldest first."""
        answer = await self.client.get(f"/v1/models/{model}/verdicts")
        assert answer.status_code == 200, answer.text
        return list(reversed(answer.json()["verdicts"]))

    def key(self, model: str, kind: str) -> str:
        return f"{self.prefix}:{{{model}}}:{kind}"

    async def stored_batches(self, model: str = "churn") -> int:
        return int(await self.redis.xlen(f"{self.prefix}:{{{model}}}:observations"))


@asynccontextmanager
async def application(store: StoreSettings, role: Role = EVERYTHING, **groups: Any) -> AsyncIterator[Application]:
    """Run it with quick rounds and small limits."""
    defaults: dict[str, Any] = {
        "http": HttpSettings(max_body_bytes=MAX_BODY_BYTES, max_reference_bytes=MAX_REFERENCE_BYTES),
        "evaluation": EvaluationSettings(poll_seconds=0.05),
    }
    if "timeout_seconds" not in store.model_fields_set:
        store = store.model_copy(update={"timeout_seconds": PATIENT_SECONDS})
    async with running(Settings(store=store, **{**defaults, **groups}), role) as app:
        url = store.url or f"unix://{_socket_path(store.embedded_directory.resolve())}"
        async with (
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://driftwarden", timeout=30) as client,
            connection(url, 10) as redis,
        ):
            yield Application(client, redis, app, store.prefix)


@pytest.fixture(scope="session")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One server for all applications, each with a prefix of its own."""
    with embedded_store(tmp_path_factory.mktemp("store")) as url:
        yield url


@pytest.fixture
async def running_app(shared_store: str) -> AsyncIterator[Application]:
    async with application(StoreSettings(url=shared_store, prefix=secrets.token_hex(8))) as running_application:
        yield running_application


@pytest.fixture
async def watched(running_app: Application) -> Application:
    """Run it with the model `churn` under watch."""
    await running_app.register()
    return running_app
