"""What a sidecar makes of the answers of a central service, right, wrong, or not from one at all."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from service.adapters.central import CentralAddress, HttpCentral, central_service
from service.adapters.reference_store import RedisRegistrations
from service.adapters.store import Keys
from service.app import Role, running
from service.domain.errors import (
    CentralRefused,
    CentralUnavailable,
    InvalidConfiguration,
    ParcelRefused,
    ParcelTooLarge,
    UnknownModel,
)
from service.domain.forwarding import Parcel
from service.domain.models import ModelName
from service.settings import ForwardSettings, Settings, StoreSettings
from service.usecases.fetched_models import FetchedModels
from tests.integration.service.conftest import Application, running_app, shared_store  # noqa: F401 - fixtures
from tests.processes.traffic import reference

pytestmark = pytest.mark.anyio
CHURN = ModelName("churn")
PARCEL = Parcel("name", "summaries", b"body")


@asynccontextmanager
async def answering(answer: bytes | None, requests: list[bytes] | None = None) -> AsyncIterator[str]:
    """A server that says this to everything, or nothing at all, and ends the connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            said = await reader.readuntil(b"\r\n\r\n")
            if requests is not None:
                requests.append(said)
            if answer is None:
                await reader.read()
            else:
                writer.write(answer)
                await writer.drain()
        finally:  # also of one that is given up when the test ends
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def answer(status: str, body: bytes = b"", *headers: str, length: int | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode() + body


def problem(name: str) -> bytes:
    return json.dumps({"type": f"urn:driftwarden:problem:{name}", "title": "t"}).encode()


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (answer("401 Unauthorized", problem("not-authenticated")), CentralRefused),
        (answer("404 Not Found", b"<html>"), CentralRefused),
        (answer("404 Not Found", problem("unknown-model")), UnknownModel),
        (answer("302 Found", b"", "Location: http://127.0.0.1:1/"), CentralRefused),
        (answer("409 Conflict", problem("outdated-summaries")), ParcelRefused),
        (answer("409 Conflict", problem("conflicting-batch")), CentralRefused),
        (answer("413 Content Too Large", problem("content-too-large")), ParcelTooLarge),
        (answer("422 Unprocessable Content", problem("invalid-batch")), ParcelRefused),
        (answer("500 Internal Server Error", b"[" * 100_000), CentralUnavailable),
        (answer("503 Service Unavailable", b"", "Retry-After: 7"), CentralUnavailable),
        (answer("200 OK", b"half", length=100), CentralUnavailable),
        (answer("200 OK", b"x" * (5 * 2**20)), CentralRefused),
        (b"SSH-2.0-OpenSSH_9.2\r\n", CentralUnavailable),
        (b"", CentralUnavailable),
        (None, CentralUnavailable),
    ],
)
async def test_answers_to_a_parcel(said: bytes | None, expected: type[Exception]) -> None:
    async with answering(said) as url, central_service(CentralAddress(url), 1.0) as central:
        with pytest.raises(expected) as raised:
            await central.deliver(CHURN, PARCEL)
    assert type(raised.value) is expected
    if said is not None and b"Retry-After" in said:
        assert isinstance(raised.value, CentralUnavailable)
        assert raised.value.retry_after == 7
    assert "<html>" not in str(raised.value)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"[" * 100_000, b'{"model": "other"}', b"\xff"])
async def test_a_registration_that_cannot_be_read_is_refused(body: bytes) -> None:
    async with answering(answer("200 OK", body)) as url, central_service(CentralAddress(url), 1.0) as central:
        with pytest.raises(CentralRefused):
            await central.registration(CHURN, None)


async def test_the_token_is_read_anew_for_every_request_and_said_nowhere(tmp_path: Path) -> None:
    requests: list[bytes] = []
    file = tmp_path / "token"
    async with (
        answering(answer("200 OK", b"{}"), requests) as url,
        central_service(CentralAddress(url, file), 1.0) as central,
    ):
        with pytest.raises(CentralUnavailable, match="cannot be read"):
            await central.deliver(CHURN, PARCEL)
        for token in ("first", "second"):
            file.write_text(f"{token}\n")
            await central.deliver(CHURN, PARCEL)
        file.write_text("two\r\nlines")
        with pytest.raises(CentralRefused) as raised:
            await central.deliver(CHURN, PARCEL)
    assert [b"Bearer first\r\n" in said or b"Bearer second\r\n" in said for said in requests] == [True, True]
    assert all(b"Idempotency-Key: name\r\n" in said for said in requests)
    assert "two" not in str(raised.value)


