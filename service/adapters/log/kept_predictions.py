"""Predictions that wait for their labels, under the names of their batches: streams beside the log, bounded in bytes.

A name's place is found without an index of names, which would be as large: it says in which of a few streams its batch
is, and that one is searched.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import blake2b

import numpy as np

from service.adapters.log.group_commit import Beside
from service.adapters.store import PREDICTION_PARTS, Client, Entry, Keys, stream_entries
from service.adapters.store_formats import FORMAT, FORMAT_1, refuse_newer
from service.domain.models import Batch, KeptPredictions, ModelName

_NAME, _OBSERVED, _VALUES = b"i", b"o", b"p"
_OVERHEAD_BYTES = 150
_LITTLE_ENDIAN = np.dtype("<f8")


def predictions_beside(keys: Keys, model: ModelName, batch: Batch, most_bytes: int) -> Beside | None:
    """What is to be kept of a batch, in so many bytes for the whole model; None: nothing."""
    if batch.predictions is None or not most_bytes:
        return None
    fields = {
        FORMAT: FORMAT_1,
        _NAME: batch.identifier.encode(),
        _OBSERVED: b"%d" % round(batch.observed_at.timestamp() * 1000),
        _VALUES: batch.predictions.astype(_LITTLE_ENDIAN).tobytes(),
    }
    # As many as would fit were all of them as large: of larger ones before it no more stay either. Batches that shrink
    # one by one as far as that lets them take the most: the share times the logarithm of how many they are, eight.
    most = most_bytes // PREDICTION_PARTS // (_OVERHEAD_BYTES + len(fields[_NAME]) + len(fields[_VALUES]))
    return Beside(keys.predictions(model, _part(batch.identifier)), fields, most) if most else None


class RedisPredictions:
    """`service.ports.Predictions` on Redis >= 6.2 or Valkey."""

    def __init__(self, redis: Client, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    async def of(self, model: ModelName, names: Sequence[str], /) -> Mapping[str, KeptPredictions]:
        wanted = defaultdict[int, set[bytes]](set)
        for name in names:
            wanted[_part(name)].add(name.encode())
        found: dict[str, KeptPredictions] = {}
        for part, named in wanted.items():  # one at a time: each may take a few milliseconds to take apart
            for entry in await stream_entries(self._redis.xrange(self._keys.predictions(model, part))):
                if entry[1].get(_NAME) in named and (kept := _kept(entry)) is not None:
                    found[entry[1][_NAME].decode()] = kept
        return found


def _part(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=2).digest(), "big") % PREDICTION_PARTS


def _kept(entry: Entry) -> KeptPredictions | None:
    """None for what is damaged: of that batch nothing is known."""
    position, fields = entry
    refuse_newer(fields, f"predictions {position.decode()}")
    try:
        observed_at = datetime.fromtimestamp(int(fields[_OBSERVED]) / 1000, UTC)
        return KeptPredictions(observed_at, np.frombuffer(fields[_VALUES], _LITTLE_ENDIAN).astype(np.float64))
    except (KeyError, ValueError, OverflowError, OSError):
        return None
