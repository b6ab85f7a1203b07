"""What was damaged can be mended through the API, and a defect of ours is still answered like any other problem."""

import secrets

import httpx
import pytest

from service.settings import StoreSettings
from tests.integration.service.conftest import application
from tests.processes.traffic import SMALL_PLAN, reference

pytestmark = pytest.mark.anyio


async def test_registering_a_damaged_reference_again_makes_it_whole(shared_store: str) -> None:
    store = StoreSettings(url=shared_store, prefix=secrets.token_hex(8))
    async with application(store) as first:
        await first.register()
        answer = await first.client.put("/v1/models/churn/reference", json=reference())
        digest = answer.json()["reference_digest"]
        await first.redis.setrange(f"{store.prefix}:{{churn}}:reference:{digest}", 100, b"\x01")
    other_window = {**SMALL_PLAN, "window": {"rows": 60}}
    async with application(store) as restarted:  # nothing fitted is remembered
        answer = await restarted.client.put("/v1/models/churn/plan", json=other_window)
        assert (answer.status_code, answer.json()["type"]) == (500, "urn:driftwarden:problem:reference-not-trusted")
        answer = await restarted.client.put("/v1/models/churn/reference", json=reference())
        assert (answer.status_code, answer.json()["changed"]) == (200, False)
    async with application(store) as again:
        answer = await again.client.put("/v1/models/churn/plan", json=other_window)
        assert (answer.status_code, answer.json()["changed"]) == (200, True)


async def test_a_defect_is_a_problem_document_that_tells_nothing_of_it(shared_store: str) -> None:
    async with application(StoreSettings(url=shared_store, prefix=secrets.token_hex(8))) as running_application:

        async def broken() -> None:
            raise ZeroDivisionError("a secret")

        running_application.app.add_api_route("/broken", broken)
        transport = httpx.ASGITransport(running_application.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://driftwarden") as client:
            answer = await client.get("/broken")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert answer.json()["type"] == "urn:driftwarden:problem:internal"
    assert "secret" not in answer.text
