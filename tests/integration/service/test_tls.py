"""TLS on the service's own port: client certificates as credentials, and files that are renewed while it runs."""

import contextlib
import hashlib
import shutil
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path

import httpx
import pytest

from service.http.tls import certificate_names
from tests.processes.callers import bearer
from tests.processes.certificates import Authority, Certificate
from tests.processes.services import ServiceProcess
from tests.processes.waiting import eventually

SPIFFE = "spiffe://cluster.local/ns/inference/sa/fraud"
VERDICTS = "/v1/models/fraud/verdicts"
HANDSHAKE_ENDS = r"unknown ca|expired|closed|reset|EOF|alert|version"
Answered = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Secured:
    """A service with a certificate, and the authorities around it."""

    service: ServiceProcess
    servers: Authority
    clients: Authority
    directory: Path

    @property
    def address(self) -> tuple[str, int]:
        url = httpx.URL(self.service.url)
        return url.host, url.port or 0

    def ask(self, client: Certificate | None = None, path: str = VERDICTS, token: str | None = None) -> Answered:
        """Status and kind of problem; raises `OSError` where the handshake fails."""
        context = ssl.create_default_context(cafile=self.servers.certificate)
        if client is not None:
            context.load_cert_chain(client.certificate, client.key)
        headers = "" if token is None else f"Authorization: {bearer(token)['Authorization']}\r\n"
        with (
            socket.create_connection(self.address, timeout=30) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as secured,
        ):
            secured.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode())
            answer = HTTPResponse(secured)
            answer.begin()
            return answer.status, answer.read().decode()

    def served_certificate(self, name: str = "localhost") -> bytes:
        """Asked for by a name, or by an address, which a handshake does not tell the server."""
        context = ssl.create_default_context(cafile=self.servers.certificate)
        with (
            socket.create_connection(self.address, timeout=30) as plain,
            context.wrap_socket(plain, server_hostname=name) as secured,
        ):
            return hashlib.sha256(secured.getpeercert(binary_form=True) or b"").digest()


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    directory = tmp_path_factory.mktemp("secured")
    servers, clients = Authority(directory / "servers"), Authority(directory / "clients")
    server = servers.issue("server")
    for source, name in ((server.certificate, "tls.crt"), (server.key, "tls.key"), (clients.certificate, "ca.crt")):
        shutil.copy(source, directory / name)
    (directory / "callers").write_text(
        f"fraud-pods certificate:URI:{SPIFFE} read fraud\nby-dns certificate:DNS:churn.inference.svc read churn\n"
        "by-name certificate:CN:dashboard read *\n"
    )
    service = ServiceProcess(
        directory,
        DRIFT_HTTP__TLS_CERTIFICATE_FILE=str(directory / "tls.crt"),
        DRIFT_HTTP__TLS_KEY_FILE=str(directory / "tls.key"),
        DRIFT_HTTP__CLIENT_CA_FILE=str(directory / "ca.crt"),
        DRIFT_AUTHENTICATION__CALLERS_FILE=str(directory / "callers"),
        DRIFT_HTTP__METRICS_PORT="0",
    )
    service.start()
    assert service.url.startswith("https://")
    yield Secured(service, servers, clients, directory)
    service.stop()
    service.end_orphan()


@pytest.mark.parametrize(
    ("name", "alternatives", "path", "status"),
    [
        ("pod", f"URI:{SPIFFE}", VERDICTS, 404),
        ("pod", f"DNS:anything,URI:{SPIFFE}", VERDICTS, 404),
        ("pod", f"URI:{SPIFFE}", "/v1/models/churn/verdicts", 403),
        ("pod", f"URI:{SPIFFE}/more", VERDICTS, 401),
        ("pod", "DNS:churn.inference.svc", "/v1/models/churn/verdicts", 404),
        ("dashboard", "DNS:anything", VERDICTS, 404),
        ("stranger", "DNS:anything", VERDICTS, 401),
        ("stranger", "DNS:anything", "/livez", 200),
    ],
)
def test_a_certificate_is_who_its_names_say(
    secured: Secured, name: str, alternatives: str, path: str, status: int
) -> None:
    assert secured.ask(secured.clients.issue(name, alternatives), path)[0] == status


