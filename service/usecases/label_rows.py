"""Label every row of a log as it is read, and keep those apart that are flagged."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from anyio import CapacityLimiter, to_thread

from detectors.anomaly.labels import RowLabels
from service.domain.errors import StoreFull
from service.domain.labelling import REMEMBERED_ROWS, LabelledLog, flagged_rows
from service.domain.models import NONE_FLAGGED, BatchPosition, FlaggedRows, LoggedBatch, ModelName
from service.domain.quarantine import quarantined
from service.domain.registration import Registration
from service.domain.windows import RecentIdentifiers
from service.ports import JudgedBatches, Quarantine
from service.usecases.column_order import ColumnOrder
from service.usecases.fitted_models import FittedModels


@dataclass(frozen=True, slots=True)
class Labelling:
    """Where one evaluator stands in one model's log."""

    model: ModelName
    log: LabelledLog
    recent: RecentIdentifiers
    """Batches that are repeated count in no window, and nothing of them is kept apart."""


class LabelRows:
    """One instance a process."""

    def __init__(self, fitted: FittedModels, judged: JudgedBatches, quarantine: Quarantine) -> None:
        self._fitted = fitted
        self._judged = judged
        self._quarantine = quarantine

    async def begin(
        self, registration: Registration, after: BatchPosition, order: ColumnOrder, recent: RecentIdentifiers
    ) -> Labelling | None:
        """Ready for the batches that follow; None where the plan labels no rows."""
        if registration.plan.anomalies is None:
            return None
        log = await labelled_log(registration, after, order, self._fitted, self._judged)
        return Labelling(registration.model, log, recent)

    async def __call__(
        self,
        labelling: Labelling,
        batches: Sequence[LoggedBatch],
        limiter: CapacityLimiter,
        is_watched: Callable[[], Awaitable[bool]],
    ) -> Sequence[LoggedBatch]:
        """The same with what was flagged in them; on a thread.

        A thread may have to be waited for as long as tests take. Nothing is kept apart of a model that is not watched
        any more by then: it would outlive the model.
        """
        labelled = await to_thread.run_sync(labelling.log.label, batches, limiter=limiter, abandon_on_cancel=True)
        flagged = [NONE_FLAGGED if labels is None else flagged_rows(labels) for labels in labelled]
        keeps = any(each.total for each in flagged) and await is_watched()
        return [
            await self._kept_apart(labelling, *each, keeps=keeps)
            for each in zip(batches, labelled, flagged, strict=True)
        ]

    async def _kept_apart(
        self, labelling: Labelling, logged: LoggedBatch, labels: RowLabels | None, flagged: FlaggedRows, *, keeps: bool
    ) -> LoggedBatch:
        repeated = labelling.recent.is_repeated(logged.batch.identifier)
        if labels is None:
            return logged
        if keeps and flagged.total and not repeated:
            # A full store is freed by judging, which this must not keep from going on: labels can be had again.
            with suppress(StoreFull):
                await self._quarantine.keep(labelling.model, quarantined(logged, labels, flagged))
        return replace(logged, batch=replace(logged.batch, flagged=flagged))


async def labelled_log(
    registration: Registration, after: BatchPosition, order: ColumnOrder, fitted: FittedModels, judged: JudgedBatches
) -> LabelledLog:
    """One that has seen the rows up to there, as far back as it looks and the log has them."""
    labelling = (await fitted.fitted(registration)).labelling
    assert labelling is not None  # noqa: S101 - the plan labels rows
    log = LabelledLog(labelling)
    earlier = await judged.latest_rows(registration.model, after, REMEMBERED_ROWS)
    arranged = [await order.arranged(logged) for logged in earlier]
    await to_thread.run_sync(log.label, arranged, abandon_on_cancel=True)
    return log
