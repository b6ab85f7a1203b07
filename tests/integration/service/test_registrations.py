"""What the API tells of registrations: names, plans, and references byte for byte."""

import hashlib

import pytest

from service.domain.registration import decode_reference
from tests.integration.service.conftest import Application
from tests.processes.traffic import FEATURES, SMALL_PLAN, reference, rows

pytestmark = pytest.mark.anyio


async def test_models_are_listed_by_name_in_pages(running_app: Application) -> None:
    assert (await running_app.client.get("/v1/models")).json() == {"models": [], "after": None}
    for model in ("c", "a", "b"):
        await running_app.client.put(f"/v1/models/{model}/reference", json=reference())
    assert (await running_app.client.get("/v1/models")).json() == {"models": ["a", "b", "c"], "after": None}
    first = (await running_app.client.get("/v1/models", params={"limit": 2})).json()
    assert first == {"models": ["a", "b"], "after": "b"}
    last = (await running_app.client.get("/v1/models", params={"limit": 2, "after": first["after"]})).json()
    assert last == {"models": ["c"], "after": None}
    for wrong in ({"limit": 0}, {"limit": 1001}, {"after": "x" * 64}):
        assert (await running_app.client.get("/v1/models", params=wrong)).status_code == 422


async def test_a_registration_is_told_as_it_was_answered(watched: Application) -> None:
    put = await watched.client.put("/v1/models/churn/plan", json=SMALL_PLAN)
    told = await watched.client.get("/v1/models/churn")
    assert told.status_code == 200
    assert told.json() == {**put.json(), "changed": False}
    plan = await watched.client.get("/v1/models/churn/plan")
    assert plan.json() == told.json()["plan"]
    assert plan.headers["ETag"] == f'"{told.json()["plan_digest"]}"'


async def test_a_reference_is_given_back_byte_for_byte(watched: Application) -> None:
    answer = await watched.client.get("/v1/models/churn/reference")
    digest = (await watched.client.get("/v1/models/churn")).json()["reference_digest"]
    assert answer.headers["Content-Type"] == "application/vnd.driftwarden.reference"
    assert answer.headers["ETag"] == f'"{digest}"'
    assert f"sha256:{hashlib.sha256(answer.content).hexdigest()}" == digest
    assert answer.content == await watched.redis.get(watched.key("churn", f"reference:{digest}"))
    told = decode_reference(answer.content, digest)
    assert told.features == FEATURES
    assert told.rows.tolist() == rows(1, 1000).tolist()


@pytest.mark.parametrize("path", ["", "/plan", "/reference"])
async def test_what_a_caller_has_is_not_sent_again_until_it_changes(watched: Application, path: str) -> None:
    url = f"/v1/models/churn{path}"
    tag = (await watched.client.get(url)).headers["ETag"]
    for known in (tag, f'"other", W/{tag}', "*"):
        answer = await watched.client.get(url, headers={"If-None-Match": known})
        assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", tag)
    await watched.client.put("/v1/models/churn/reference", json=reference(seed=2))
    await watched.client.put("/v1/models/churn/plan", json={**SMALL_PLAN, "window": {"rows": 60}})
    answer = await watched.client.get(url, headers={"If-None-Match": tag})
    assert answer.status_code == 200
    assert answer.headers["ETag"] != tag


@pytest.mark.parametrize("path", ["", "/plan", "/reference"])
async def test_unknown_models_and_impossible_names_are_problems(running_app: Application, path: str) -> None:
    answer = await running_app.client.get(f"/v1/models/nobody{path}")
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:driftwarden:problem:unknown-model")
    answer = await running_app.client.get(f"/v1/models/-{path}")
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:driftwarden:problem:invalid-model-name")


async def test_a_reference_that_has_changed_in_the_store_is_not_told(watched: Application) -> None:
    digest = (await watched.client.get("/v1/models/churn")).json()["reference_digest"]
    await watched.redis.set(watched.key("churn", f"reference:{digest}"), b"something else")
    answer = await watched.client.get("/v1/models/churn/reference")
    assert (answer.status_code, answer.json()["type"]) == (500, "urn:driftwarden:problem:reference-not-trusted")
