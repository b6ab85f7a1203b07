"""Which actions were delivered: a stream beside the verdicts, numbered like them."""

from collections.abc import Sequence

import msgspec

from service.adapters.store import Client, Entry, Keys, add_numbered, number_of, stream_entries
from service.adapters.store_formats import FORMAT, FORMAT_1, FORMAT_2, document
from service.domain.errors import CorruptedState
from service.domain.models import Delivery, ModelName, TriggerOutcome

_DOCUMENT = b"d"
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Delivery).decode


class RedisDeliveryLog:
    """`service.ports.DeliveryLog` on Redis >= 6.2 or Valkey."""

    def __init__(self, redis: Client, keys: Keys, keep: int) -> None:
        self._redis = redis
        self._keys = keys
        self._keep = keep

    async def record(self, model: ModelName, delivery: Delivery, /) -> bool:
        form = FORMAT_2 if delivery.receipt.outcome is TriggerOutcome.REFUSED else FORMAT_1
        fields = {FORMAT: form, _DOCUMENT: _encode(delivery)}
        return await add_numbered(
            self._redis, self._keys.deliveries(model), delivery.verdict_number, fields, self._keep
        )

    async def last(self, model: ModelName, /) -> int:
        entries = await stream_entries(self._redis.xrevrange(self._keys.deliveries(model), count=1))
        return number_of(entries[0][0]) if entries else 0

    async def page(self, model: ModelName, first: int, last: int, /) -> Sequence[Delivery]:
        entries = await stream_entries(
            self._redis.xrange(self._keys.deliveries(model), min=f"{first}-0", max=f"{last}-0")
        )
        return [_delivery(model, entry) for entry in entries]


def _delivery(model: ModelName, entry: Entry) -> Delivery:
    number = number_of(entry[0])
    what = f"delivery {number} of model {model}"
    delivery = document(entry[1], _DOCUMENT, _decode, what, FORMAT_2)
    if delivery.verdict_number != number:
        raise CorruptedState(f"{what} is another's: it says {delivery.verdict_number}")
    return delivery
