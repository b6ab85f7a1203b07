"""The OpenAPI document: valid, complete, and true to what the service answers."""

import json
from typing import Any

import pytest
from fastapi.openapi.models import OpenAPI

from service.http.errors import MEDIA_TYPE
from service.http.formats import MEDIA_TYPES, REFERENCE_MEDIA_TYPES
from tests.integration.service.conftest import Application
from tests.processes.traffic import payload, rows
from tests.processes.waiting import eventually_async

pytestmark = pytest.mark.anyio

OPERATIONS = {
    ("put", "/v1/models/{model}/reference"),
    ("put", "/v1/models/{model}/plan"),
    ("get", "/v1/models/{model}/verdicts"),
    ("post", "/v1/models/{model}/observations"),
    ("post", "/v1/models/{model}/cloudevents"),
    ("post", "/v1/cloudevents"),
    ("get", "/livez"),
    ("get", "/readyz"),
    ("get", "/metrics"),
}


@pytest.fixture
async def document(running_app: Application) -> dict[str, Any]:
    answer = await running_app.client.get("/openapi.json")
    found: dict[str, Any] = answer.json()
    return found


def operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(method, path): each for path, item in document["paths"].items() for method, each in item.items()}


async def test_it_is_a_valid_document(document: dict[str, Any]) -> None:
    OpenAPI.model_validate(document)
    assert document["openapi"].startswith("3.1")


async def test_every_reference_in_it_leads_somewhere(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]

    def visit(node: Any) -> None:
        if isinstance(node, dict):
            if "$ref" in node:
                root, _, name = node["$ref"].rpartition("/")
                assert root == "#/components/schemas"
                assert name in schemas, name
            for child in node.values():
                visit(child)
        elif isinstance(node, list):
            for child in node:
                visit(child)

    visit(document)
    assert "NaN" not in json.dumps(document)


async def test_every_operation_is_in_it_and_says_what_it_does(document: dict[str, Any]) -> None:
    assert operations(document).keys() >= OPERATIONS
    for (method, path), operation in operations(document).items():
        assert operation.get("description"), f"{method} {path} says nothing of itself"
        assert operation.get("operationId")


async def test_every_refusal_in_it_is_a_problem_document(document: dict[str, Any]) -> None:
    for (method, path), operation in operations(document).items():
        for status, answer in operation["responses"].items():
            if int(status) >= 400:
                assert list(answer["content"]) == [MEDIA_TYPE], f"{method} {path} {status}"


async def test_every_field_that_comes_in_is_described_or_named_like_its_group(document: dict[str, Any]) -> None:
    for name in ("WindowPlan", "DetectorPlan", "DecisionPlan", "ResponsePlan"):
        for field, schema in document["components"]["schemas"][name]["properties"].items():
            assert schema.get("description"), f"{name}.{field} has no meaning"


async def test_the_ways_in_name_their_media_types(document: dict[str, Any]) -> None:
    for method, path in (("post", "/v1/models/{model}/observations"), ("put", "/v1/models/{model}/reference")):
        body = operations(document)[method, path]["requestBody"]
        assert body["required"]
        read = REFERENCE_MEDIA_TYPES if method == "put" else MEDIA_TYPES
        assert set(body["content"]) == set(read)


async def test_a_plan_is_described_with_everything_that_it_may_say(document: dict[str, Any]) -> None:
    operation = operations(document)["put", "/v1/models/{model}/plan"]
    assert list(operation["requestBody"]["content"]) == ["application/json"]
    plan = operation["requestBody"]["content"]["application/json"]["schema"]
    assert "required" not in plan
    assert plan["examples"]
    detector = plan["properties"]["detectors"]["items"]
    assert detector["required"] == ["name"]
    for schema in (*plan["properties"].values(), detector):
        for name, field in schema.get("properties", {}).items():
            assert field.get("description"), f"{name} has no meaning"
    assert {"400", "404", "409", "413", "415", "422", "503"} <= set(operation["responses"])


async def test_what_is_answered_is_what_it_promises(watched: Application, document: dict[str, Any]) -> None:
    """Every member of a verdict is in the schema, and every required one in the verdict."""
    await watched.observe(payload(rows(1, 50, shift=3.0)))
    (verdict,) = await eventually_async(watched.verdicts, "a verdict")
    schema = document["components"]["schemas"]["VerdictView"]
    assert set(schema["required"]) <= set(verdict) <= set(schema["properties"])
