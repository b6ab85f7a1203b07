"""Where the store is and how it is spoken to: one URL, and files for what does not belong into a URL.

    redis://[user:password@]host[:6379][/database]
    redis+sentinel://[user:password@]host[:26379],host.../master-name[/database]
    redis+cluster://[user:password@]host[:6379],host...      any nodes of it; the others are found
    unix://[user:password@]/path/to/socket[?db=database]

`rediss`, `rediss+sentinel` and `rediss+cluster` demand TLS. Nothing here repeats what the URL says, which may be a
password.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from urllib.parse import parse_qsl, unquote

from service.domain.errors import InvalidConfiguration

SERVER_PORT, SENTINEL_PORT = 6379, 26379


class Kind(StrEnum):
    """How the servers are run."""

    SERVER = "redis"
    SENTINEL = "redis+sentinel"
    CLUSTER = "redis+cluster"
    SOCKET = "unix"


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user and a password; the password from a file is read anew for every connection, so that it may be rotated."""

    username: str | None = None
    password: str | None = field(default=None, repr=False)
    password_file: Path | None = None

    def __bool__(self) -> bool:
        return self != Credentials()


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """What TLS is checked with; read anew when they change, so that certificates may be rotated."""

    ca_file: Path | None = None
    """Only what it signed is trusted. None: what the system trusts."""
    certificate_file: Path | None = None
    key_file: Path | None = None
    check_hostname: bool = True


@dataclass(frozen=True, slots=True)
class Access:
    """What is known of the store beside its URL."""

    credentials: Credentials = Credentials()
    sentinel_credentials: Credentials = Credentials()
    """Sentinels have users of their own; without these they are asked without a password."""
    tls: TlsFiles = TlsFiles()


@dataclass(frozen=True, slots=True)
class Address:
    """A URL, taken apart."""

    kind: Kind
    tls: bool = False
    nodes: tuple[tuple[str, int], ...] = ()
    path: str = ""
    """Of a Unix socket."""
    master: str = ""
    """The name under which the Sentinels know the server."""
    database: int = 0
    credentials: Credentials = Credentials()


def parse_address(url: str) -> Address:
    """Raises `InvalidConfiguration`, without the URL."""
    scheme, separator, rest = url.partition("://")
    tls = scheme.startswith("rediss")
    try:
        kind = Kind(f"redis{scheme.removeprefix('rediss')}" if tls else scheme)
    except ValueError:
        kind = None
    if kind is None or not separator:
        raise _unusable("begins with none of redis://, rediss://, redis+sentinel://, redis+cluster://, unix://")
    rest, _, query = rest.partition("?")
    authority, _, path = rest.partition("/")
    user, _, hosts = authority.rpartition("@")
    credentials, database = _credentials(user), _database(query)
    if kind is Kind.SOCKET:
        if hosts or not path:
            raise _unusable("names no absolute path of a socket")
        return Address(kind, path=unquote(f"/{path}"), database=database or 0, credentials=credentials)
    nodes = _nodes(hosts, SENTINEL_PORT if kind is Kind.SENTINEL else SERVER_PORT)
    master = ""
    if kind is Kind.SENTINEL:
        master, _, path = path.partition("/")
        if not master:
            raise _unusable("names no master: redis+sentinel://host:26379/master-name")
    elif kind is Kind.SERVER and len(nodes) > 1:
        raise _unusable("names several servers: say redis+sentinel:// or redis+cluster://")
    if path and database is None:
        database = _number(path, "database")
    if kind is Kind.CLUSTER and database:
        raise _unusable("names a database, and a cluster has only 0")
    return Address(kind, tls, nodes, "", unquote(master), database or 0, credentials)


def _credentials(user: str) -> Credentials:
    username, _, password = user.partition(":")
    return Credentials(unquote(username) or None, unquote(password) or None)


def _database(query: str) -> int | None:
    settings = dict(parse_qsl(query, keep_blank_values=True))
    number = settings.pop("db", None)
    if settings:
        raise _unusable("has a query of which only `db` is read; the rest is set by DRIFT_STORE__ variables")
    return None if number is None else _number(number, "database")


def _nodes(hosts: str, default_port: int) -> tuple[tuple[str, int], ...]:
    nodes = []
    for node in hosts.split(","):
        host, separator, port = node.rpartition(":")
        if not separator or node.endswith("]"):  # an IPv6 address without a port
            host, port = node, str(default_port)
        host = unquote(host.removeprefix("[").removesuffix("]"))
        number = _number(port, "port")
        if not host or not 0 < number < 65536:
            raise _unusable("has a host without a name, or a port that is none")
        nodes.append((host, number))
    return tuple(nodes)


def _number(text: str, what: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise _unusable(f"has a {what} that is no number")
    return int(text)


def _unusable(fault: str) -> InvalidConfiguration:
    return InvalidConfiguration(f"DRIFT_STORE__URL {fault}")
