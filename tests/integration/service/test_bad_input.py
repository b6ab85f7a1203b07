"""The list of bad inputs, case by case, against one real service: each is refused as it says, and does no harm.

Numbers are those of the list. `ELSEWHERE` says where the cases are that other suites hold; those of
callers (14 to 20) are with authentication.
"""

import asyncio
import gzip
import io
import json
import pickle
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from backports import zstd

from tests.integration.service.test_overload import resident_bytes
from tests.processes.payloads import described, kserve_headers, npy
from tests.processes.services import ServiceProcess
from tests.processes.traffic import payload, reference, rows
from tests.processes.waiting import eventually

ROOT = Path(__file__).resolve().parents[3]
ELSEWHERE = {
    38: "tests/integration/store/test_permissions.py",
    39: "tests/integration/store/test_tls.py",
    32: "tests/unit/service/http/test_arrow.py",
    33: "tests/unit/service/http/test_arrow.py",
    9: "tests/unit/service/http/test_content_coding.py",
    7: "tests/integration/service/test_overload.py",
    26: "tests/integration/service/test_bad_columns.py",
    61: "tests/unit/service/telemetry/test_logging.py",
}
"""Where there is more of a case than its line here."""
OBSERVATIONS, REFERENCE = "/v1/models/churn/observations", "/v1/models/churn/reference"
JSON, NPY, CSV = "application/json", "application/x-npy", "text/csv"
ARROW = "application/vnd.apache.arrow.stream"
LIMIT = 4 * 2**20
GOOD = json.dumps(payload(rows(1, 1))).encode()
PERSONAL = "4711.0815"
SETTINGS = {"DRIFT_HTTP__BODY_SECONDS": "1", "DRIFT_TELEMETRY__MAX_MODELS": "5"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    running = ServiceProcess(tmp_path_factory.mktemp("bad-input"), **SETTINGS)
    running.start()
    with running.client() as client:
        client.put(REFERENCE, json=reference()).raise_for_status()
    yield running
    assert running.stop() == 0
    assert "Traceback" not in running.said()


@pytest.fixture(scope="module")
def only_client(service: ServiceProcess) -> Iterator[httpx.Client]:
    with service.client() as client:
        yield client


@pytest.fixture
def client(only_client: httpx.Client) -> Iterator[httpx.Client]:
    yield only_client
    answer = only_client.post(OBSERVATIONS, content=GOOD, headers={"Content-Type": JSON})
    assert answer.status_code == 200, "the service is unharmed"


def raw(service: ServiceProcess, request: bytes) -> int:
    """The status of the answer to bytes that no client would send; 0 if there was none."""
    address = httpx.URL(service.url)
    with socket.create_connection((address.host, address.port or 0), timeout=30) as connection:
        try:
            connection.sendall(request)
            answer = connection.recv(1000)
        except (ConnectionError, BrokenPipeError):
            return 0
    return int(answer.split()[1]) if answer else 0


def head(*headers: str, path: str = OBSERVATIONS, method: str = "POST") -> bytes:
    lines = (f"{method} {path} HTTP/1.1", "Host: a", f"Content-Type: {JSON}", *headers, "", "")
    return "\r\n".join(lines).encode("latin-1")


def posted(client: httpx.Client, content: Any, content_type: str = JSON, **headers: str) -> httpx.Response:
    answer = client.post(OBSERVATIONS, content=content, headers={"Content-Type": content_type, **headers})
    if answer.status_code != 200:
        assert answer.headers["content-type"] == "application/problem+json"
        assert len(answer.content) < 10_000
    return answer


def test_what_is_elsewhere_is_there() -> None:
    assert all((ROOT / path).is_file() for path in ELSEWHERE.values())


# HTTP and framing


def test_01_02_a_body_over_the_limit_is_refused_before_it_is_there(service: ServiceProcess, client: Any) -> None:
    before = resident_bytes(service.pid)
    assert raw(service, head("Content-Length: 100000000")) == 413

    def chunks() -> Iterator[bytes]:
        for _ in range(100):
            yield bytes(2**20)

    with suppress(httpx.WriteError):  # it does not wait for the rest
        assert posted(client, chunks()).status_code == 413
    assert resident_bytes(service.pid) - before < 32 * 2**20


def test_03_exactly_the_limit_is_taken_and_a_byte_more_is_not(client: httpx.Client) -> None:
    assert posted(client, GOOD.ljust(LIMIT)).status_code == 200
    assert posted(client, GOOD.ljust(LIMIT + 1)).status_code == 413


@pytest.mark.parametrize(
    "lengths",
    [
        ("Content-Length: 19", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Content-Length: 19"),
        ("Content-Length: 19", "Content-Length: 18"),
        ("Content-Length: -1",),
        ("Content-Length: +19",),
        ("Content-Length: 0x13",),
        ("Content-Length: 99999999999999999999999",),
        ("Transfer-Encoding: gzip",),
        ("Idempotency-Key: a\0b", "Content-Length: 19"),
        ("X: " + "a" * 100_000, "Content-Length: 19"),
        ("X: " + "a" * 1_000_000, "Content-Length: 19"),
        *[("X: a",) * 10_000],
    ],
    ids=range(12),
)
def test_04_05_08_framing_that_is_ambiguous_or_endless_is_malformed(
    service: ServiceProcess, client: Any, lengths: tuple[str, ...]
) -> None:
    assert raw(service, head(*lengths) + b"4711.0815 4711.0815") in {400, 431}
    assert client.get("/livez").status_code == 200


def test_06_07_many_stalled_bodies_are_given_up_and_others_are_served(service: ServiceProcess, client: Any) -> None:
    address = httpx.URL(service.url)
    count = min(1_000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)
    with ExitStack() as stack:
        stalled = [
            stack.enter_context(socket.create_connection((address.host, address.port or 0), timeout=60))
            for _ in range(count)
        ]
        for connection in stalled:
            connection.sendall(head("Content-Length: 400") + b"{}{")
        client.put("/v1/models/steady/reference", json=reference()).raise_for_status()
        answer = client.post("/v1/models/steady/observations", content=GOOD, headers={"Content-Type": JSON})
        assert answer.status_code == 200
        statuses = {connection.recv(12)[-3:] for connection in stalled}
    assert statuses <= {b"408", b"429", b"503"}
    assert b"408" in statuses


PACKED = gzip.compress(GOOD)


@pytest.mark.parametrize(
    ("coding", "content", "status"),
    [
        ("gzip", PACKED, 200),
        ("zstd", zstd.compress(GOOD), 200),
        (None, PACKED, 200),
        ("gzip", gzip.compress(bytes(2**26)), 413),
        ("zstd", zstd.compress(bytes(2**26)), 413),
        (None, gzip.compress(bytes(2**26)), 413),
        ("gzip", gzip.compress(PACKED), 400),
        ("gzip, gzip", gzip.compress(PACKED), 415),
        ("br", PACKED, 415),
        ("unheard-of", PACKED, 415),
        ("gzip", GOOD, 400),
        ("gzip", PACKED[:-4], 400),
        ("gzip", PACKED + b"\0", 400),
        ("gzip", PACKED + PACKED, 400),
        ("gzip", b"", 400),
    ],
    ids=range(15),
)
def test_09_10_codings(
    service: ServiceProcess, client: httpx.Client, coding: str | None, content: bytes, status: int
) -> None:
    before = resident_bytes(service.pid)
    headers = {} if coding is None else {"Content-Encoding": coding}
    assert posted(client, content, **headers).status_code == status
    assert resident_bytes(service.pid) - before < 64 * 2**20


@pytest.mark.parametrize(
    ("content_type", "content", "status"),
    [
        ("text/plain", GOOD, 415),
        ("multipart/form-data", GOOD, 415),
        ("application/x-protobuf", b"\x0a\xff\xff\xff\xff\x07", 415),
        ("application/octet-stream", b"\x0a\xff\xff\xff\xff\x07", 400),
        (JSON, b"\xff\xfe{}", 400),
        (JSON, b'{"rows": [["\xff' + PERSONAL.encode() + b'"]]}', 400),
        (CSV, b"a,b,c\n1,2,\xff\n", 400),
    ],
)
def test_11_34_media_types(client: httpx.Client, content_type: str, content: bytes, status: int) -> None:
    answer = posted(client, content, content_type)
    assert answer.status_code == status
    assert PERSONAL not in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/v1//models/churn/observations",
        "/v1/%2e%2e/metrics",
        "/v1/../metrics",
        "/v1/models/churn/../other/observations",
        "/v1/models/churn/observations;x",
        "/v1/models/churn/observations/",
        "/V1/models/churn/observations",
        "//v1/models/churn/observations",
    ],
)
def test_12_13_a_path_that_is_nearly_another_is_nobodys_and_nothing_is_redirected(
    service: ServiceProcess, path: str
) -> None:
    said = ("X-HTTP-Method-Override: DELETE", "X-Forwarded-Host: evil", "X-Original-URL: /metrics")
    assert raw(service, head(*said, f"Content-Length: {len(GOOD)}", path=path) + GOOD) == 404
    assert raw(service, head(*said, path="/v1/models/churn/verdicts/", method="GET")) == 404


