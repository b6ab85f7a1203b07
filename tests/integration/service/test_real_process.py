"""The service as a process of its own: what it says at the start, over a real connection, and at the end."""

import json
import socket
from http.client import HTTPResponse
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from tests.processes.fixtures import MakeService
from tests.processes.services import ServiceProcess
from tests.processes.traffic import SMALL_PLAN, payload, reference, rows
from tests.processes.waiting import eventually


def refusal(service: ServiceProcess) -> str:
    """What a service says that does not start: a line or two, never a traceback."""
    service.launch()
    assert service.wait() == 1
    said = service.said()
    assert "Traceback" not in said
    return said


def test_the_way_through_over_a_real_connection(make_service: MakeService) -> None:
    service = make_service(DRIFT_TELEMETRY__LOG_FORMAT="json")
    service.start()
    with service.client() as client:
        assert client.put("/v1/models/churn/reference", json=reference()).status_code == 200
        assert client.put("/v1/models/churn/plan", json=SMALL_PLAN).status_code == 200
        assert client.post("/v1/models/churn/observations", json=payload(rows(1, 50, shift=3.0))).status_code == 200
        (verdict,) = eventually(lambda: client.get("/v1/models/churn/verdicts").json()["verdicts"], "a verdict")
        assert verdict["finding"] == "DRIFT"
        eventually(
            lambda: client.get("/v1/models/churn/verdicts").json()["verdicts"][0]["action"]["outcome"],
            "the action is delivered",
        )
        assert 'driftwarden_finding{finding="DRIFT",model="churn"} 1.0' in client.get("/metrics").text
    assert service.stop() == 0
    events = [json.loads(line) for line in service.said().splitlines()]
    assert {"action DRY_RUN"} <= {event["message"] for event in events}
    assert not [event for event in events if event["level"] in {"error", "critical"}]


def test_a_body_over_the_limit_is_refused_over_a_real_connection(make_service: MakeService) -> None:
    service = make_service(DRIFT_HTTP__MAX_BODY_BYTES="1000")
    service.start()
    with service.client() as client:
        for content in (b" " * 1001, iter([b" " * 600, b" " * 600])):
            answer = client.post(
                "/v1/models/a/observations", content=content, headers={"Content-Type": "application/json"}
            )
            assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")
        assert client.get("/livez").status_code == 200


def test_bytes_that_are_not_http_are_answered_with_a_problem_and_do_no_harm(make_service: MakeService) -> None:
    service = make_service()
    service.start()
    address = httpx.URL(service.url)
    for junk in (
        b"\x16\x03\x01junk\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1 HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/models/churn/observations HTTP/1.1\r\nHost: x\r\nContent-Length: ten\r\n\r\n",
    ):
        with socket.create_connection((address.host, address.port or 0), timeout=30) as connection:
            connection.sendall(junk)
            answer = HTTPResponse(connection)
            answer.begin()
            assert (answer.status, answer.headers["Content-Type"]) == (400, "application/problem+json")
            document = json.loads(answer.read())
        assert (document["type"], document["status"]) == ("urn:driftwarden:problem:malformed-request", 400)
    with service.client() as client:
        assert client.get("/livez").status_code == 200


def test_a_port_that_is_taken_is_said_to_be(make_service: MakeService) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        said = refusal(make_service(DRIFT_HTTP__PORT=str(taken.getsockname()[1])))
    assert "DRIFT_HTTP__PORT" in said


def test_a_store_that_cannot_be_is_refused_at_the_start(make_service: MakeService) -> None:
    said = refusal(make_service(DRIFT_STORE__URL="redis://:hunter2@host:port"))
    assert "DRIFT_STORE__URL" in said
    assert "hunter2" not in said


@pytest.mark.skipif(find_spec("torch") is not None, reason="torch is installed")
def test_a_backend_that_is_not_installed_is_said_not_to_be(make_service: MakeService) -> None:
    said = refusal(make_service(DRIFT_COMPUTE__LIBRARY="torch"))
    assert "DRIFT_COMPUTE__LIBRARY" in said
    assert "driftwarden[torch]" in said


@pytest.mark.skipif(find_spec("alibi_detect") is not None, reason="alibi-detect is installed")
def test_an_engine_that_is_not_installed_is_said_not_to_be(make_service: MakeService) -> None:
    said = " ".join(refusal(make_service(DRIFT_COMPUTE__ALIBI_DETECT="true")).split())
    assert "driftwarden[alibi]" in said
    assert "not an open-source licence" in said


def test_a_template_that_is_not_there_is_said_not_to_be(make_service: MakeService, tmp_path: Path) -> None:
    missing = tmp_path / "no such template.yaml"
    assert str(missing) in refusal(make_service(DRIFT_TRIGGER__TEMPLATE=str(missing)))


def test_a_directory_that_cannot_be_made_is_said_not_to_be(make_service: MakeService, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = refusal(make_service(DRIFT_STORE__EMBEDDED_DIRECTORY=str(tmp_path / "file" / "store")))
    assert "DRIFT_STORE__EMBEDDED_DIRECTORY" in said


def test_an_embedded_server_that_cannot_start_says_why(make_service: MakeService, tmp_path: Path) -> None:
    append_only = tmp_path / "damaged" / "appendonlydir"
    append_only.mkdir(parents=True)
    (append_only / "appendonly.aof.manifest").write_text("this is no manifest\n")
    said = refusal(make_service(DRIFT_STORE__EMBEDDED_DIRECTORY=str(tmp_path / "damaged")))
    assert "does not start" in said


def test_a_long_path_of_the_directory_is_no_obstacle(make_service: MakeService, tmp_path: Path) -> None:
    service = make_service(DRIFT_STORE__EMBEDDED_DIRECTORY=str(tmp_path / ("long" * 30) / "store"))
    service.start()
    with service.client() as client:
        assert client.get("/readyz").status_code == 200
    assert service.stop() == 0
