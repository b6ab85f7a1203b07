"""Who may do what, asked of the service as a process of its own: by keys, and before a body is read."""

import os
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from service.__main__ import cli
from service.adapters.access.callers_file import line_of
from service.domain.access import Verb
from tests.integration.service.test_overload import resident_bytes
from tests.processes.callers import Callers, bearer, make_key, write_callers
from tests.processes.fixtures import MakeService
from tests.processes.services import ServiceProcess
from tests.processes.traffic import SMALL_PLAN, payload, reference, rows
from tests.processes.waiting import eventually

BATCH = payload(rows(1, 5))
OBSERVATIONS = "/v1/models/fraud/observations"
MEGABYTE = 2**20


@dataclass(frozen=True, slots=True)
class Guarded:
    """A service that asks for keys, with the model `fraud` under watch."""

    service: ServiceProcess
    callers: Callers
    client: httpx.Client

    def as_caller(self, name: str) -> dict[str, str]:
        return self.callers.as_caller(name)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    directory = tmp_path_factory.mktemp("guarded")
    callers = write_callers(directory / "callers")
    settings = {"DRIFT_AUTHENTICATION__CALLERS_FILE": str(callers.file), "DRIFT_TELEMETRY__LOG_LEVEL": "debug"}
    service = ServiceProcess(directory, **settings)
    service.start()
    with service.client() as client:
        owner = callers.as_caller("owner")
        client.put("/v1/models/fraud/reference", json=reference(), headers=owner).raise_for_status()
        client.put("/v1/models/fraud/plan", json=SMALL_PLAN, headers=owner).raise_for_status()
        yield Guarded(service, callers, client)
    service.stop()
    service.end_orphan()


@pytest.mark.parametrize(
    ("caller", "method", "path", "status"),
    [
        ("pods", "POST", OBSERVATIONS, 200),
        ("pods", "POST", "/v1/models/fraud-next/observations", 404),
        ("pods", "POST", "/v1/models/churn/observations", 403),
        ("pods", "POST", "/v1/models/fraud/summaries", 415),
        ("dashboard", "POST", "/v1/models/fraud/summaries", 403),
        ("pods", "GET", "/v1/models/fraud/verdicts", 403),
        ("pods", "PUT", "/v1/models/fraud/plan", 403),
        ("dashboard", "GET", "/v1/models/fraud/verdicts", 200),
        ("dashboard", "GET", "/v1/models/churn/verdicts", 404),
        ("dashboard", "POST", OBSERVATIONS, 403),
        ("dashboard", "PUT", "/v1/models/fraud/reference", 403),
        ("dashboard", "GET", "/metrics", 403),
        ("owner", "GET", "/v1/models/fraud/verdicts", 200),
        ("owner", "GET", "/v1/models/churn/verdicts", 403),
        ("owner", "POST", OBSERVATIONS, 403),
        ("prometheus", "GET", "/metrics", 200),
        ("prometheus", "GET", "/v1/models/fraud/verdicts", 403),
        ("administrator", "GET", "/metrics", 200),
        ("administrator", "GET", "/v1/models/../verdicts", 404),
        ("administrator", "POST", "/v1/models/a%20b/observations", 422),
        ("pods", "POST", "/v1/models/fraud%2F..%2Fchurn/observations", 403),
        ("pods", "GET", "/openapi.json", 200),
    ],
)
def test_each_may_do_what_its_line_says(guarded: Guarded, caller: str, method: str, path: str, status: int) -> None:
    body = BATCH if method == "POST" else None
    answer = guarded.client.request(method, path, json=body, headers=guarded.as_caller(caller))
    assert answer.status_code == status, answer.text
    if status >= 400:
        assert answer.headers["content-type"] == "application/problem+json"


def test_rows_are_exported_by_whoever_may_read_the_model(guarded: Guarded, tmp_path: Path) -> None:
    key = tmp_path / "key"

    def said(*arguments: str) -> str:
        asked = ["export", "fraud", "--verdict", "1", "--output", str(tmp_path / "rows.csv"), "--url"]
        done = CliRunner().invoke(cli, [*asked, guarded.service.url, *arguments])
        assert done.exit_code == 1
        return done.output

    assert "Who calls is not known" in said()
    assert "no key can be read" in said("--token-file", str(key))
    for caller, answer in (("pods", "The caller may not do this"), ("dashboard", "No such verdict")):
        key.write_text(guarded.as_caller(caller)["Authorization"].removeprefix("Bearer ") + "\n")
        assert answer in said("--token-file", str(key))


