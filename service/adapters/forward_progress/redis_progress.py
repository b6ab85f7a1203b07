"""How far each model's log is forwarded: one string a model, so that a step is one command and never half done.

For the embedded store only: MEMORY is not among the commands that a user of a shared store is allowed.
"""

from dataclasses import dataclass
from typing import Any, cast
from uuid import uuid4

import msgspec

from service.adapters.store import Client, Keys, answer, is_position, store_errors
from service.domain.errors import CorruptedState, InvalidConfiguration
from service.domain.forwarding import Place, Progress
from service.domain.models import ModelName

FORMAT = 1


@dataclass(frozen=True, slots=True)
class _Kept:
    format: int
    progress: Progress


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Kept).decode  # fields that a newer release has added are passed over


class RedisForwardProgress:
    """`service.ports.ForwardProgress` on Valkey."""

    def __init__(self, redis: Client, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._identity: str | None = None

    async def identity(self) -> str:
        if self._identity is None:
            with store_errors():
                await self._redis.set(self._keys.sidecar, uuid4().hex.encode(), nx=True)
                kept = cast("bytes", await self._redis.get(self._keys.sidecar))
            self._identity = kept.decode("ascii", "replace")
        return self._identity

    async def refuse_another_role(self) -> None:
        """Raise `InvalidConfiguration` for the store of a service: what it has judged would be forwarded again."""
        with store_errors():
            sidecar = await self._redis.get(self._keys.sidecar)
            models = cast("set[bytes]", await self._redis.smembers(self._keys.models))
        if sidecar is None and models:
            raise InvalidConfiguration(
                "the embedded store holds the models of a service: give the sidecar a directory of its own, "
                "DRIFT_STORE__EMBEDDED_DIRECTORY"
            )

    async def of(self, model: ModelName, /) -> Progress:
        blob = cast("bytes | None", await answer(self._redis.get(self._keys.forwarded(model))))
        if blob is None:
            return Progress()
        what = f"how far model {model} is forwarded"
        try:
            kept = _decode(blob)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise CorruptedState(f"{what} cannot be read: {error}") from error
        if kept.format > FORMAT:
            raise CorruptedState(f"{what} was written by a newer release: this one reads format {FORMAT}")
        progress = kept.progress
        places = [progress.done] if progress.sending is None else [progress.done, progress.sending.end]
        if not all(map(_is_place, places)):
            raise CorruptedState(f"{what} points nowhere")
        return progress

    async def record(self, model: ModelName, progress: Progress, /) -> None:
        await answer(self._redis.set(self._keys.forwarded(model), _encode(_Kept(FORMAT, progress))))

    async def waiting_bytes(self) -> int:
        with store_errors():
            models = cast("set[bytes]", await self._redis.smembers(self._keys.models))
            if not models:
                return 0
            pipeline = self._redis.pipeline(transaction=False)
            for name in models:
                # All of its nodes are counted, not a sample of them: batches differ in size.
                log = self._keys.observations(ModelName(name.decode("utf-8", "replace")))
                pipeline.execute_command("MEMORY USAGE", log, "SAMPLES", 0)
            sizes: list[Any] = await pipeline.execute()
        return sum(size for size in sizes if isinstance(size, int))


def _is_place(place: Place) -> bool:
    return is_position(place.position) and place.offset >= 0
