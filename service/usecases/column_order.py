"""Columns in the order of one registration, whichever registration a batch came under."""

from dataclasses import replace

from service.domain.models import LoggedBatch
from service.domain.registration import Registration, arrangement
from service.domain.windows import NO_ROWS
from service.ports import Registrations


class ColumnOrder:
    """A replica goes on for a moment to take batches under the registration before, whose features may be others."""

    def __init__(self, registrations: Registrations, wanted: Registration) -> None:
        self._registrations = registrations
        self._wanted = wanted
        self._columns: dict[int, list[int] | None] = {}
        """Of batches that came under another revision: where the features are; None if one is not there."""

    async def arranged(self, logged: LoggedBatch) -> LoggedBatch:
        """The batch with the registration's columns; without rows if it has not all of them."""
        batch = logged.batch
        if batch.revision in {0, self._wanted.revision} or not batch.rows.size:
            return logged
        if batch.revision not in self._columns:
            earlier = await self._registrations.revision(self._wanted.model, batch.revision)
            self._columns[batch.revision] = arrangement(self._wanted, earlier)
        columns = self._columns[batch.revision]
        if columns == list(range(batch.rows.shape[1])):
            return logged
        rows = batch.rows[:, columns] if columns is not None else NO_ROWS
        return replace(logged, batch=replace(batch, rows=rows))
