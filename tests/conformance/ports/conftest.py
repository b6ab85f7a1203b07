"""Every store that the ports run on: one suite, every server."""

import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest
from redis.asyncio import Redis

from service.adapters.claims import RedisClaims, RedisSigns
from service.adapters.embedded_store import embedded_store
from service.adapters.log import RedisDeliveryLog, RedisObservationLog, RedisVerdictLog
from service.adapters.reference_store import RedisRegistrations
from service.adapters.store import Keys, connection
from tests.processes.stores import StoreServer, redis_binary

TIMEOUT_SECONDS = 10.0
KEPT = 100_000


@dataclass(frozen=True, slots=True)
class Store:
    """A server under test, seen through a prefix of one test's own."""

    redis: Redis
    url: str
    prefix: str

    @property
    def keys(self) -> Keys:
        return Keys(self.prefix)

    def observations(self, max_batches: int = KEPT, kept_bytes: int = 2**30) -> RedisObservationLog:
        return RedisObservationLog(self.redis, self.keys, max_batches, kept_bytes, horizon=KEPT)

    def verdicts(self, keep: int = KEPT) -> RedisVerdictLog:
        return RedisVerdictLog(self.redis, self.keys, keep)

    def deliveries(self, keep: int = KEPT) -> RedisDeliveryLog:
        return RedisDeliveryLog(self.redis, self.keys, keep)

    def claims(self, evaluator: str, seconds: float = 60.0, work: str = "evaluation") -> RedisClaims:
        return RedisClaims(self.redis, self.keys, work, evaluator, seconds)

    def signs(self) -> RedisSigns:
        return RedisSigns(self.redis, (self.keys.observations, self.keys.registrations), self.keys.verdicts)

    def registrations(self) -> RedisRegistrations:
        return RedisRegistrations(self.redis, self.keys)


@pytest.fixture(scope="session", params=["embedded", "redis"])
def store_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("store")
    if request.param == "embedded":
        with embedded_store(directory) as url:
            yield url
        return
    server = StoreServer(redis_binary(), directory)
    server.start()
    yield server.url
    server.kill()


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    async with connection(store_url, TIMEOUT_SECONDS) as redis:
        yield Store(redis, store_url, f"test-{secrets.token_hex(6)}")
