"""Request and response of one inference, which come by themselves and in any order: which rows they make.

What waits for its other half waits in this process, for a bounded time, in bounded memory.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from service.domain.errors import Fault, InvalidBatch
from service.domain.models import ModelName
from service.domain.registration import columns_of

PREDICTION = "prediction"
"""What a model's output is called among features, whatever its server calls it; of several, `prediction[0]` etc."""
_ROUGHLY_A_NAME = 100
_ROUGHLY_A_HALF = 2_000
Rows = NDArray[np.float64]


class Side(StrEnum):
    """Which half of an inference."""

    REQUEST = "request"
    RESPONSE = "response"

    @property
    def other(self) -> "Side":
        return Side.RESPONSE if self is Side.REQUEST else Side.REQUEST


@dataclass(frozen=True, slots=True)
class Half:
    """One side of an inference."""

    side: Side
    rows: Rows
    names: Sequence[str] | None
    """Of the columns; None: the features in order. Those of a response are always named."""
    observed_at: datetime | None = None
    traceparent: str | None = None
    digest: bytes | None = None
    """SHA-256 of its body."""
    texts: Mapping[int, Fault] = field(default_factory=dict)
    """Columns that hold no numbers, and their places."""

    @property
    def size(self) -> int:
        """Bytes, about."""
        return _ROUGHLY_A_HALF + self.rows.nbytes + _ROUGHLY_A_NAME * len(self.names or ())


def alone(features: Sequence[str], request: Half) -> Rows | None:
    """The features' columns out of a request; None if some of them are not in it. Others are left aside.

    Raises `InvalidBatch` if a feature is text.
    """
    if request.names is None:
        if request.rows.shape[1] != len(features):
            return None
        columns = list(range(len(features)))
    else:
        found = columns_of(tuple(features), tuple(request.names))
        if found is None:
            return None
        columns = found
    texts = [request.texts[column] for column in columns if column in request.texts]
    if texts:
        raise InvalidBatch(*texts[:20])
    if columns == list(range(request.rows.shape[1])):
        return request.rows
    return np.ascontiguousarray(request.rows[:, columns])


def wants(features: Sequence[str], response: Half) -> bool:
    """Whether some feature is an output of the model."""
    return not _outputs(response).keys().isdisjoint(features)


def joined(features: Sequence[str], request: Half, response: Half) -> Rows:
    """Inputs from the one, outputs from the other; raises `InvalidBatch` if that does not make the features."""
    if len(request.rows) != len(response.rows):
        message = f"has {len(response.rows)} rows, and its request has {len(request.rows)}"
        raise InvalidBatch(Fault("response", message))
    asked, outputs = frozenset(request.names or ()), _outputs(response)
    from_response = [name for name in features if name not in asked and name in outputs]
    chosen = frozenset(from_response)
    from_request = [name for name in features if name not in chosen]
    inputs = alone(from_request, request)
    if inputs is None:
        message = "does not have the features of this model that are not in its response"
        raise InvalidBatch(Fault("request", message))
    texts = [response.texts[outputs[name]] for name in from_response if outputs[name] in response.texts]
    if texts:
        raise InvalidBatch(*texts[:20])
    rows = np.empty((len(request.rows), len(features)))
    place = {name: column for column, name in enumerate(features)}
    rows[:, [place[name] for name in from_request]] = inputs
    rows[:, [place[name] for name in from_response]] = response.rows[:, [outputs[name] for name in from_response]]
    return rows


def _outputs(response: Half) -> dict[str, int]:
    """Columns by their own names, and by ours."""
    width = response.rows.shape[1]
    ours = [PREDICTION] if width == 1 else [f"{PREDICTION}[{column}]" for column in range(width)]
    names = response.names or ()
    return {name: column for each in (ours, names) for column, name in enumerate(each)}


class Pairs:
    """Halves that wait for the other one; the oldest go first when there is no more room or time."""

    def __init__(self, seconds: float, max_bytes: int) -> None:
        self._seconds = seconds
        self._room = max_bytes
        self._used = 0
        self._waiting: OrderedDict[tuple[ModelName, str, Side], tuple[float, Half]] = OrderedDict()

    def take(self, model: ModelName, identifier: str, side: Side) -> Half | None:
        """That half, if it waits; it does so no longer."""
        found = self._waiting.pop((model, identifier, side), None)
        if found is None:
            return None
        self._used -= found[1].size
        return found[1]

    def keep(self, model: ModelName, identifier: str, half: Half, now: float) -> int:
        """Let a half wait; how many older ones had to go for it, or 1 if it is too large itself."""
        if half.size > self._room:
            return 1
        self.take(model, identifier, half.side)
        self._waiting[model, identifier, half.side] = (now, half)
        self._used += half.size
        gone = 0
        while self._used > self._room:
            gone += self._drop_oldest()
        return gone

    def give_up(self, now: float) -> int:
        """Let go of those that have waited long enough; how many."""
        gone = 0
        while self._waiting and now - next(iter(self._waiting.values()))[0] > self._seconds:
            gone += self._drop_oldest()
        return gone

    def _drop_oldest(self) -> int:
        _, (_, half) = self._waiting.popitem(last=False)
        self._used -= half.size
        return 1
