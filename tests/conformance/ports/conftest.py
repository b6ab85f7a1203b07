"""Every store that the ports run on: one suite, every kind of store.

All but the embedded one are spoken to as a user with the rules of docs/operations.md and nothing more.
"""

import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from redis import Redis as BlockingRedis

from service.adapters.claims import RedisClaims, RedisSigns
from service.adapters.embedded_store import embedded_store
from service.adapters.log import (
    Acknowledging,
    RedisDeliveryLog,
    RedisJudgedBatches,
    RedisObservationLog,
    RedisPredictions,
    RedisRetrainingRecord,
    RedisVerdictLog,
)
from service.adapters.reference_store import RedisRegistrations
from service.adapters.store import Client, Keys, connection
from service.adapters.store_permissions import access_rules
from tests.processes.store_groups import Cluster, OneServer, SentinelGroup, with_user
from tests.processes.stores import NO_RETRY, redis_binary, valkey_binary

TIMEOUT_SECONDS = 10.0
KEPT = 100_000
PASSWORD = "only-for-tests"  # noqa: S105
IN_THE_LOG = Acknowledging()


@dataclass(frozen=True, slots=True)
class Store:
    """A store under test, seen through a prefix of one test's own."""

    client: Client
    """What the adapters use."""
    redis: Client
    """Of a user who may do everything: what the test looks at and tampers with the store by."""
    url: str
    prefix: str
    logs: list[RedisObservationLog] = field(default_factory=list)
    """Those handed out: what they do after answering must be over before the connections are closed."""

    @property
    def keys(self) -> Keys:
        return Keys(self.prefix)

    async def stored(self, pattern: str = "*") -> set[bytes]:
        """Keys of this test."""
        return {key async for key in self.redis.scan_iter(match=f"{self.prefix}:{pattern}", count=10_000)}

    def observations(
        self,
        max_batches: int = KEPT,
        retained_bytes: int = 2**30,
        acknowledging: Acknowledging = IN_THE_LOG,
        retained_seconds: int | None = None,
        prediction_bytes: int = 0,
    ) -> RedisObservationLog:
        log = RedisObservationLog(
            self.client, self.keys, max_batches, retained_bytes, KEPT, acknowledging, retained_seconds, prediction_bytes
        )
        self.logs.append(log)
        return log

    def predictions(self) -> RedisPredictions:
        return RedisPredictions(self.client, self.keys)

    def judged(self) -> RedisJudgedBatches:
        return RedisJudgedBatches(self.client, self.keys)

    def verdicts(self, keep: int = KEPT) -> RedisVerdictLog:
        return RedisVerdictLog(self.client, self.keys, keep)

    def deliveries(self, keep: int = KEPT) -> RedisDeliveryLog:
        return RedisDeliveryLog(self.client, self.keys, keep)

    def retraining(self, keep: int = KEPT) -> RedisRetrainingRecord:
        return RedisRetrainingRecord(self.client, self.keys, keep)

    def claims(self, evaluator: str, seconds: float = 60.0, work: str = "evaluation") -> RedisClaims:
        return RedisClaims(self.redis, self.keys, work, evaluator, seconds)

    def signs(self) -> RedisSigns:
        return RedisSigns(self.redis, (self.keys.observations, self.keys.registrations), self.keys.verdicts)

    def registrations(self) -> RedisRegistrations:
        return RedisRegistrations(self.client, self.keys)


@dataclass(frozen=True, slots=True)
class RunningStore:
    """Servers that run as long as the session."""

    url: str
    servers: tuple[BlockingRedis, ...]
    """Of those that a user must be made on; none: without users."""

    def admit(self, prefix: str) -> str:
        """The URL of a new user who may touch keys of that prefix only."""
        if not self.servers:
            return self.url
        for server in self.servers:
            server.execute_command("ACL", "SETUSER", prefix, "on", f">{PASSWORD}", *access_rules(prefix))
        return with_user(self.url, prefix, PASSWORD)

    def dismiss(self, prefix: str) -> None:
        for server in self.servers:
            server.execute_command("ACL", "DELUSER", prefix)


@contextmanager
def running_store(kind: str, directory: Path) -> Iterator[RunningStore]:
    """Run a store of that kind: embedded, redis, cluster or sentinel."""
    if kind == "embedded":
        with embedded_store(directory) as url:
            yield RunningStore(url, ())
        return
    group: OneServer
    match kind:
        case "cluster":
            group = Cluster(valkey_binary(), directory)
        case "sentinel":
            group = SentinelGroup(valkey_binary(), directory)
        case _:
            group = OneServer(redis_binary(), directory)
    try:
        group.start()
        clients = tuple(BlockingRedis(port=server.port, retry=NO_RETRY) for server in group.servers)
        yield RunningStore(group.url, clients)
        for client in clients:
            client.close()
    finally:
        group.kill()


@pytest.fixture(scope="session", params=["embedded", "redis", "cluster", "sentinel"])
def shared_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStore]:
    with running_store(request.param, tmp_path_factory.mktemp("store")) as running:
        yield running


@pytest.fixture
async def store(shared_store: RunningStore) -> AsyncIterator[Store]:
    prefix = f"test-{secrets.token_hex(6)}"
    url = shared_store.admit(prefix)
    async with (
        connection(url, TIMEOUT_SECONDS) as client,
        connection(shared_store.url, TIMEOUT_SECONDS) as administrator,
    ):
        store = Store(client, administrator, url, prefix)
        yield store
        for log in store.logs:
            await log.finish(TIMEOUT_SECONDS)
    shared_store.dismiss(prefix)
