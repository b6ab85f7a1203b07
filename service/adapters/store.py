"""The connection to Redis or Valkey that the store's adapters share, its keys, and its errors in our words."""

from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeVar, cast

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.driver_info import DriverInfo
from redis.exceptions import AuthenticationError, OutOfMemoryError, ReadOnlyError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError

from service.domain.errors import InvalidConfiguration, StoreUnavailable
from service.domain.models import ModelName

T = TypeVar("T")
Entry = tuple[bytes, dict[bytes, bytes]]

_ALREADY_HAVE = "equal or smaller than the target stream top item"


class Keys:
    """Every key of a model carries the same hash tag, so that a cluster keeps them in one slot."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.models = f"{prefix}:models"
        self.probe = f"{prefix}:writable"

    def observations(self, model: ModelName) -> str:
        return f"{self._prefix}:{{{model}}}:observations"

    def passed(self, model: ModelName) -> str:
        return f"{self._prefix}:{{{model}}}:passed"

    def verdicts(self, model: ModelName) -> str:
        return f"{self._prefix}:{{{model}}}:verdicts"

    def deliveries(self, model: ModelName) -> str:
        return f"{self._prefix}:{{{model}}}:deliveries"

    def claim(self, model: ModelName, work: str) -> str:
        return f"{self._prefix}:{{{model}}}:claim:{work}"

    def evaluators(self, work: str) -> str:
        return f"{self._prefix}:evaluators:{work}"

    def registrations(self, model: ModelName) -> str:
        return f"{self._prefix}:{{{model}}}:registrations"

    def reference(self, model: ModelName, digest: str) -> str:
        return f"{self._prefix}:{{{model}}}:reference:{digest}"


@asynccontextmanager
async def connection(url: str, timeout_seconds: float) -> AsyncIterator[Redis]:
    """A pool of connections; opening it sends nothing, so that the service can start before its store.

    Raises `InvalidConfiguration`.
    """
    # One immediate retry mends pooled connections that a restarted server has closed. A command sent twice is harmless:
    # repeated batches are dropped when read, and numbered entries are refused.
    try:
        redis = Redis.from_url(
            url,
            socket_connect_timeout=timeout_seconds,
            socket_timeout=timeout_seconds,
            retry=Retry(NoBackoff(), 1),
            retry_on_error=[RedisConnectionError],
            health_check_interval=30,
            # Left out, every new connection reads the driver's version from disk, on the event loop.
            driver_info=DriverInfo(),
        )
    except ValueError:  # whose message may repeat a password
        message = (
            "DRIFT_STORE__URL is no redis://, rediss:// or unix:// URL with a port and a database that are numbers"
        )
        raise InvalidConfiguration(message) from None
    try:
        yield redis
    finally:
        await redis.aclose()


@contextmanager
def store_errors() -> Iterator[None]:
    """Raise what the driver raises as `StoreUnavailable`, without what was being stored."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise in_our_words(error) from error


def in_our_words(error: Exception) -> Exception:
    """What the driver raises as `StoreUnavailable`; anything else as it is."""
    return StoreUnavailable(_explanation(error)) if isinstance(error, RedisError | OSError) else error


def _explanation(error: Exception) -> str:
    if isinstance(error, AuthenticationError):
        return "the store refused the credentials of its URL"
    if isinstance(error, OutOfMemoryError):
        return "the store has no memory left (OOM)"
    if isinstance(error, ReadOnlyError):
        return "the store is a replica and takes no writes (READONLY)"
    if isinstance(error, ResponseError):
        # An error code such as MISCONF or NOAUTH; the rest of the line may repeat arguments, and of the codes that the
        # driver knows it keeps nothing but that rest.
        code = str(error).split(" ", 1)[0]
        return f"the store answered {code if code.isupper() else type(error).__name__}"
    return f"the store does not answer ({type(error).__name__})"


async def add_numbered(redis: Redis, key: str, number: int, fields: dict[bytes, bytes], keep: int) -> bool:
    """Add an entry to a stream under the id `number`-0; False if the stream has that number or a newer one.

    The compare-and-set that verdicts, deliveries and registrations rest on: one command, refused by the store itself.
    """
    with store_errors():
        try:
            await redis.xadd(key, fields, id=f"{number}-0", maxlen=keep, approximate=True)  # type: ignore[arg-type]
        except ResponseError as error:
            if _ALREADY_HAVE in str(error):
                return False
            raise
    return True


def number_of(entry_id: bytes) -> int:
    """The number under which `add_numbered` added an entry."""
    return int(entry_id.partition(b"-")[0])


async def answer(reply: Awaitable[T]) -> T:
    """Await one command, with its errors in our words."""
    with store_errors():
        return await reply


async def stream_entries(reply: Awaitable[object]) -> list[Entry]:
    """Await a range of a stream; the driver's type allows for text and for deleted entries, which we never ask for."""
    return cast("list[Entry]", await answer(reply))


async def is_writable(redis: Redis, keys: Keys) -> None:
    """Raise `StoreUnavailable` unless the store answers and takes writes.

    By writing: a store without memory and a replica still answer PING.
    """
    await answer(redis.set(keys.probe, b"", ex=60))
