"""A glance at many models in one round trip: the lengths of their streams, which change whenever something is added.

Appending and trimming could leave a length as it was, between two glances; whoever uses the signs looks now and then
without one.
"""

from collections.abc import Callable, Sequence

from service.adapters.claims.redis_claims import AT_ONCE
from service.adapters.store import Client, store_errors
from service.domain.models import ModelName
from service.domain.sharing import Sign

Stream = Callable[[ModelName], str]


class RedisSigns:
    """`service.ports.Signs` on Redis >= 6.2 or Valkey."""

    def __init__(self, redis: Client, added: Sequence[Stream], done: Stream) -> None:
        self._redis = redis
        self._streams = (*added, done)

    async def of(self, models: Sequence[ModelName], /) -> Sequence[Sign]:
        signs: list[Sign] = []
        for first in range(0, len(models), AT_ONCE):
            part = models[first : first + AT_ONCE]
            with store_errors():
                pipeline = self._redis.pipeline(transaction=False)
                for model in part:
                    for stream in self._streams:
                        pipeline.xlen(stream(model))
                replies = await pipeline.execute(raise_on_error=False)
            # What is no stream has no length; reading it says so.
            lengths = [reply if isinstance(reply, int) else -1 for reply in replies]
            each = len(self._streams)
            signs += [_sign(lengths[index * each : (index + 1) * each]) for index in range(len(part))]
        return signs


def _sign(lengths: Sequence[int]) -> Sign:
    return Sign(tuple(lengths[:-1]), lengths[-1])
