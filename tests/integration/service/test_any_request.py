"""Requests drawn from the OpenAPI document, good and bad: nothing is answered with an error of the server's."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from tests.processes.services import ServiceProcess
from tests.processes.traffic import reference

EXAMPLES = 15
"""Of each operation and mode."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    running = ServiceProcess(tmp_path_factory.mktemp("any-request"))
    running.start()
    with running.client() as client:
        client.put("/v1/models/churn/reference", json=reference()).raise_for_status()
    yield running
    assert running.stop() == 0
    assert "Traceback" not in running.said()


def binary_types(described: dict[str, Any]) -> set[str]:
    """Media types whose bodies are any bytes."""
    operations = [each for item in described["paths"].values() for each in item.values()]
    contents = [each["requestBody"]["content"] for each in operations if "requestBody" in each]
    return {name for content in contents for name, body in content.items() if body["schema"].get("format") == "binary"}


@pytest.mark.parametrize("mode", list(GenerationMode), ids=str)
def test_no_request_meets_an_error_of_the_servers(service: ServiceProcess, mode: GenerationMode) -> None:
    with service.client() as client:
        described: dict[str, Any] = client.get("/openapi.json").json()
        schemathesis.serializer(*binary_types(described))(lambda _, value: value)
        schema = schemathesis.openapi.from_dict(described)
        strategies = [operation.ok().as_strategy(generation_mode=mode) for operation in schema.get_all_operations()]
        asked = 0

        @settings(
            max_examples=EXAMPLES * len(strategies), phases=[Phase.generate], suppress_health_check=list(HealthCheck)
        )
        @given(st.one_of(strategies), st.booleans())
        def ask(case: Any, known: bool) -> None:
            nonlocal asked
            if known and "model" in (case.path_parameters or {}):
                case.path_parameters["model"] = "churn"
            answer = case.call(base_url=service.url, session=None, timeout=30)
            asked += 1
            assert answer.status_code < 500, (case.method, case.path, answer.status_code, answer.text)
            if answer.status_code >= 400:
                assert answer.headers["content-type"][0] == "application/problem+json"

        ask()
    assert asked > EXAMPLES