def test_whether_a_model_exists_is_told_to_those_only_who_may_ask(guarded: Guarded) -> None:
    known, unknown = (
        guarded.client.post(f"/v1/models/{model}/observations", json=BATCH, headers=guarded.as_caller("dashboard"))
        for model in ("fraud", "no-such-model")
    )
    assert known.status_code == unknown.status_code == 403
    assert known.content == unknown.content


def test_every_route_wants_to_know_who_calls(guarded: Guarded) -> None:
    document = guarded.client.get("/openapi.json", headers=guarded.as_caller("dashboard")).json()
    asked = [(method, path) for path, item in document["paths"].items() for method in item]
    assert len(asked) >= 7
    for method, path in [*asked, ("get", "/openapi.json"), ("get", "/docs"), ("get", "/"), ("get", "/v1/models")]:
        for headers in ({}, bearer(make_key()), bearer("a.b.c"), {"Authorization": "Basic eDp5"}):
            answer = guarded.client.request(method, path.replace("{model}", "fraud"), json={}, headers=headers)
            open_to_all = path in {"/livez", "/readyz", "/readyz/integrity"}
            assert answer.status_code == (200 if open_to_all else 401), f"{method} {path}"
            if not open_to_all:
                assert answer.headers["www-authenticate"].startswith('Bearer realm="driftwarden"')
                assert answer.json()["type"] == "urn:driftwarden:problem:not-authenticated"


def test_the_description_says_how_callers_are_authenticated(guarded: Guarded) -> None:
    document = guarded.client.get("/openapi.json", headers=guarded.as_caller("owner")).json()
    (scheme,) = document["components"]["securitySchemes"].values()
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    for path, item in document["paths"].items():
        for operation in item.values():
            assert bool(operation.get("security")) is path.startswith("/v1/"), path
            assert path.startswith(("/livez", "/readyz", "/metrics")) or {"401", "403"} <= set(operation["responses"])


@pytest.mark.parametrize(
    "length",
    [
        b"Content-Length: 1000000000",
        b"Transfer-Encoding: chunked",
        b"Content-Length: 1000000000\r\nExpect: 100-continue",
    ],
)
@pytest.mark.parametrize("path", [b"/v1/models/fraud/observations", b"/v1/models/fraud/reference"])
def test_a_gigabyte_with_a_wrong_key_is_refused_unread(guarded: Guarded, length: bytes, path: bytes) -> None:
    before = resident_bytes(guarded.service.pid)
    method = b"PUT" if path.endswith(b"reference") else b"POST"
    head = b"%b %b HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer %b\r\n%b\r\n\r\n"
    address = httpx.URL(guarded.service.url)
    with socket.create_connection((address.host, address.port or 0), timeout=30) as connection:
        connection.sendall(head % (method, path, make_key().encode(), length))
        answer = HTTPResponse(connection)
        answer.begin()
        assert answer.status == 401
        assert answer.headers["Connection"] == "close"
        answer.read()
        assert _is_ended(connection)
    assert resident_bytes(guarded.service.pid) - before < 10 * MEGABYTE


def _is_ended(connection: socket.socket) -> bool:
    """Sending on is of no use, and there is nothing to come."""
    try:
        while connection.send(bytes(MEGABYTE)):
            if connection.recv(1) == b"":
                return True
    except OSError:
        return True
    return False


def test_a_large_body_that_is_sent_all_the_same_costs_no_memory(guarded: Guarded) -> None:
    before = resident_bytes(guarded.service.pid)
    for _ in range(3):
        content = (bytes(MEGABYTE) for _ in range(100))
        answer = guarded.client.post(OBSERVATIONS, content=content, headers=bearer(make_key()))
        assert answer.status_code == 401
    assert resident_bytes(guarded.service.pid) - before < 10 * MEGABYTE


def test_refusals_are_counted_by_kind_and_never_by_whom(guarded: Guarded) -> None:
    guarded.client.post(OBSERVATIONS, json=BATCH)
    guarded.client.post(OBSERVATIONS, json=BATCH, headers=bearer("of-nobody"))
    guarded.client.post(OBSERVATIONS, json=BATCH, headers=guarded.as_caller("dashboard"))
    exposed = guarded.client.get("/metrics", headers=guarded.as_caller("prometheus")).text
    found = re.findall(r"^driftwarden_refused_requests_total\{(.*)\} [1-9]", exposed, re.MULTILINE)
    assert set(found) == {'reason="anonymous"', 'reason="unknown"', 'reason="not_allowed"'}
    assert "of-nobody" not in exposed