def test_13_spoofed_hosts_change_nothing(client: httpx.Client) -> None:
    spoofed = {"Host": "evil", "X-Forwarded-For": "10.0.0.1", "X-Forwarded-Proto": "https", "Forwarded": "host=evil"}
    answer = posted(client, GOOD, **spoofed)
    assert answer.status_code == 200
    assert "evil" not in answer.text + str(answer.headers)


# JSON rows


@pytest.mark.parametrize(
    "value",
    ["NaN", "Infinity", "-Infinity", "1e400", '"nan"', '"Infinity"', "true", "null", '"1e5"', "[1]", "{}", "1" * 4_000],
)
def test_21_23_what_is_no_number_is_told_by_its_row(client: httpx.Client, value: str) -> None:
    answer = posted(client, f'{{"rows": [[1, 2, 3], [1, {value[:5000]}, 3]]}}')
    assert answer.status_code == 422
    assert [error["place"] for error in answer.json()["errors"]] == ["rows[1][1]"]


@pytest.mark.parametrize(
    ("content", "status"),
    [
        ('{"rows": [[1, 2, 3]], "rows": [[1, 2, 3]]}', 422),
        ('{"rows": [[1, 2, 3]], "extra": 1}', 422),
        ('{"rows": [[1, 2, 3]], "__proto__": {}}', 422),
        ('{"columns": {"amount": [1], "age": [2], "tenure": [3], "__proto__": [4]}}', 422),
        (json.dumps({"columns": {str(number): [1] for number in range(10_000)}}), 422),
        (json.dumps({"instances": [{str(number): 1 for number in range(10_000)}]}), 422),
        ("[" * 100_000, 400),
        ('{"rows": ' + "[" * 100_000 + "]" * 100_000 + "}", 400),
        ('{"instances": ' + "[" * 100_000 + "]" * 100_000 + "}", 400),
        ('{"rows": [' + "[]," * 1_000_000 + "[]]}", 422),
        ('{"rows": [[1, 2, ' + "1" * 5_000 + "]]}", 400),
        ('{"rows": [' + "[1,2,3]," * 2_500_000 + "[1,2,3]]}", 413),
        ('{"rows": [[' + "1," * 1_000_000 + "1]]}", 422),
        ('{"rows": [[1, 2, 3], [1, 2]]}', 422),
        ('{"rows": []}', 422),
        ('{"rows": [[]]}', 422),
        ('{"instances": []}', 422),
    ],
    ids=range(17),
)
def test_22_23_24_documents(client: httpx.Client, content: str, status: int) -> None:
    assert posted(client, content).status_code == status


