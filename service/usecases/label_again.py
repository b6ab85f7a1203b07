"""Labels of judged rows again, for exports: the ones that they had when they were read for their windows."""

from collections.abc import Sequence

from anyio import to_thread

from detectors.anomaly.labels import RowLabels
from service.domain.labelling import LabelledLog
from service.domain.models import BatchPosition, LoggedBatch, is_after
from service.domain.registration import Registration
from service.ports import JudgedBatches
from service.usecases.column_order import ColumnOrder
from service.usecases.fitted_models import FittedModels
from service.usecases.label_rows import labelled_log


class LabelAgain:
    """For windows under one registration that follow one another: their batches are read in the log's order."""

    def __init__(
        self, registration: Registration, order: ColumnOrder, fitted: FittedModels, judged: JudgedBatches
    ) -> None:
        self._registration = registration
        self._order = order
        self._fitted = fitted
        self._judged = judged
        self._log: LabelledLog | None = None
        self._known: dict[BatchPosition, RowLabels | None] = {}
        """Of batches that windows to come may begin in."""

    async def begin(self, start: BatchPosition) -> None:
        """Of a window, none of which is before those that were begun."""
        if self._log is None:
            self._log = await labelled_log(self._registration, start, self._order, self._fitted, self._judged)
        self._known = {place: labels for place, labels in self._known.items() if is_after(place, start)}

    async def of(self, arranged: Sequence[LoggedBatch]) -> Sequence[RowLabels | None]:
        """Of batches that follow one another; None for one that does not fit. Their window has been begun."""
        assert self._log is not None  # noqa: S101 - begun
        new = [each for each in arranged if each.position not in self._known]
        labels = await to_thread.run_sync(self._log.label, new)
        self._known.update(zip((each.position for each in new), labels, strict=True))
        return [self._known[each.position] for each in arranged]