def test_neither_keys_nor_tokens_are_in_the_log_and_it_says_how_callers_are_authenticated(guarded: Guarded) -> None:
    unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"
    guarded.client.get(f"/v1/models/{unsigned}", headers=bearer(unsigned))
    guarded.client.post(OBSERVATIONS, json=BATCH, headers=guarded.as_caller("dashboard"))
    said = guarded.service.said()
    assert "callers are authenticated by 5 credentials in" in said
    assert "caller=dashboard verb=ingest" in said
    for secret in (unsigned, *guarded.callers.keys.values()):
        assert secret not in said


def test_a_key_that_is_replaced_while_it_runs(make_service: MakeService, tmp_path: Path) -> None:
    """As a kubelet renews a Secret: the directory behind a symbolic link is another one from one moment to the next."""
    keys = [make_key(), make_key()]
    mounted = tmp_path / "mounted"
    for number, key in enumerate(keys):
        version = mounted / f"..{number}"
        version.mkdir(parents=True)
        (version / "callers").write_text(line_of("pods", key, [Verb.READ], ["*"]))
    (mounted / "..data").symlink_to("..0")
    (mounted / "callers").symlink_to(Path("..data") / "callers")
    service = make_service(DRIFT_AUTHENTICATION__CALLERS_FILE=str(mounted / "callers"))
    service.start()
    with service.client() as client:

        def statuses() -> list[int]:
            return [client.get("/v1/models/fraud/verdicts", headers=bearer(key)).status_code for key in keys]

        assert statuses() == [404, 401]
        (mounted / "..new").symlink_to("..1")
        os.replace(mounted / "..new", mounted / "..data")  # noqa: PTH105 - what a kubelet calls
        eventually(lambda: statuses() == [401, 404], "the new key is known, and the old one is not")
        (mounted / "..1" / "callers").write_text("this is no line")
        eventually(lambda: "cannot be used" in service.said(), "the service says so")
        assert statuses() == [401, 404]


def side_of(service: ServiceProcess) -> str:
    """Where the metrics port is."""
    found = re.search(r"metrics=(http://\S+)", service.said())
    assert found is not None
    return found[1]


def test_without_a_word_about_callers_only_this_machine_is_listened_to(make_service: MakeService) -> None:
    service = make_service(DRIFT_HTTP__HOST="0.0.0.0")  # noqa: S104 - that it does not listen there is the point
    service.launch()
    assert service.wait() == 1
    said = service.said()
    assert "Traceback" not in said
    for word in ("DRIFT_HTTP__HOST", "CALLERS_FILE", "KUBERNETES_AUDIENCE", "DRIFT_AUTHENTICATION__MODE=none"):
        assert word in said


def test_on_this_machine_nobody_is_asked_and_that_is_said(make_service: MakeService) -> None:
    service = make_service(DRIFT_HTTP__METRICS_PORT="0")
    service.start()
    assert "callers are not authenticated: only this machine is listened to" in service.said()
    with service.client() as client, httpx.Client(base_url=side_of(service), trust_env=False) as beside:
        assert client.put("/v1/models/churn/reference", json=reference()).status_code == 200
        assert client.get("/metrics").status_code == 404
        assert "driftwarden_" in beside.get("/metrics").text
        assert [beside.get(path).status_code for path in ("/livez", "/readyz", "/readyz/integrity")] == [200] * 3
        assert [beside.get(path).status_code for path in ("/v1/models/churn/verdicts", "/docs")] == [404, 404]
        assert client.get("/readyz").status_code == 200
    assert service.stop() == 0


def test_senders_without_credentials_may_do_what_anonymous_may_and_the_metrics_port_asks_nobody(
    make_service: MakeService, tmp_path: Path
) -> None:
    file = tmp_path / "callers"
    key = make_key()
    file.write_text(f"loggers anonymous ingest fraud\n{line_of('owner', key, list(Verb), ['*'])}\n")
    service = make_service(DRIFT_AUTHENTICATION__CALLERS_FILE=str(file), DRIFT_HTTP__METRICS_PORT="0")
    service.start()
    assert "callers without credentials are let in for what" in service.said()
    with service.client() as client:
        assert client.put("/v1/models/fraud/reference", json=reference()).status_code == 401
        client.put("/v1/models/fraud/reference", json=reference(), headers=bearer(key)).raise_for_status()
        assert client.post(OBSERVATIONS, json=BATCH).status_code == 200
        assert client.post(OBSERVATIONS, json=BATCH, headers=bearer(make_key())).status_code == 401
        refused = client.get("/v1/models/fraud/verdicts")
        assert (refused.status_code, "www-authenticate" in refused.headers) == (401, True)
        exposed = httpx.get(f"{side_of(service)}/metrics", trust_env=False).text
        assert 'driftwarden_refused_requests_total{reason="anonymous"} 2.0' in exposed
        assert client.get("/metrics").status_code == 401