NAMES = ["\ud800", "a\0b", "\u202eevil", "x" * 10**6, ""]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_25_names_that_are_none_are_refused(client: httpx.Client, name: str) -> None:
    body = json.dumps(payload(rows(1, 200), features=["a", "b", name]))
    answer = client.put("/v1/models/named/reference", content=body, headers={"Content-Type": JSON})
    assert answer.status_code == (400 if name == "\ud800" else 422)
    assert len(answer.content) < 10_000


def test_25_names_are_compared_byte_by_byte(client: httpx.Client) -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    named = payload(rows(1, 200), features=["\u05d0", composed, "c"])
    client.put("/v1/models/bytes/reference", json=named).raise_for_status()
    path = "/v1/models/bytes/observations"
    assert client.post(path, json={"rows": [[1, 2, 3]], "features": ["\u05d0", composed, "c"]}).status_code == 200
    assert client.post(path, json={"rows": [[1, 2, 3]], "features": ["\u05d0", decomposed, "c"]}).status_code == 422


def test_26_60_values_and_models_make_no_series_beyond_the_limits(client: httpx.Client) -> None:
    for number in range(10):
        client.put(f"/v1/models/model-{number}/reference", json=reference(count=100)).raise_for_status()
        client.post(f"/v1/models/model-{number}/observations", json=payload(rows(number, 5))).raise_for_status()
    before = client.get("/metrics").text
    distinct = np.arange(60_000.0).reshape(-1, 3)
    assert posted(client, json.dumps(payload(distinct))).status_code == 200
    after = client.get("/metrics").text
    models = {line.partition('model="')[2].partition('"')[0] for line in after.splitlines() if 'model="' in line}
    assert len(models) <= 6
    assert "other" in models
    assert len(after.splitlines()) <= len(before.splitlines()) + 100
    assert len(after) < 10 * 2**20


