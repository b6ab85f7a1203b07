"""References under their digests, registrations as a numbered stream, the models as a set: all in Redis.

In the same place as the windows, so that replicas need no shared volume and the newest registration is one read away.
"""

from collections.abc import Sequence
from typing import cast

import msgspec
from anyio import to_thread

from service.adapters.store import (
    PREDICTION_PARTS,
    Client,
    Entry,
    Keys,
    add_numbered,
    answer,
    is_position,
    number_of,
    stream_entries,
)
from service.adapters.store_formats import FORMAT, FORMAT_1, FORMAT_2, FORMAT_3, FORMAT_4, FORMAT_5, document
from service.domain.errors import CorruptedState, InvalidModelName, InvalidPlan
from service.domain.models import ModelName, Reference, model_name
from service.domain.plan import check
from service.domain.registration import Registration, decode_reference, encode_reference
from service.domain.retraining.response_plan import says_more_than_before

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
        return sorted(name for name in map(_name, members) if name is not None)

    async def newest(self, model: ModelName, /) -> Registration | None:
        entries = await stream_entries(self._redis.xrevrange(self._keys.registrations(model), count=1))
        return _registration(model, entries[0]) if entries else None

    async def revision(self, model: ModelName, revision: int, /) -> Registration | None:
        place = f"{revision}-0"
        entries = await stream_entries(self._redis.xrange(self._keys.registrations(model), min=place, max=place))
        return _registration(model, entries[0]) if entries else None

    async def revisions(self, model: ModelName, /) -> Sequence[Registration]:
        entries = await stream_entries(self._redis.xrevrange(self._keys.registrations(model), count=KEPT_REVISIONS))
        return [_registration(model, entry) for entry in entries]

    async def register(self, registration: Registration, reference: Reference | None, /) -> bool:
        model = registration.model
        if reference is not None:
            key = self._keys.reference(model, registration.reference_digest)
            await answer(self._redis.set(key, encode_reference(reference)))
        fields = {FORMAT: _format(registration), _DOCUMENT: _encode(registration)}
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
        # A reference may be large, and the event loop has others to answer.
        reference = await to_thread.run_sync(decode_reference, blob, registration.reference_digest)
        if reference.features != registration.features:
            raise CorruptedState(
                f"registration {registration.revision} of model {registration.model} names other features than its "
                "reference"
            )
        return reference

    async def forget(self, model: ModelName, /) -> bool:
        keys = self._keys
        entries = await stream_entries(self._redis.xrevrange(keys.registrations(model)))
        digests = {digest for entry in entries if (digest := _reference_digest(model, entry)) is not None}
        await answer(self._redis.srem(keys.models, model))
        # The registrations first, so that nobody takes what is left for a model.
        held = [keys.registrations, keys.observations, keys.passed, keys.verdicts, keys.deliveries, keys.forwarded]
        held += [keys.quarantine]
        for key in (*(key(model) for key in held), *(keys.reference(model, digest) for digest in digests)):
            await answer(self._redis.delete(key))
        await answer(self._redis.delete(*(keys.predictions(model, part) for part in range(PREDICTION_PARTS))))
        return bool(entries)

    async def _forget_old_references(self, model: ModelName) -> None:
        entries = await stream_entries(self._redis.xrevrange(self._keys.registrations(model)))
        digests = [_registration(model, entry).reference_digest for entry in entries]
        kept = set(digests[:KEPT_REVISIONS])
        dropped = {digest for digest in digests[KEPT_REVISIONS:] if digest not in kept}
        if dropped:
            await answer(self._redis.delete(*(self._keys.reference(model, digest) for digest in dropped)))


def _name(member: bytes) -> ModelName | None:
    """None for what is no model's name: it must not keep the others from being found."""
    try:
        return model_name(member.decode())
    except (UnicodeDecodeError, InvalidModelName):
        return None


def _reference_digest(model: ModelName, entry: Entry) -> str | None:
    """None if that cannot be read any more."""
    try:
        return _registration(model, entry).reference_digest
    except CorruptedState:
        return None


def _format(registration: Registration) -> bytes:
    """The first that holds all of it: to a release that passes the rest over, the plan would be another."""
    plan = registration.plan
    if says_more_than_before(plan.response):
        return FORMAT_5
    newest = (plan.performance, plan.decision.season, plan.anomalies, registration.schema.time)
    if any(each is not None for each in newest):
        return FORMAT_4
    if not registration.is_of_numbers or plan.decision.false_alarms is not None:
        return FORMAT_3
    return FORMAT_1 if registration.plan.window.keep == "rows" else FORMAT_2


def _registration(model: ModelName, entry: Entry) -> Registration:
    position, fields = entry
    what = f"registration {position.decode()} of model {model}"
    registration = document(fields, _DOCUMENT, _decode, what, FORMAT_5)
    if registration.model != model or registration.revision != number_of(position):
        raise CorruptedState(f"{what} is another's")
    if registration.schema.features != registration.features:
        raise CorruptedState(f"{what} has a schema of other features than its own")
    if not is_position(registration.since):
        raise CorruptedState(f"{what} begins nowhere in the log")
    try:
        check(registration.plan, optional_engines=True)
    except InvalidPlan as error:
        raise CorruptedState(f"{what} has a plan that this release cannot carry out: {error}") from error
    return registration
