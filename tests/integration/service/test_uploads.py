"""References and plans on their way in: bounded in time and number, as batches are."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from anyio import create_task_group, fail_after

from service.http.routes.summaries import MEDIA_TYPE
from service.settings import HttpSettings, StoreSettings
from tests.integration.service.conftest import MAX_REFERENCE_BYTES, Application, application
from tests.processes.services import PATIENT_SECONDS

pytestmark = pytest.mark.anyio
JSON = {"Content-Type": "application/json"}


async def unending() -> AsyncIterator[bytes]:
    yield b'{"rows": '
    await asyncio.Event().wait()


@pytest.mark.parametrize("document", ["reference", "plan"])
async def test_a_body_that_never_comes_to_an_end_is_given_up(tmp_path: Path, document: str) -> None:
    http = HttpSettings(max_body_bytes=2**16, max_reference_bytes=2**17, body_seconds=0.2)
    async with application(StoreSettings(embedded_directory=tmp_path / "store"), http=http) as running:
        answer = await running.client.put(f"/v1/models/churn/{document}", content=unending(), headers=JSON)
        assert (answer.status_code, answer.json()["type"]) == (408, "urn:driftwarden:problem:slow-body")


async def test_of_the_largest_references_two_are_taken_at_once(running_app: Application) -> None:
    answers, begun = list[httpx.Response](), list[str]()

    async def read(model: str) -> AsyncIterator[bytes]:
        begun.append(model)
        async for part in unending():
            yield part

    async def put(model: str) -> None:
        headers = {**JSON, "Content-Length": str(MAX_REFERENCE_BYTES)}
        path = f"/v1/models/{model}/reference"
        answers.append(await running_app.client.put(path, content=read(model), headers=headers))
        if len(answers) == 3:
            tasks.cancel_scope.cancel()

    with fail_after(PATIENT_SECONDS):
        async with create_task_group() as tasks:
            for number in range(5):
                tasks.start_soon(put, f"model-{number}")
    assert len(begun) == 2
    assert {answer.status_code for answer in answers} <= {429, 503}
    assert all("Retry-After" in answer.headers for answer in answers)


@pytest.mark.parametrize(
    ("method", "path", "media_type"),
    [
        ("PUT", "reference", "application/json"),
        ("PUT", "plan", "application/json"),
        ("POST", "evaluations", "application/json"),
        ("POST", "summaries", MEDIA_TYPE),
        ("POST", "observations", "application/json"),
    ],
)
async def test_a_client_that_goes_away_is_no_defect(
    running_app: Application, method: str, path: str, media_type: str
) -> None:
    messages = iter([{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}])
    answers: list[Any] = []

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        answers.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": f"/v1/models/churn/{path}",
        "query_string": b"",
        "headers": [(b"content-type", media_type.encode()), (b"content-length", b"10")],
    }
    await running_app.app(scope, receive, send)  # raises what the server would log
    assert all(message.get("status") != 500 for message in answers)