def test_without_a_certificate_nobody_is_known_and_probes_are_answered(secured: Secured) -> None:
    assert secured.ask()[0] == 401
    assert secured.ask(path="/livez")[0] == 200


def test_a_token_that_is_nobodys_is_not_made_good_by_a_certificate(secured: Secured) -> None:
    known = secured.clients.issue("dashboard")
    assert secured.ask(known, token="nobody's")[0] == 401  # noqa: S106
    assert secured.ask(known)[0] == 404


def test_a_certificate_of_another_authority_or_an_expired_one_ends_the_handshake(secured: Secured) -> None:
    forged = Authority(secured.directory / "forgers").issue("dashboard", f"URI:{SPIFFE}")
    expired = secured.clients.issue("dashboard", days=-1)
    for certificate in (forged, expired):
        with pytest.raises(OSError, match=HANDSHAKE_ENDS):
            secured.ask(certificate)
    assert secured.ask(path="/livez")[0] == 200


def test_plain_http_is_not_answered_there_and_the_metrics_port_speaks_it(secured: Secured) -> None:
    with socket.create_connection(secured.address, timeout=30) as plain:
        plain.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert not plain.recv(100).startswith(b"HTTP")
    side = secured.service.said().partition("metrics=")[2].split()[0]
    assert httpx.get(f"{side}/metrics", trust_env=False).status_code == 200


def test_old_versions_of_tls_are_not_spoken(secured: Secured) -> None:
    context = ssl.create_default_context(cafile=secured.servers.certificate)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(secured.address, timeout=30) as plain,
        pytest.raises(OSError, match=HANDSHAKE_ENDS),
    ):
        context.wrap_socket(plain, server_hostname="localhost")


def test_renewed_files_are_used_by_the_next_connection(secured: Secured) -> None:
    """Runs last: from here on the clients' authority is another one."""
    before = secured.served_certificate()
    renewed = secured.servers.issue("renewed")
    successors = Authority(secured.directory / "successors")
    old, new = secured.clients.issue("dashboard"), successors.issue("dashboard")
    assert secured.ask(old)[0] == 404
    with pytest.raises(OSError, match=HANDSHAKE_ENDS):
        secured.ask(new)
    (secured.directory / "tls.crt").write_text("half of it")
    eventually(lambda: "cannot be used" in secured.service.said(), "it says that this is no certificate")
    assert secured.served_certificate() == before
    for source, name in (
        (renewed.key, "tls.key"),
        (renewed.certificate, "tls.crt"),
        (successors.certificate, "ca.crt"),
    ):
        shutil.copy(source, secured.directory / name)
    eventually(lambda: secured.served_certificate() != before, "the renewed certificate is served")
    assert secured.served_certificate("127.0.0.1") == secured.served_certificate() != before
    eventually(lambda: _status(secured, new) == 404, "the new authority is believed")
    with pytest.raises(OSError, match=HANDSHAKE_ENDS):
        secured.ask(old)
    assert "Traceback" not in secured.service.said()


def _status(secured: Secured, certificate: Certificate) -> int:
    try:
        return secured.ask(certificate)[0]
    except OSError:
        return 0


def test_the_names_of_a_certificate_come_in_a_fixed_order() -> None:
    certificate = {
        "subject": ((("organizationName", "ours"),), (("commonName", "pod"),)),
        "subjectAltName": (("DNS", "a"), ("IP Address", "127.0.0.1"), ("URI", "spiffe://x"), ("DNS", "b")),
    }
    assert certificate_names(certificate) == ("URI:spiffe://x", "DNS:a", "DNS:b", "CN:pod")
    assert certificate_names(None) == certificate_names({}) == ()
