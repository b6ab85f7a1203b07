"""References under their digests, registrations as a numbered stream, the models as a set: all in Redis.

In the same place as the windows, so that replicas need no shared volume and the newest registration is one read away.
"""

from collections.abc import Sequence
from typing import cast

import msgspec

from service.adapters.store import Client, Keys, add_numbered, answer, stream_entries
from service.domain.errors import CorruptedState
from service.domain.models import ModelName, Reference
from service.domain.registration import Registration, decode_reference, encode_reference

KEPT_REVISIONS = 20
_DOCUMENT = b"r"
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Registration).decode


class RedisRegistrations:
    """`service.ports.Registrations` on Redis >= 6.2 or Valkey."""

    def __init__(self, redis: Client, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    async def models(self) -> Sequence[ModelName]:
        members = cast("set[bytes]", await answer(self._redis.smembers(self._keys.models)))
        return sorted(ModelName(member.decode()) for member in members)

    async def newest(self, model: ModelName, /) -> Registration | None:
        entries = await stream_entries(self._redis.xrevrange(self._keys.registrations(model), count=1))
        return _registration(model, entries[0][1]) if entries else None

    async def revision(self, model: ModelName, revision: int, /) -> Registration | None:
        place = f"{revision}-0"
        entries = await stream_entries(self._redis.xrange(self._keys.registrations(model), min=place, max=place))
        return _registration(model, entries[0][1]) if entries else None

    async def register(self, registration: Registration, reference: Reference | None, /) -> bool:
        model = registration.model
        if reference is not None:
            key = self._keys.reference(model, registration.reference_digest)
            await answer(self._redis.set(key, encode_reference(reference)))
        fields = {_DOCUMENT: _encode(registration)}
        stream = self._keys.registrations(model)
        # Kept a little longer than promised, so that the references of dropped revisions can still be told.
        added = await add_numbered(self._redis, stream, registration.revision, fields, 10 * KEPT_REVISIONS)
        # Also when another was first: it may have stopped between its two commands.
        await answer(self._redis.sadd(self._keys.models, model))
        if added:
            await self._forget_old_references(model)
        return added

    async def reference(self, registration: Registration, /) -> Reference:
        key = self._keys.reference(registration.model, registration.reference_digest)
        blob = cast("bytes | None", await answer(self._redis.get(key)))
        if blob is None:
            raise CorruptedState(f"the reference {registration.reference_digest} of model {registration.model} is gone")
        return decode_reference(blob, registration.reference_digest)

    async def _forget_old_references(self, model: ModelName) -> None:
        entries = await stream_entries(self._redis.xrevrange(self._keys.registrations(model)))
        digests = [_registration(model, fields).reference_digest for _, fields in entries]
        kept = set(digests[:KEPT_REVISIONS])
        dropped = {digest for digest in digests[KEPT_REVISIONS:] if digest not in kept}
        if dropped:
            await answer(self._redis.delete(*(self._keys.reference(model, digest) for digest in dropped)))


def _registration(model: ModelName, fields: dict[bytes, bytes]) -> Registration:
    try:
        return _decode(fields[_DOCUMENT])
    except (KeyError, msgspec.MsgspecError) as error:
        raise CorruptedState(f"the registration of model {model} cannot be read: {error}") from error
