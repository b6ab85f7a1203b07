"""Add an entry to a record of retraining to which others add as well."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from service.domain.errors import ConcurrentChange
from service.domain.models import ModelName
from service.domain.retraining.record import Entry, Line
from service.ports import RetrainingRecord

_ATTEMPTS = 10
T = TypeVar("T", bound=Entry | None)


async def add(record: RetrainingRecord, model: ModelName, following: Callable[[Line | None], Awaitable[T]]) -> T:
    """What follows the newest entry, which is decided anew whenever somebody else was faster; None: nothing has to.

    Raises what `following` does, `ConcurrentChange`, `StoreUnavailable`, `CorruptedState`.
    """
    for _ in range(_ATTEMPTS):
        entry = await following(await record.newest(model))
        if entry is None or await record.append(entry):
            return entry
    raise ConcurrentChange("the record of this model's retraining changes all the time: try again")
