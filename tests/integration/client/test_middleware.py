"""The middleware in a real application, before a real service that asks who calls."""

import gzip
import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import numpy as np
import pytest

from service.adapters.access.callers_file import line_of
from service.domain.access import Verb
from tests.integration.client.applications import LIMITS, Application, application
from tests.integration.replicas.fleet import metric, metrics
from tests.processes.callers import bearer, make_key
from tests.processes.payloads import v2_binary
from tests.processes.services import ServiceProcess
from tests.processes.traffic import payload, reference, rows
from tests.processes.waiting import eventually

JSON = {"Content-Type": "application/json"}
ONE = json.dumps({"instances": [[1.5, 2.0, 3.0]]}).encode()
LARGE = bytes(10 * LIMITS.max_copy_bytes)


@pytest.fixture(scope="module")
def key() -> str:
    return make_key()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, key: str) -> Iterator[ServiceProcess]:
    """With two models, of one of which a feature is the model's answer."""
    directory = tmp_path_factory.mktemp("service")
    callers = directory / "callers"
    lines = [line_of("tests", key, [Verb.INGEST, Verb.MANAGE], ["*"]), "scraper anonymous metrics *"]
    callers.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    service = ServiceProcess(directory, "serve", DRIFT_AUTHENTICATION__CALLERS_FILE=str(callers))
    service.start()
    with service.client() as client:
        client.headers.update(bearer(key))
        client.put("/v1/models/churn/reference", json=reference()).raise_for_status()
        paired = payload(rows(1, 1000), features=["amount", "age", "prediction"])
        client.put("/v1/models/paired/reference", json=paired).raise_for_status()
    yield service
    service.stop()
    service.end_orphan()


@pytest.fixture(scope="module")
def token_file(tmp_path_factory: pytest.TempPathFactory, key: str) -> Path:
    file = tmp_path_factory.mktemp("token") / "token"
    file.write_text(key)
    return file


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory, service: ServiceProcess, token_file: Path
) -> Iterator[Application]:
    with application(tmp_path_factory.mktemp("application"), service.url, TOKEN_FILE=str(token_file)) as running:
        yield running


def test_what_is_asked_arrives_in_the_format_in_which_it_came(served: Application, service: ServiceProcess) -> None:
    before, observed = served.settled(), metric(service, "driftwarden_observed_rows_total")
    two = json.dumps({"instances": [{"age": 2, "amount": 1.5, "tenure": 3}] * 2}).encode()
    assert served.http.post("/predict", content=ONE, headers=JSON).json() == {"predictions": [6.5]}
    packed = {**JSON, "Content-Encoding": "gzip"}
    assert served.http.post("/predict", content=gzip.compress(ONE), headers=packed).json() == {"predictions": [6.5]}
    assert served.http.post("/size", content=two, headers=JSON).text == str(len(two))
    tensors, head = v2_binary({"x": ("FP32", np.ones((7, 3)))})
    binary = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(head)}
    assert served.http.post("/size", content=tensors, headers=binary).text == str(len(tensors))
    found = served.settled()
    assert found["accepted"] - before["accepted"] == 4
    assert found["dropped"] == before["dropped"]
    assert metric(service, "driftwarden_observed_rows_total") - observed == 1 + 1 + 2 + 7


def test_what_the_service_refuses_is_counted_by_its_reason(served: Application) -> None:
    before = served.settled()
    served.http.post("/size", content=b'{"instances": [[1, 2]]}', headers=JSON).raise_for_status()
    served.http.post("/size", content=b"{", headers=JSON).raise_for_status()
    served.http.post("/size", content=b"x", headers={"Content-Type": "image/png"}).raise_for_status()
    dropped = served.settled()["dropped"]
    assert {reason: dropped[reason] - before["dropped"].get(reason, 0) for reason in dropped} == {
        "invalid": 1,
        "unreadable": 1,
        "unsupported": 1,
    }


def test_large_and_streamed_bodies_pass_whole_and_are_not_held(served: Application) -> None:
    before = served.settled()
    assert served.http.post("/size", content=LARGE).text == str(len(LARGE))

    def pieces() -> Iterator[bytes]:
        for number in range(200):
            yield bytes([number]) * 1000

    echoed = served.http.post("/echo", content=pieces())
    assert echoed.content == b"".join(pieces())
    found = served.settled()
    assert found["dropped"]["too_large"] - before["dropped"].get("too_large", 0) == 2
    assert found["held_bytes"] == 0


def test_what_is_no_inference_is_answered_as_ever_and_not_copied(served: Application) -> None:
    before = served.settled()
    assert served.http.head("/size").status_code == 200
    assert served.http.get("/size").text == "0"
    assert served.http.post("/nowhere", content=ONE).status_code == 404
    # On connections of their own: the server closes them, in its own time, after an error or a body that was not read.
    assert httpx.post(f"{served.http.base_url}/fail", content=ONE, trust_env=False).status_code == 500
    with suppress(httpx.TransportError):
        assert httpx.post(f"{served.http.base_url}/refuse", content=LARGE, trust_env=False).status_code == 422
    with socket.create_connection(("127.0.0.1", served.port)) as caller:
        caller.sendall(b"POST /size HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf of it")
        eventually(lambda: served.counters()["held_bytes"] == len(b"half of it"), "it is being copied")
    eventually(lambda: served.counters()["held_bytes"] == 0, "who sent it has gone away")
    assert served.settled() == before


def test_requests_and_responses_meet_again_in_the_service(
    service: ServiceProcess, token_file: Path, tmp_path: Path
) -> None:
    settings = {"TOKEN_FILE": str(token_file), "MODEL": "paired", "RESPONSES": "1"}
    with application(tmp_path, service.url, **settings) as running:
        for _ in range(5):
            running.http.post("/predict", content=b'{"instances": [[1.5, 2]]}', headers=JSON).raise_for_status()
        assert running.settled()["accepted"] == 10
        eventually(lambda: 'observed_rows_total{model="paired"} 5.0' in metrics(service), "both halves are there")
        assert metric(service, "driftwarden_unpaired_events_total") == 0


def test_an_application_that_is_told_to_end_sends_what_waits(
    service: ServiceProcess, token_file: Path, tmp_path: Path
) -> None:
    observed = metric(service, "driftwarden_observed_rows_total")
    with (
        application(tmp_path, service.url, TOKEN_FILE=str(token_file)) as running,
        httpx.Client(trust_env=False) as http,
    ):
        for _ in range(10):
            http.post(f"http://127.0.0.1:{running.port}/size", content=ONE, headers=JSON).raise_for_status()
        running.stop()
    assert metric(service, "driftwarden_observed_rows_total") - observed == 10