def finite(node: Any) -> bool:
    """No number in a JSON document is one that JSON does not have."""
    if isinstance(node, dict | list):
        return all(map(finite, node.values() if isinstance(node, dict) else node))
    return not isinstance(node, float) or bool(np.isfinite(node))


EXTREMES = [5e-324, -0.0, 1.7e308, -1.7e308, 2.0**53, 0.0]


def test_27_28_29_extreme_constant_and_missing_features_have_a_defined_verdict(client: httpx.Client) -> None:
    path = "/v1/models/extreme"
    held = rows(1, 400, features=4)
    held[:, 1] = 7.0
    named = payload(held, features=["extreme", "constant", "missing", "usual"])
    client.put(f"{path}/reference", json=named).raise_for_status()
    detectors = [{"name": "kolmogorov_smirnov"}, {"name": "maximum_mean_discrepancy"}, {"name": "missing_values"}]
    plan = {"window": {"rows": 30, "every_seconds": 60}, "detectors": detectors, "missing_values": "keep"}
    client.put(f"{path}/plan", json=plan).raise_for_status()
    window = [[EXTREMES[number % 6], 7.0, None, 0.5] for number in range(30)]
    moments = ["2026-01-31T12:00:00Z", "2026-01-31T12:00:30Z", "2026-01-31T12:00:10Z"] * 10
    sent = {"rows": window, "observed_at": moments}
    for _ in range(2):  # the same name twice counts once
        answer = client.post(f"{path}/observations", json=sent, headers={"Idempotency-Key": "once"})
        assert answer.status_code == 200, answer.text
    one = {"rows": [[1, 7, 3, 4]], "observed_at": "2026-01-31T13:00:00Z"}  # a window of a single row ...
    end = {"rows": [[1, 7, 3, 4]], "observed_at": "2026-01-31T14:00:00Z"}  # ... which this one ends
    for body in (one, end):
        client.post(f"{path}/observations", json=body).raise_for_status()
    found = eventually(
        lambda: len(verdicts := client.get(f"{path}/verdicts").json()["verdicts"]) >= 2 and verdicts, "two"
    )
    assert finite(found)
    assert [verdict["rows"] for verdict in reversed(found)] == [30, 1]
    assert found[-2]["finding"] == "UNDECIDED"


