"""The store's URL taken apart, and what contradicts itself refused before anything is sent."""

from pathlib import Path

import pytest

from service.adapters.store_address import Access, Address, Credentials, Kind, TlsFiles, parse_address
from service.adapters.store_connection import connection
from service.domain.errors import InvalidConfiguration


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://h", Address(Kind.SERVER, nodes=(("h", 6379),))),
        ("redis://h:7/", Address(Kind.SERVER, nodes=(("h", 7),))),
        ("redis://h/3", Address(Kind.SERVER, nodes=(("h", 6379),), database=3)),
        ("redis://h?db=3", Address(Kind.SERVER, nodes=(("h", 6379),), database=3)),
        ("rediss://h", Address(Kind.SERVER, tls=True, nodes=(("h", 6379),))),
        ("redis://[::1]", Address(Kind.SERVER, nodes=(("::1", 6379),))),
        ("redis://[::1]:7", Address(Kind.SERVER, nodes=(("::1", 7),))),
        ("redis://:p%40%2F@h", Address(Kind.SERVER, nodes=(("h", 6379),), credentials=Credentials(None, "p@/"))),
        ("redis://u:p:q@h", Address(Kind.SERVER, nodes=(("h", 6379),), credentials=Credentials("u", "p:q"))),
        ("unix:///run/a%20b.sock?db=2", Address(Kind.SOCKET, path="/run/a b.sock", database=2)),
        ("unix://u:p@/s", Address(Kind.SOCKET, path="/s", credentials=Credentials("u", "p"))),
        ("redis+sentinel://a,b:7/main", Address(Kind.SENTINEL, nodes=(("a", 26379), ("b", 7)), master="main")),
        ("redis+sentinel://a/main/3", Address(Kind.SENTINEL, nodes=(("a", 26379),), master="main", database=3)),
        ("rediss+sentinel://a/main", Address(Kind.SENTINEL, tls=True, nodes=(("a", 26379),), master="main")),
        ("redis+cluster://a:7,[::1]:8", Address(Kind.CLUSTER, nodes=(("a", 7), ("::1", 8)))),
        ("rediss+cluster://a", Address(Kind.CLUSTER, tls=True, nodes=(("a", 6379),))),
    ],
)
def test_a_url_is_understood(url: str, expected: Address) -> None:
    assert parse_address(url) == expected


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("valkey://h", "begins with none of"),
        ("redis:h", "begins with none of"),
        ("rediss+http://h", "begins with none of"),
        ("redis://", "host without a name"),
        ("redis://hunter2:x@", "host without a name"),
        ("redis://h:0", "port that is none"),
        ("redis://h:65536", "port that is none"),
        ("redis://h:x", "port that is no number"),
        ("redis://h:6379x", "port that is no number"),
        ("redis://h/x", "database that is no number"),
        ("redis://h/1/2", "database that is no number"),
        ("redis://h?db=", "database that is no number"),
        ("rediss://h?ssl_cert_reqs=none", "only `db` is read"),
        ("redis://h?password=hunter2", "only `db` is read"),
        ("redis://a,b", "several servers"),
        ("redis+sentinel://a", "names no master"),
        ("redis+sentinel://a/", "names no master"),
        ("redis+sentinel://a/main/x", "database that is no number"),
        ("redis+cluster://a/1", "a cluster has only 0"),
        ("unix://relative/path", "no absolute path"),
        ("unix://", "no absolute path"),
    ],
)
def test_a_url_that_says_something_else_is_refused_by_what_is_wrong(url: str, reason: str) -> None:
    with pytest.raises(InvalidConfiguration, match=reason) as raised:
        parse_address(url)
    assert "hunter2" not in str(raised.value)


def test_a_password_is_not_shown() -> None:
    assert "hunter2" not in repr(parse_address("redis://user:hunter2@h"))


NOWHERE = Path("/nowhere/file")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("url", "access", "reason"),
    [
        ("redis://h", Access(tls=TlsFiles(ca_file=NOWHERE)), "does not begin with rediss"),
        ("redis://h", Access(tls=TlsFiles(check_hostname=False)), "does not begin with rediss"),
        ("rediss://h", Access(tls=TlsFiles(ca_file=NOWHERE)), "TLS_CA_FILE cannot be used"),
        ("rediss://h", Access(tls=TlsFiles(certificate_file=NOWHERE)), "TLS_CERTIFICATE_FILE or TLS_KEY_FILE"),
        ("rediss://h", Access(tls=TlsFiles(key_file=NOWHERE)), "without a TLS_CERTIFICATE_FILE"),
        ("redis://h", Access(Credentials("u", None, NOWHERE)), "password cannot be read from /nowhere/file"),
        ("redis://h", Access(Credentials("u")), "has no password"),
        ("redis://u@h", Access(), "has no password"),
        ("redis://u:hunter2@h", Access(Credentials("u", None, NOWHERE)), "both in DRIFT_STORE__URL and in settings"),
        ("redis://h", Access(sentinel_credentials=Credentials("u", "p")), "none of Sentinels"),
    ],
)
async def test_what_contradicts_itself_or_cannot_be_read_is_refused_at_start(
    url: str, access: Access, reason: str
) -> None:
    with pytest.raises(InvalidConfiguration, match=reason) as raised:
        async with connection(url, 1.0, access):
            pass
    assert "hunter2" not in str(raised.value)


@pytest.mark.anyio
async def test_a_file_that_holds_no_certificate_is_refused_without_its_content(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("hunter2")
    with pytest.raises(InvalidConfiguration, match="TLS_CA_FILE") as raised:
        async with connection("rediss://h", 1.0, Access(tls=TlsFiles(ca_file=file))):
            pass
    assert "hunter2" not in str(raised.value)