@asynccontextmanager
async def asking(application: Application) -> AsyncIterator[HttpCentral]:
    transport = httpx.ASGITransport(application.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://central") as client:
        yield HttpCentral(client, None, 10.0)


def fetched(application: Application, central: HttpCentral) -> tuple[FetchedModels, RedisRegistrations]:
    own = RedisRegistrations(application.redis, Keys(f"{application.prefix}-sidecar"))
    return FetchedModels(own, central, lambda: 0.0, optional_engines=False), own


async def test_registrations_are_kept_with_numbers_of_the_sidecars_own(running_app: Application) -> None:  # noqa: F811
    await running_app.register()
    async with asking(running_app) as central:
        models, own = fetched(running_app, central)
        first = await models.current(CHURN)
        told = (await running_app.client.get("/v1/models/churn")).json()
        assert (first.revision, told["revision"]) == (1, 2)
        assert first.plan.digest == told["plan_digest"]
        assert first.reference_digest == told["reference_digest"]
        assert (await own.reference(first)).rows.shape == (1000, 3)
        assert (await models.refresh(CHURN)).revision == 1
        await running_app.client.put("/v1/models/churn/reference", json=reference(2))
        second = await models.refresh(CHURN)
        assert (second.revision, second.reference_digest == first.reference_digest) == (2, False)
        with pytest.raises(UnknownModel):
            await models.current(ModelName("other"))
        # The central service forgets: then nothing is taken for it any more, until it knows the model again.
        await running_app.redis.delete(running_app.key("churn", "registrations"))
        with pytest.raises(UnknownModel):
            await models.refresh(CHURN)
        with pytest.raises(UnknownModel):
            await models.current(CHURN)
        await running_app.register()
        assert (await models.refresh(CHURN)).revision == 3
        assert (await models.current(CHURN)).revision == 3


class _Replaces(HttpCentral):
    """Somebody replaces the reference between a sidecar's two questions."""

    replace: Callable[[], object]

    async def reference(self, model: ModelName, /) -> bytes:
        await self.replace()  # type: ignore[misc]
        return await super().reference(model)


async def test_a_reference_that_is_not_the_one_announced_is_not_taken(running_app: Application) -> None:  # noqa: F811
    await running_app.register()
    async with asking(running_app) as central:
        changing = _Replaces(central._client, None, 10.0)
        changing.replace = lambda: running_app.client.put("/v1/models/churn/reference", json=reference(3))
        models, own = fetched(running_app, changing)
        with pytest.raises(CentralUnavailable, match="announced"):
            await models.current(CHURN)
        assert await own.newest(CHURN) is None
        assert (await models.current(CHURN)).revision == 1  # replaced by the same, which changes nothing


@pytest.mark.parametrize(
    ("forward", "store", "said"),
    [
        ({}, {}, "--forward-to"),
        ({"url": "ftp://central"}, {}, "DRIFT_FORWARD__URL"),
        ({"url": "http://user:password@central"}, {}, "DRIFT_FORWARD__URL"),
        ({"url": "http://central:99999"}, {}, "DRIFT_FORWARD__URL"),
        ({"url": "http://central:0"}, {}, "DRIFT_FORWARD__URL"),
        ({"url": "http://central/?x=y"}, {}, "DRIFT_FORWARD__URL"),
        ({"url": "http://central", "tls_ca_file": "ca.pem"}, {}, "https"),
        ({"url": "https://central", "tls_ca_file": "/nowhere/ca.pem"}, {}, "DRIFT_FORWARD__TLS"),
        ({"url": "http://central"}, {"url": "redis://central"}, "DRIFT_STORE__URL"),
        ({"url": "http://central"}, {"acknowledge": "memory"}, "DRIFT_STORE__ACKNOWLEDGE"),
    ],
)
async def test_what_no_sidecar_can_do_is_said_at_start(
    forward: dict[str, str], store: dict[str, str], said: str, tmp_path: Path
) -> None:
    stored = StoreSettings(**{"embedded_directory": tmp_path, **store})
    settings = Settings(forward=ForwardSettings(**forward), store=stored)
    with pytest.raises(InvalidConfiguration, match=said) as raised:
        async with running(settings, Role(evaluates=False, forwards=True)):
            pass
    assert "password" not in str(raised.value)
