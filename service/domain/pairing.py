"""Request and response of one inference, which come by themselves and in any order: which rows they make.

What waits for its other half waits in this process, for a bounded time, in bounded memory.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from service.domain.errors import Fault, InvalidBatch
from service.domain.models import ModelName
from service.domain.registration import columns_of
from service.domain.schema import AMBIGUOUS, Role, Schema, layouts
from service.domain.sent_columns import Texts

PREDICTION = "prediction"
"""What a model's output is called among features, whatever its server calls it; of several, `prediction[0]` etc."""
_ROUGHLY_A_NAME = 100
_ROUGHLY_A_HALF = 2_000
_ROUGHLY_A_TEXT = 60
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
    left_out: Mapping[int, Fault] = field(default_factory=dict)
    """Columns of text that was not kept, and their places."""
    texts: Mapping[int, Texts] = field(default_factory=dict)
    """See `SentColumns`."""

    @property
    def size(self) -> int:
        """Bytes, about."""
        texts = sum(_ROUGHLY_A_TEXT + len(text or "") for held in self.texts.values() for text in held)
        return _ROUGHLY_A_HALF + self.rows.nbytes + _ROUGHLY_A_NAME * len(self.names or ()) + texts


@dataclass(frozen=True, slots=True)
class Found:
    """The columns that were asked for, in that order."""

    rows: Rows
    texts: Mapping[int, Texts] = field(default_factory=dict)


def named(schema: Schema, request: Half) -> Half:
    """With names, if it has none and its number of columns says which they are: with ignored ones or without, with
    predictions or without. Raises `InvalidBatch` if it says two things."""
    if request.names is not None:
        return request
    asked = Schema(tuple(column for column in schema.columns if column.role is not Role.LABEL))
    found = layouts(asked, request.rows.shape[1], (Role.IGNORE, Role.TIME, Role.PREDICTION))
    if len(found) > 1:
        raise InvalidBatch(Fault("request", AMBIGUOUS))
    return replace(request, names=found[0]) if found else request


def alone(features: Sequence[str], request: Half) -> Found | None:
    """The features' columns out of a request; None if some of them are not in it. Others are left aside.

    Raises `InvalidBatch` if a feature is text that was not kept.
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
    return Found(*_chosen(request, columns))


def wants(features: Sequence[str], response: Half, predictions: Sequence[str] = ()) -> bool:
    """Whether some feature is an output of the model."""
    return not _outputs(response, predictions).keys().isdisjoint(features)


def joined(features: Sequence[str], request: Half, response: Half, predictions: Sequence[str] = ()) -> Found:
    """Inputs from the one, outputs from the other; raises `InvalidBatch` if that does not make the features.

    `predictions`: which features are declared to be outputs, in their order.
    """
    if len(request.rows) != len(response.rows):
        message = f"has {len(response.rows)} rows, and its request has {len(request.rows)}"
        raise InvalidBatch(Fault("response", message))
    asked, outputs = frozenset(request.names or ()), _outputs(response, predictions)
    from_response = [name for name in features if name not in asked and name in outputs]
    chosen = frozenset(from_response)
    from_request = [name for name in features if name not in chosen]
    inputs = alone(from_request, request)
    if inputs is None:
        message = "does not have the features of this model that are not in its response"
        raise InvalidBatch(Fault("request", message))
    answered, texts = _chosen(response, [outputs[name] for name in from_response])
    rows = np.empty((len(request.rows), len(features)))
    place = {name: column for column, name in enumerate(features)}
    rows[:, [place[name] for name in from_request]] = inputs.rows
    rows[:, [place[name] for name in from_response]] = answered
    together = {place[from_request[column]]: held for column, held in inputs.texts.items()}
    return Found(rows, together | {place[from_response[column]]: held for column, held in texts.items()})


def _chosen(half: Half, columns: Sequence[int]) -> tuple[Rows, dict[int, Texts]]:
    faults = [half.left_out[column] for column in columns if column in half.left_out]
    if faults:
        raise InvalidBatch(*faults[:20])
    texts = {place: half.texts[column] for place, column in enumerate(columns) if column in half.texts}
    if list(columns) == list(range(half.rows.shape[1])):
        return half.rows, texts
    return np.ascontiguousarray(half.rows[:, columns]), texts


def _outputs(response: Half, predictions: Sequence[str]) -> dict[str, int]:
    """Columns by the names of predictions, if they are as many; by ours; by their own."""
    width = response.rows.shape[1]
    declared = predictions if len(predictions) == width else ()
    ours = [PREDICTION] if width == 1 else [f"{PREDICTION}[{column}]" for column in range(width)]
    return {name: column for each in (declared, ours, response.names or ()) for column, name in enumerate(each)}


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
