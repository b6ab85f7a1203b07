"""Pools of connections to every kind of store, alike in what they promise.

No command takes longer than the timeout, whatever hangs; what was demanded (TLS, a password) is never left out; a
server that comes back, or another that takes its place, is found without a restart.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.connection import Connection, ConnectionPool, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import (
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)
from redis.backoff import NoBackoff
from redis.credentials import CredentialProvider
from redis.exceptions import ConnectionError as RedisConnectionError

from service.adapters.store_address import Access, Address, Credentials, Kind, TlsFiles, parse_address
from service.adapters.store_cluster import MAXIMUM_CONNECTIONS, ClusterInTime, in_time
from service.adapters.store_errors import NoHandshake, UnreadableFile
from service.adapters.store_tls import Trust
from service.domain.errors import InvalidConfiguration

Client: TypeAlias = "Redis | RedisCluster"
"""What adapters speak through; they use only what both understand."""

_IDLE_SECONDS = 30
"""A connection that was idle for longer is tried before it is used."""
_WITHOUT = Access()


@asynccontextmanager
async def connection(url: str, timeout_seconds: float, access: Access = _WITHOUT) -> AsyncIterator[Client]:
    """A pool of connections; opening it sends nothing, so that the service can start before its store.

    Raises `InvalidConfiguration`.
    """
    address = parse_address(url)
    access = _checked(address, access)
    async with AsyncExitStack() as stack:
        match address.kind:
            case Kind.CLUSTER:
                client: Client = _cluster(address, access, timeout_seconds)
            case Kind.SENTINEL:
                sentinel = _sentinel(address, access, timeout_seconds)
                stack.push_async_callback(sentinel.aclose)
                client = _of_sentinel(sentinel, address, access, timeout_seconds)
            case _:
                client = _server(address, access, timeout_seconds)
        stack.push_async_callback(client.aclose)
        yield client


def _checked(address: Address, access: Access) -> Access:
    """Refuse what contradicts itself or cannot be read, before anything is sent anywhere."""
    if access.tls != TlsFiles() and not address.tls:
        raise InvalidConfiguration("DRIFT_STORE__TLS_... are set, but DRIFT_STORE__URL does not begin with rediss")
    if access.sentinel_credentials and address.kind is not Kind.SENTINEL:
        raise InvalidConfiguration("DRIFT_STORE__SENTINEL_... are set, but DRIFT_STORE__URL is none of Sentinels")
    if address.credentials and access.credentials:
        raise InvalidConfiguration("a user or a password is both in DRIFT_STORE__URL and in settings of its own")
    credentials = address.credentials or access.credentials
    for each in (credentials, access.sentinel_credentials):
        if each.username is not None and each.password is None and each.password_file is None:
            raise InvalidConfiguration("the store's user has no password: DRIFT_STORE__PASSWORD_FILE")
        if each.password_file is not None:
            _password(each.password_file, InvalidConfiguration)
    if address.tls:
        Trust(access.tls).context()
    return Access(credentials, access.sentinel_credentials, access.tls)


def _server(address: Address, access: Access, timeout: float) -> Redis:
    arguments = _arguments(access.credentials, timeout, retries=1)
    if address.kind is Kind.SOCKET:
        where: dict[str, Any] = {"connection_class": UnixDomainSocketConnection, "path": address.path}
    else:
        host, port = address.nodes[0]
        where = {"connection_class": _connection_class(address, access, Connection), "host": host, "port": port}
    pool = ConnectionPool(**where, **arguments, db=address.database)
    return _own(_InTime(timeout, connection_pool=pool))


def _sentinel(address: Address, access: Access, timeout: float) -> Sentinel:
    sentinel = Sentinel([])  # type: ignore[no-untyped-call]
    connection_class = _connection_class(address, access, Connection)
    # Asked one after another, all within one timeout: some of them may be what is down.
    arguments = _arguments(access.sentinel_credentials, timeout / len(address.nodes), retries=0)
    sentinel.sentinels = [
        _own(
            Redis(connection_pool=ConnectionPool(connection_class=connection_class, host=host, port=port, **arguments))
        )
        for host, port in address.nodes
    ]
    return sentinel


def _of_sentinel(sentinel: Sentinel, address: Address, access: Access, timeout: float) -> Redis:
    pool = SentinelConnectionPool(  # type: ignore[no-untyped-call]
        address.master,
        sentinel,
        connection_class=_connection_class(address, access, SentinelManagedConnection),
        db=address.database,
        **_arguments(access.credentials, timeout, retries=1),
    )
    return _own(_InTime(timeout, connection_pool=pool))


def _cluster(address: Address, access: Access, timeout: float) -> RedisCluster:
    arguments = _arguments(access.credentials, timeout, retries=1)
    nodes = [ClusterNode(host, port) for host, port in address.nodes]
    cluster = ClusterInTime(timeout, startup_nodes=nodes, **arguments)
    if address.tls:
        # The client has no argument for it; nodes found later are made with the manager's arguments.
        secured = _connection_class(address, access, Connection)
        cluster.nodes_manager.connection_kwargs["connection_class"] = secured
        for node in cluster.nodes_manager.startup_nodes.values():
            node.connection_class = secured
    return cluster


def _own(client: Redis) -> Redis:
    client.auto_close_connection_pool = True
    return client


def _arguments(credentials: Credentials, timeout: float, retries: int) -> dict[str, Any]:
    return {
        "credential_provider": _FromFile(credentials) if credentials else None,
        # Less than the whole, so that what could not be reached is told apart from what does not answer.
        "socket_connect_timeout": 0.8 * timeout,
        "socket_timeout": timeout,
        "health_check_interval": _IDLE_SECONDS,
        "max_connections": MAXIMUM_CONNECTIONS,
        # One immediate retry mends pooled connections that a restarted server has closed. A command sent twice is
        # harmless: repeated batches are dropped when read, and numbered entries are refused. Never after a timeout:
        # nobody who waits is helped by waiting twice.
        "retry": Retry(NoBackoff(), retries, (RedisConnectionError,)),
        # The driver would introduce itself with a command that a restricted user need not have.
        "driver_info": None,
    }


class _InTime(Redis):
    """A client that gives up after the timeout: the driver's own are for every single read and connection attempt."""

    def __init__(self, timeout: float, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._timeout = timeout
        self._places = asyncio.Semaphore(MAXIMUM_CONNECTIONS)

    async def execute_command(self, *arguments: Any, **options: Any) -> Any:
        return await in_time(self._timeout, self._execute(*arguments, **options))

    async def _execute(self, *arguments: Any, **options: Any) -> Any:
        async with self._places:
            return await super().execute_command(*arguments, **options)  # type: ignore[no-untyped-call]

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        made = _PipelineInTime(self.connection_pool, self.response_callbacks, transaction, shard_hint)
        made.timeout, made.places = self._timeout, self._places
        return made


class _PipelineInTime(Pipeline):
    timeout: float
    places: asyncio.Semaphore

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        return await in_time(self.timeout, self._execute(raise_on_error))

    async def _execute(self, raise_on_error: bool) -> list[Any]:
        async with self.places:
            return await super().execute(raise_on_error)


class _FromFile(CredentialProvider):
    """Asked by the driver for every connection."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        known = self._credentials
        password = known.password or ""
        if known.password_file is not None:
            password = _password(known.password_file, UnreadableFile)
        return (password,) if known.username is None else (known.username, password)

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        if self._credentials.password_file is None:
            return self.get_credentials()
        return await asyncio.to_thread(self.get_credentials)


def _password(file: Path, error_type: type[Exception]) -> str:
    try:
        return file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise error_type(f"the store's password cannot be read from {file} ({type(error).__name__})") from error


def _connection_class(address: Address, access: Access, plain: type[Connection]) -> type[Connection]:
    """`plain`, or the same over TLS with a context of ours.

    The driver's own trusts the system's certificate authorities beside the one it was given, and reads files for each
    connection, once for good.
    """
    if not address.tls:
        return plain
    trust = Trust(access.tls)
    secured: type[SSLConnection] = SentinelManagedSSLConnection if plain is SentinelManagedConnection else SSLConnection

    class Secured(secured):  # type: ignore[misc, valid-type]
        def _connection_arguments(self) -> Mapping[str, Any]:
            return {**super(SSLConnection, self)._connection_arguments(), "ssl": trust.current()}  # type: ignore[misc]

        async def _connect(self) -> None:
            try:
                await super()._connect()
            except TimeoutError as error:  # a server without TLS waits for the rest of what it takes for a command
                raise NoHandshake from error

    return Secured
