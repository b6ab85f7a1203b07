"""What the store's adapters share: its keys, and the commands that they all use, with errors in our words."""

import re
from collections.abc import Awaitable
from typing import TypeVar, cast

from redis.exceptions import ResponseError

from service.adapters.store_connection import Client, connection
from service.adapters.store_errors import in_our_words, store_errors
from service.domain.models import ModelName

__all__ = [
    "Client",
    "Entry",
    "Keys",
    "add_at",
    "add_numbered",
    "answer",
    "connection",
    "in_our_words",
    "is_position",
    "is_writable",
    "number_of",
    "store_errors",
    "stream_entries",
]

T = TypeVar("T")
Entry = tuple[bytes, dict[bytes, bytes]]

_POSITION = re.compile(r"\d{1,20}-\d{1,20}", re.ASCII)
_ALREADY_HAVE = "equal or smaller than the target stream top item"


PREDICTION_PARTS = 64
"""Streams over which a model's predictions are spread by the names of their batches: one is searched for a name."""


class Keys:
    """Every key of a model carries the same hash tag, so that a cluster keeps them in one slot."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.models = f"{prefix}:models"
        # By its hash tag in the slot of the list of models, without which nothing is judged.
        self.probe = f"{prefix}:{{{self.models}}}:writable"
        self.sidecar = f"{prefix}:sidecar"

    def observations(self, model: ModelName) -> str:
        return f"{self._prefix}:{{{model}}}:observations"

    def passed(self, model: ModelName) -> str:
        return f"{self._prefix}:{{{model}}}:passed"

    def batch(self, model: ModelName, identifier: str) -> str:
        return f"{self._prefix}:{{{model}}}:batch:{identifier}"

    def verdicts(self, model: ModelName) -> str:
        return f"{self._prefix}:{{{model}}}:verdicts"

    def deliveries(self, model: ModelName) -> str:
        return f"{self._prefix}:{{{model}}}:deliveries"

    def retraining(self, model: ModelName) -> str:
        return f"{self._prefix}:{{{model}}}:retraining"

    def predictions(self, model: ModelName, part: int) -> str:
        return f"{self._prefix}:{{{model}}}:predictions:{part}"

    def quarantine(self, model: ModelName) -> str:
        return f"{self._prefix}:{{{model}}}:quarantine"

    def claim(self, model: ModelName, work: str) -> str:
        return f"{self._prefix}:{{{model}}}:claim:{work}"

    def evaluators(self, work: str) -> str:
        return f"{self._prefix}:evaluators:{work}"

    def forwarded(self, model: ModelName) -> str:
        return f"{self._prefix}:{{{model}}}:forwarded"

    def registrations(self, model: ModelName) -> str:
        return f"{self._prefix}:{{{model}}}:registrations"

    def reference(self, model: ModelName, digest: str) -> str:
        return f"{self._prefix}:{{{model}}}:reference:{digest}"


async def add_numbered(redis: Client, key: str, number: int, fields: dict[bytes, bytes], keep: int) -> bool:
    """Add an entry to a stream under the id `number`-0; False if the stream has that number or a newer one.

    The compare-and-set that verdicts, deliveries, registrations and records of retraining rest on: one command, refused
    by the store itself.
    """
    return await add_at(redis, key, f"{number}-0", fields, keep)


async def add_at(redis: Client, key: str, place: str, fields: dict[bytes, bytes], keep: int) -> bool:
    """Add an entry to a stream at a place of its own; False if the stream has something there or behind it."""
    with store_errors():
        try:
            await redis.xadd(key, fields, id=place, maxlen=keep, approximate=True)  # type: ignore[arg-type]
        except ResponseError as error:
            if _ALREADY_HAVE in str(error):
                return False
            raise
    return True


def number_of(entry_id: bytes) -> int:
    """The number under which `add_numbered` added an entry."""
    return int(entry_id.partition(b"-")[0])


def is_position(text: str) -> bool:
    """Whether it could be the place of an entry in a stream."""
    return _POSITION.fullmatch(text) is not None


async def answer(reply: Awaitable[T]) -> T:
    """Await one command, with its errors in our words."""
    with store_errors():
        return await reply


async def stream_entries(reply: Awaitable[object]) -> list[Entry]:
    """Await a range of a stream; the driver's type allows for text and for deleted entries, which we never ask for."""
    return cast("list[Entry]", await answer(reply))


async def is_writable(redis: Client, keys: Keys) -> None:
    """Raise `StoreUnavailable` unless the store answers and takes writes.

    By writing: a store without memory and a replica still answer PING.
    """
    await answer(redis.set(keys.probe, b"", ex=60))