@pytest.mark.parametrize(
    "moment",
    ["9999-12-31T23:59:59Z", "-0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "+12026-01-01T00:00:00Z", "0", {}],
)
def test_29_times_that_cannot_be_are_refused(client: httpx.Client, moment: Any) -> None:
    if moment == "0":
        moment = "1e30"
    answer = posted(client, json.dumps({"rows": [[1, 2, 3]], "observed_at": moment}))
    assert answer.status_code == 422


# Binary formats


@pytest.mark.parametrize(
    "content",
    [
        npy(described("'|O'")),
        npy(described("[('a', '|O')]")),
        npy(described("__import__('os').system('true')")),
        npy("(" * 9_000),
        npy(described(shape="(1000000000000, 3)")),
        npy(described(shape="(-1, 3)")),
        npy(described(shape="(9223372036854775808, 3)")),
        npy(described("'|V0'", "(1000000000000000000,)")),
        npy(described(), bytes(23)),
        npy(described(), bytes(25)),
    ],
    ids=range(10),
)
def test_30_npy_files_that_cannot_be(client: httpx.Client, content: bytes) -> None:
    assert posted(client, content, NPY).status_code == 400


def test_30_npy_files_in_other_orders_are_read(client: httpx.Client) -> None:
    for array in (np.asfortranarray(np.ones((2, 3))), np.ones((2, 3), ">f8")):
        file = io.BytesIO()
        np.lib.format.write_array(file, array)
        assert posted(client, file.getvalue(), NPY).status_code == 200


@pytest.mark.parametrize(
    "content", [b"PK\x03\x04" + bytes(100), pickle.dumps([1]), b"PAR1" + bytes(100)], ids=["zip", "pickle", "parquet"]
)
def test_31_other_files_sent_as_npy(client: httpx.Client, content: bytes) -> None:
    assert posted(client, content, NPY).status_code == 415


@pytest.mark.parametrize(
    "content", [b"", bytes(500), np.random.default_rng(1).bytes(500), b"\xff\xff\xff\xff\xf0\xff\xff\xff"]
)
def test_32_33_arrow_streams_that_cannot_be(client: httpx.Client, content: bytes) -> None:
    assert posted(client, content, ARROW).status_code == 400


# Storage and identifiers


@pytest.mark.parametrize(
    "model", ["..%2fx", "a:b", "{x}", "*", "a%0a", "a%00b", "x" * 10_000, "%F0%9F%98%80", "%0d%0aDEL"]
)
def test_35_36_models_that_are_none(service: ServiceProcess, client: httpx.Client, model: str) -> None:
    answer = client.post(f"/v1/models/{model}/observations", content=GOOD, headers={"Content-Type": JSON})
    assert answer.status_code in {404, 422}
    assert keys_of_others(service) == []


@pytest.mark.parametrize("name", ["", "x" * 10_000, "a\tb", "\xe4", "\xf0\x9f"], ids=range(5))
def test_35_36_names_of_batches_that_are_none(service: ServiceProcess, client: httpx.Client, name: str) -> None:
    headers = [(b"Content-Type", b"application/json"), (b"Idempotency-Key", name.encode("latin-1"))]
    assert client.post(OBSERVATIONS, content=GOOD, headers=headers).status_code == 422
    assert keys_of_others(service) == []


@pytest.mark.parametrize("name", ["../x", "a:b", "{x}", "*", "%00", "a%0d%0aFLUSHALL", "$(x)"])
def test_35_36_names_of_batches_are_only_names(service: ServiceProcess, client: httpx.Client, name: str) -> None:
    assert posted(client, GOOD, **{"Idempotency-Key": name}).status_code == 200
    assert keys_of_others(service) == []


def keys_of_others(service: ServiceProcess) -> list[bytes]:
    with service.embedded_server() as store:
        return [key for key in store.keys("*") if not key.startswith(b"driftwarden:")]


@pytest.fixture
def two_models(client: httpx.Client) -> None:
    for model in ("mine", "yours"):
        client.put(f"/v1/models/{model}/reference", json=reference(count=100)).raise_for_status()


@pytest.mark.anyio
@pytest.mark.usefixtures("two_models")
async def test_37_who_goes_away_gets_nobody_elses_answer(service: ServiceProcess) -> None:
    draw, answered = np.random.default_rng(1), 0

    async def ask(other: httpx.AsyncClient, model: str, patience: int) -> bool:
        task = asyncio.ensure_future(other.get(f"/v1/models/{model}/verdicts"))
        for _ in range(patience):
            await asyncio.sleep(0)
        if not task.done() and patience < 40:
            task.cancel()
        try:
            answer = await task
        except asyncio.CancelledError:
            return False
        assert answer.json()["model"] == model
        return True

    async with httpx.AsyncClient(base_url=service.url, timeout=60, trust_env=False) as other:
        for _ in range(20):
            asked = [ask(other, str(draw.choice(["mine", "yours"])), int(draw.integers(60))) for _ in range(20)]
            answered += sum(await asyncio.gather(*asked))
    assert answered > 50


# Telemetry


def test_61_nothing_that_is_sent_forges_a_line_of_the_log(service: ServiceProcess, client: httpx.Client) -> None:
    secret = "hunter2"  # noqa: S105 - not one
    client.get(
        f"/v1/models/%0aERROR forged%1b[31m/verdicts?key={secret}", headers={"Authorization": f"Bearer {secret}"}
    )
    posted(client, '{"rows": [["\\nERROR forged ' + secret + '"]]}', Authorization=f"Bearer {secret}")
    headers = kserve_headers("request", "1", **{"Ce-Id": "a%0aERROR forged%1b[31m", "Authorization": secret})
    assert client.post("/v1/cloudevents", content=b"{}", headers=headers).status_code == 400
    headers = kserve_headers("request", "1", Authorization=secret)
    wrong = json.dumps({"instances": [[f"\nERROR forged \x1b[31m {secret} " + "x" * 10**6]]})
    assert client.post("/v1/cloudevents", content=wrong, headers=headers).status_code == 200
    eventually(
        lambda: "a logged request of model churn is not observed" in service.said(), "the event is complained of"
    )
    said = service.said()
    assert secret not in said
    assert "\x1b" not in said
    assert "forged" not in said
    assert max(map(len, said.splitlines())) < 5_000
