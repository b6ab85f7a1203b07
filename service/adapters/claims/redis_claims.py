"""Claims as keys that expire by themselves, one a model and kind of work; presence as a short stream.

A claim is set by `SET NX PX` and never taken from anybody: it ends when its owner releases it or stops renewing it. The
clock is the store's own throughout, so evaluators' clocks need not agree.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import islice

from service.adapters.store import Client, Keys, in_our_words, store_errors
from service.domain.errors import CorruptedState, StoreUnavailable
from service.domain.models import ModelName

AT_ONCE = 500
"""Models in one pipeline: thousands of replies in one would hold up the event loop."""
_REMEMBERED = 1_000
_HERE, _GONE = b"h", b"g"


class RedisClaims:
    """`service.ports.Claims` on Redis >= 6.2 or Valkey."""

    def __init__(self, redis: Client, keys: Keys, work: str, evaluator: str, seconds: float) -> None:
        self._redis = redis
        self._keys = keys
        self._work = work
        self._evaluator = evaluator
        self._milliseconds = max(1, round(seconds * 1000))

    async def meet(self) -> frozenset[str]:
        entries = await self._announce(_HERE)
        newest = _milliseconds(entries[0][0])
        latest: dict[str, bytes] = {}
        for position, fields in entries:
            if newest - _milliseconds(position) > self._milliseconds:
                break
            for what, name in fields.items():  # newest first: what an evaluator said last counts
                latest.setdefault(name.decode(errors="replace"), what)
        return frozenset(name for name, what in latest.items() if what == _HERE)

    async def claim(self, models: Collection[ModelName], /) -> Mapping[ModelName, str]:
        owners: dict[ModelName, str] = {}
        for part in _parts(models):
            commands: list[tuple[str | int, ...]] = []
            for model in part:
                key = self._keys.claim(model, self._work)
                commands += [("SET", key, self._evaluator, "NX", "PX", self._milliseconds), ("GET", key)]
            replies = await self._send(commands)
            failures = [taken for taken in replies[::2] if isinstance(taken, Exception)]
            if len(failures) == len(part):
                raise in_our_words(failures[0])
            held = []
            for model, taken, owner in zip(part, replies[::2], replies[1::2], strict=True):
                if isinstance(taken, Exception) or isinstance(owner, Exception):
                    # Its node is in trouble, or no claim lies there that anybody could have: the model is everybody's.
                    owners[model] = self._evaluator
                elif isinstance(owner, bytes):  # else it has expired since
                    owners[model] = owner.decode(errors="replace")
                    if owners[model] == self._evaluator and not taken:
                        held.append(model)
            await self._send([("PEXPIRE", self._keys.claim(model, self._work), self._milliseconds) for model in held])
        return owners

    async def release(self, models: Collection[ModelName], /, *, leaving: bool = False) -> None:
        for part in _parts(models):
            keys = [self._keys.claim(model, self._work) for model in part]
            owners = await self._send([("GET", key) for key in keys])
            mine = [key for key, owner in zip(keys, owners, strict=True) if owner == self._evaluator.encode()]
            await self._send([("DEL", key) for key in mine])
        if leaving:
            await self._announce(_GONE)

    async def _announce(self, what: bytes) -> Sequence[tuple[bytes, Mapping[bytes, bytes]]]:
        """Add to the stream of those present; its latest entries, newest first."""
        key = self._keys.evaluators(self._work)
        try:
            with store_errors():
                pipeline = self._redis.pipeline(transaction=False)
                pipeline.xadd(key, {what: self._evaluator}, maxlen=_REMEMBERED, approximate=True)
                pipeline.xrevrange(key, count=_REMEMBERED)
                _, entries = await pipeline.execute()
        except CorruptedState as error:  # of a hint: nothing rests on it, and evaluation goes on as without any
            raise StoreUnavailable(str(error)) from error
        return list(entries)

    async def _send(self, commands: Sequence[tuple[str | int, ...]]) -> Sequence[object]:
        if not commands:
            return []
        with store_errors():
            pipeline = self._redis.pipeline(transaction=False)
            for command in commands:
                pipeline.execute_command(*command)
            return list(await pipeline.execute(raise_on_error=False))


def _parts(models: Collection[ModelName]) -> Sequence[Sequence[ModelName]]:
    remaining = iter(models)
    return list(iter(lambda: list(islice(remaining, AT_ONCE)), []))


def _milliseconds(position: bytes) -> int:
    return int(position.partition(b"-")[0])
