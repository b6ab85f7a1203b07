"""TLS with the store is what was demanded, or there is no connection and the reason is told."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from service.adapters.store import Keys, connection, is_writable
from service.adapters.store_address import Access, Credentials, TlsFiles
from service.adapters.store_permissions import access_rules
from service.domain.errors import StoreUnavailable
from tests.integration.store.senders import register, windows_of
from tests.processes.certificates import Authority, Certificate
from tests.processes.fixtures import MakeService
from tests.processes.store_groups import MASTER_NAME, Cluster, SentinelServer
from tests.processes.stores import StoreServer, free_port, redis_binary
from tests.processes.traffic import payload, rows
from tests.processes.waiting import eventually_async

pytestmark = pytest.mark.anyio


@dataclass(frozen=True, slots=True)
class Certificates:
    authority: Authority
    server: Certificate
    client: Certificate
    stranger: Authority


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    authority = Authority(tmp_path_factory.mktemp("authority"))
    stranger = Authority(tmp_path_factory.mktemp("stranger"))
    return Certificates(authority, authority.issue("store"), authority.issue("driftwarden"), stranger)


def arguments(of: Certificate, authority: Authority, port: int, clients: str = "yes") -> tuple[str, ...]:
    """A server that also listens for TLS."""
    files = ("--tls-cert-file", str(of.certificate), "--tls-key-file", str(of.key))
    trust = ("--tls-ca-cert-file", str(authority.certificate), "--tls-auth-clients", clients)
    return ("--tls-port", str(port), *files, *trust)


@pytest.fixture(scope="session")
def secured(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[StoreServer, int]]:
    """Give a server that asks its clients for a certificate, and the port."""
    port = free_port()
    listening = arguments(certificates.server, certificates.authority, port)
    server = StoreServer(redis_binary(), tmp_path_factory.mktemp("store"), *listening)
    server.start()
    yield server, port
    server.kill()


def files(certificates: Certificates, **changes: object) -> Access:
    """What a client needs that does everything right, but for the changes."""
    own: dict[str, object] = {
        "ca_file": certificates.authority.certificate,
        "certificate_file": certificates.client.certificate,
        "key_file": certificates.client.key,
    }
    return Access(tls=TlsFiles(**{**own, **changes}))  # type: ignore[arg-type]


async def attempt(url: str, access: Access, timeout_seconds: float = 5.0) -> None:
    async with connection(url, timeout_seconds, access) as client:
        await is_writable(client, Keys("test"))


async def test_certificates_on_both_sides(certificates: Certificates, secured: tuple[StoreServer, int]) -> None:
    await attempt(f"rediss://localhost:{secured[1]}", files(certificates))


async def test_only_the_given_authority_is_trusted(
    certificates: Certificates, secured: tuple[StoreServer, int]
) -> None:
    with pytest.raises(StoreUnavailable, match="certificate is not accepted"):
        await attempt(
            f"rediss://localhost:{secured[1]}", files(certificates, ca_file=certificates.stranger.certificate)
        )


async def test_a_client_without_a_certificate_is_told_that_it_needs_one(
    certificates: Certificates, secured: tuple[StoreServer, int]
) -> None:
    access = files(certificates, certificate_file=None, key_file=None)
    with pytest.raises(StoreUnavailable, match=r"no TLS with the store|does not answer"):
        await attempt(f"rediss://localhost:{secured[1]}", access)


async def test_a_server_without_tls_is_not_spoken_to_in_the_clear(
    certificates: Certificates, secured: tuple[StoreServer, int]
) -> None:
    with pytest.raises(StoreUnavailable, match="no TLS with the store"):
        await attempt(f"rediss://localhost:{secured[0].port}", files(certificates), 2.0)


async def test_an_expired_certificate_and_one_of_another_host_are_refused(
    certificates: Certificates, tmp_path: Path
) -> None:
    authority = certificates.authority
    cases = {
        "expired": (authority.issue("expired", days=-1), "has expired"),
        "elsewhere": (authority.issue("elsewhere", "DNS:elsewhere.example"), "ostname mismatch|not valid for"),
    }
    for name, (certificate, reason) in cases.items():
        port = free_port()
        server = StoreServer(redis_binary(), tmp_path / name, *arguments(certificate, authority, port, "no"))
        server.start()
        try:
            with pytest.raises(StoreUnavailable, match=reason):
                await attempt(f"rediss://localhost:{port}", files(certificates))
            if name == "elsewhere":
                await attempt(f"rediss://localhost:{port}", files(certificates, check_hostname=False))
        finally:
            server.kill()


async def test_a_certificate_that_was_renewed_is_used_without_a_restart(
    certificates: Certificates, secured: tuple[StoreServer, int], tmp_path: Path
) -> None:
    own = Certificate(tmp_path / "own.pem", tmp_path / "own.key")
    expired, valid = certificates.authority.issue("old", days=-1), certificates.client
    own.certificate.write_bytes(expired.certificate.read_bytes())
    own.key.write_bytes(expired.key.read_bytes())
    access = files(certificates, certificate_file=own.certificate, key_file=own.key)
    async with connection(f"rediss://localhost:{secured[1]}", 5.0, access) as client:
        with pytest.raises(StoreUnavailable):
            await is_writable(client, Keys("test"))
        own.certificate.write_bytes(valid.certificate.read_bytes())
        own.key.write_bytes(valid.key.read_bytes())
        await is_writable(client, Keys("test"))


async def test_a_cluster_over_tls(certificates: Certificates, tmp_path: Path) -> None:
    port = free_port()
    listening = arguments(certificates.server, certificates.authority, port)
    cluster = Cluster(redis_binary(), tmp_path, *listening, "--tls-cluster", "yes", masters=1)
    try:
        cluster.start()
        url = f"rediss+cluster://127.0.0.1:{port}"
        await attempt(url, files(certificates))
        with pytest.raises(StoreUnavailable, match="certificate is not accepted"):
            await attempt(url, files(certificates, ca_file=certificates.stranger.certificate))
    finally:
        cluster.kill()


async def test_sentinel_and_its_master_over_tls(
    certificates: Certificates, secured: tuple[StoreServer, int], tmp_path: Path
) -> None:
    listening = arguments(certificates.server, certificates.authority, port := free_port())
    pairs = zip(listening[::2], listening[1::2], strict=True)
    lines = [f"{name.removeprefix('--')} {value}" for name, value in pairs]
    sentinel = SentinelServer(redis_binary(), tmp_path, secured[1], "port 0", "tls-replication yes", *lines)
    sentinel.start()
    url = f"rediss+sentinel://127.0.0.1:{port}/{MASTER_NAME}"
    try:
        async with connection(url, 5.0, files(certificates)) as client:

            async def found() -> bool:
                try:
                    await is_writable(client, Keys("test"))
                except StoreUnavailable:
                    return False
                return True

            await eventually_async(found, "the Sentinel names the master")
        with pytest.raises(StoreUnavailable, match=r"certificate|Sentinel"):
            await attempt(url, files(certificates, ca_file=certificates.stranger.certificate))
    finally:
        sentinel.kill()


async def test_a_password_file_is_read_anew(secured: tuple[StoreServer, int], tmp_path: Path) -> None:
    server, _ = secured
    password = tmp_path / "password"
    password.write_text("hunter2\n")
    with server.client() as direct:
        direct.execute_command("ACL", "SETUSER", "reader", "on", ">right", *access_rules("test"))
    async with connection(server.url, 5.0, Access(Credentials("reader", None, password))) as client:
        with pytest.raises(StoreUnavailable, match="credentials") as raised:
            await is_writable(client, Keys("test"))
        assert "hunter2" not in str(raised.value)
        password.write_text("right")
        await is_writable(client, Keys("test"))
        password.unlink()
        await client.connection_pool.disconnect()  # type: ignore[union-attr]
        with pytest.raises(StoreUnavailable, match=r"password cannot be read from .*password"):
            await is_writable(client, Keys("test"))


def test_the_service_over_tls_as_a_restricted_user(
    certificates: Certificates, secured: tuple[StoreServer, int], make_service: MakeService, tmp_path: Path
) -> None:
    server, port = secured
    password = tmp_path / "password"
    password.write_text("right\n")
    with server.client() as direct:
        direct.execute_command("ACL", "SETUSER", "watch", "on", ">right", *access_rules("driftwarden"))
        direct.execute_command("ACL", "LOG", "RESET")
    settings = {
        "DRIFT_STORE__URL": f"rediss://localhost:{port}/0",
        "DRIFT_STORE__USERNAME": "watch",
        "DRIFT_STORE__PASSWORD_FILE": str(password),
        "DRIFT_STORE__TLS_CA_FILE": str(certificates.authority.certificate),
        "DRIFT_STORE__TLS_CERTIFICATE_FILE": str(certificates.client.certificate),
        "DRIFT_STORE__TLS_KEY_FILE": str(certificates.client.key),
    }
    service = make_service(**settings)
    service.start()
    with service.client() as client, server.client() as direct:
        register(client)
        assert client.post("/v1/models/churn/observations", json=payload(rows(1, 50))).status_code == 200
        windows_of(client, 1)
        assert client.get("/readyz").status_code == 200
        assert direct.execute_command("ACL", "LOG") == []  # it never tried what it may not do
    assert service.stop() == 0
    assert "right" not in service.said()
    stranger = str(certificates.stranger.certificate)
    service = make_service(**{**settings, "DRIFT_STORE__TLS_CA_FILE": stranger})
    service.start()
    with service.client() as client:
        refused = client.get("/readyz")
        assert (refused.status_code, "certificate is not accepted" in refused.json()["detail"]) == (503, True)
