"""Judge a model's next window: read the log from the cursor, cut, test, decide, commit.

Any number of evaluators may do this for the same model at the same time. Each computes verdict n+1 from verdict n; the
store takes it from one of them. What an evaluator holds between calls is a cache of the log, rebuilt from it at will.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from anyio import CapacityLimiter, to_thread
from opentelemetry.trace import Span
from opentelemetry.util.types import AttributeValue

from detectors.errors import DetectorError, InvalidDocument, ReferenceMismatch
from service.domain.errors import InvalidBatch, StoreFull
from service.domain.fitted_plan import FittedPlan
from service.domain.judgement import judged
from service.domain.models import (
    BatchPosition,
    BudgetState,
    Cursor,
    Decision,
    LoggedBatch,
    ModelName,
    RetrainRequest,
    Verdict,
    Window,
    arrival,
    is_after,
)
from service.domain.registration import Registration
from service.domain.response import action_name, left_by, respond
from service.domain.summaries import Pane, decode_panes, panes_of
from service.domain.windows import Cutter, RecentIdentifiers, cutter, event_times, not_judged
from service.ports import Clock, ObservationLog, Registrations, VerdictLog
from service.telemetry.metrics import Metrics
from service.telemetry.tracing import Tracing, current_traceparent
from service.usecases.column_order import ColumnOrder
from service.usecases.fitted_models import FittedModels
from service.usecases.label_rows import Labelling, LabelRows
from service.usecases.stepping_back import step_back

READ_BATCHES = 256
"""Batches read from the log at a time, and fewer where they are large."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """How evaluation uses the machine, and what it does beside."""

    limiter: CapacityLimiter
    """Windows tested at the same time."""
    horizon: int
    """Batches behind the cursor within which a repeated one is noticed."""
    monotonic: Callable[[], float]
    """Seconds, whatever the clock on the wall does: by them a log is silent."""
    retained: int
    """Judged batches whose rows stay in the log at the most."""
    labels: LabelRows | None = None
    """What labels rows on the way; None: nothing does, whatever plans say."""
    sign: Callable[[RetrainRequest], RetrainRequest] | None = None
    """Signs what verdicts set off; None: nothing does."""
    tell: Callable[[Verdict], None] = lambda _: None
    """Is told of verdicts that set something off, by the process that has committed them."""


@dataclass(slots=True)
class _Progress:
    """Where one evaluator stands in one model's log; valid for one verdict and one revision of the registration."""

    newest: Verdict | None
    registration: Registration
    order: ColumnOrder
    start: Cursor
    """Of the cutter, when it began."""
    cutter: Cutter
    silent_since: float
    """On the monotonic clock: when the log gave the last batch."""
    labelling: Labelling | None = None
    """None where the plan labels no rows."""
    ahead: deque[tuple[LoggedBatch, Sequence[Pane] | None]] = field(default_factory=deque)
    """Read from the log, and not handed to the cutter yet: it gets no more than it needs for one window."""

    def stands(self, newest: Verdict | None, registration: Registration) -> bool:
        # Numbers alone may come again, in a store that was emptied or restored.
        return _identity(self.newest) == _identity(newest) and self.registration.is_same_as(registration)


class EvaluateWindow:
    """One instance a process; not to be called for the same model twice at the same time."""

    def __init__(
        self,
        registrations: Registrations,
        fitted: FittedModels,
        log: ObservationLog,
        verdicts: VerdictLog,
        clock: Clock,
        metrics: Metrics,
        tracing: Tracing,
        tuning: Tuning,
    ) -> None:
        self._registrations = registrations
        self._fitted = fitted
        self._log = log
        self._verdicts = verdicts
        self._clock = clock
        self._monotonic = tuning.monotonic
        self._metrics = metrics
        self._tracing = tracing
        self._limiter = tuning.limiter
        self._horizon = tuning.horizon
        self._retained = tuning.retained
        self._labels = tuning.labels
        self._sign = tuning.sign
        self._tell = tuning.tell
        self._progress: dict[ModelName, _Progress] = {}

    async def __call__(self, model: ModelName) -> bool:
        """Judge at most one window; whether there was one. Raises `StoreUnavailable`, `CorruptedState`."""
        registration = await self._registrations.newest(model)
        if registration is None:
            return False
        self._metrics.log_batches.labels(self._metrics.model(model)).set(await self._log.length(model))
        progress = await self._current(model, registration)
        window = await self._next_window(model, progress)
        self._metrics.waiting_rows.labels(self._metrics.model(model)).set(progress.cutter.waiting_rows)
        if window is None:
            return False
        committed = False
        try:
            committed = await self._judge(progress, window)
        except StoreFull:
            await self._log.make_room(model)
            raise
        finally:
            # Lost to another replica, or an error after the window was cut: begin again at the newest verdict.
            if not committed:
                self._progress.pop(model, None)
        return True

    async def follow(self, model: ModelName) -> None:
        """Show what another process has judged."""
        newest = await self._verdicts.newest(model)
        if newest is not None:
            self._metrics.show(newest)
            self._metrics.show_waits_elsewhere(model)

    def forget(self, model: ModelName) -> None:
        """It is not watched any more: give up the rows that waited for its next window."""
        self._progress.pop(model, None)
        self._metrics.forget(model)

    def awaits_silence(self, model: ModelName) -> bool:
        """Whether rows wait for the log to fall silent: then looking again is worth it though nothing comes."""
        progress = self._progress.get(model)
        return progress is not None and progress.cutter.patience_ms is not None and progress.cutter.waiting_rows > 0

    async def _current(self, model: ModelName, registration: Registration) -> _Progress:
        newest = await self._verdicts.newest(model)
        if newest is not None:
            self._metrics.show(newest)
        known = self._progress.get(model)
        if known is not None and known.stands(newest, registration):
            return known
        start = newest.cursor if newest is not None else Cursor()
        if is_after(registration.since, start.position):
            start = Cursor(registration.since)
        seen = await self._log.recent_identifiers(model, start.position, self._horizon)
        if newest is not None:  # whoever committed it may have been ended before this
            await self._log.forget_before(model, newest.cursor.position, self._retained)
        recent = RecentIdentifiers(self._horizon, seen)
        cuts = cutter(registration.plan.window, len(registration.features), start, recent, key=model.encode())
        order = ColumnOrder(self._registrations, registration)
        labelling = None
        if self._labels is not None:
            again = RecentIdentifiers(self._horizon, seen)
            labelling = await self._labels.begin(registration, start.position, order, again)
        progress = _Progress(newest, registration, order, start, cuts, self._monotonic(), labelling)
        self._progress[model] = progress
        return progress

    async def _next_window(self, model: ModelName, progress: _Progress) -> Window | None:
        self._show_oldest(model, progress.cutter)
        window = progress.cutter.cut()
        while window is None:
            if not progress.ahead:
                read = await self._log.read(model, progress.cutter.position, READ_BATCHES)
                if not read:
                    return self._after_silence(progress)
                progress.silent_since = self._monotonic()
                arranged = await self._labelled(progress, [await progress.order.arranged(logged) for logged in read])
                progress.ahead.extend(zip(arranged, await self._panes(progress, arranged), strict=True))
            if progress.registration.plan.window.keep == "rows":
                window = self._handed_in(model, progress)
            else:  # adding to a sum copies it, and it may be large
                window = await to_thread.run_sync(self._handed_in, model, progress, limiter=self._limiter)
        return window

    async def _labelled(self, progress: _Progress, arranged: Sequence[LoggedBatch]) -> Sequence[LoggedBatch]:
        if self._labels is None or progress.labelling is None:
            return arranged
        try:
            is_watched = partial(self._is_watched, progress.registration)
            return await self._labels(progress.labelling, arranged, self._limiter, is_watched)
        except BaseException:
            # Read again, these rows would repeat themselves: begin at the newest verdict.
            self._progress.pop(progress.registration.model, None)
            raise

    def _handed_in(self, model: ModelName, progress: _Progress) -> Window | None:
        """Of what was read, as much as the next window needs; the window, if that is enough."""
        shown = self._show_oldest(model, progress.cutter)
        while progress.ahead:
            progress.cutter.feed(*progress.ahead.popleft())
            shown = shown or self._show_oldest(model, progress.cutter)  # what comes later is not older
            if (window := progress.cutter.cut()) is not None:
                return window
        return None

    def _show_oldest(self, model: ModelName, cutter: Cutter) -> bool:
        oldest = cutter.oldest_waiting
        self._metrics.show_oldest_waiting(model, None if oldest is None else arrival(oldest) / 1000)
        return oldest is not None

    def _after_silence(self, progress: _Progress) -> Window | None:
        """By time, nothing in the log ends the last window if nothing comes any more. No clock that may jump does."""
        patience = progress.cutter.patience_ms
        if patience is None or (self._monotonic() - progress.silent_since) * 1000 < patience:
            return None
        return progress.cutter.close()

    async def _panes(self, progress: _Progress, logged: Sequence[LoggedBatch]) -> Sequence[Sequence[Pane] | None]:
        """Of each batch, where the plan keeps no rows; None: it has none that this plan can use."""
        window = progress.registration.plan.window
        if window.keep == "rows":
            return [None] * len(logged)
        fitted = await self._fitted.fitted(progress.registration)
        before = [progress.cutter.position, *(each.position for each in logged)]
        return await to_thread.run_sync(
            lambda: [_panes_of(fitted, progress.start, *each) for each in zip(before, logged, strict=False)],
            limiter=self._limiter,
            abandon_on_cancel=True,
        )

    async def _judge(self, progress: _Progress, window: Window) -> bool:
        registration = progress.registration
        model = registration.model
        label = self._metrics.model(model)
        attributes: dict[str, AttributeValue] = {"driftwarden.model": model, "driftwarden.rows": window.tested}
        with self._tracing.span("evaluate_window", links=window.traceparents, attributes=attributes) as span:
            few = window.tested < registration.plan.window.minimum_rows
            fitted = await self._fitted.fitted(registration, tested_rows=None if few else window.tested)
            with self._metrics.evaluation_seconds.labels(label).time():
                # Abandoned when the process is to end: the window is judged by the next evaluator, and a test that
                # takes minutes must not keep this one from ending within its grace.
                decision, budget = await to_thread.run_sync(
                    _decision, fitted, window, _budget(progress), limiter=self._limiter, abandon_on_cancel=True
                )
            verdict = self._verdict(progress, window, decision, budget)
            _describe(span, verdict)
            if not await self._is_watched(registration) or not await self._verdicts.commit(verdict):
                self._metrics.lost_races.labels(label).inc()
                return False
        self._metrics.windows.labels(label, decision.finding.value).inc()
        self._metrics.dropped_batches.labels(label, "repeated").inc(window.duplicates)
        self._metrics.dropped_batches.labels(label, "misfit").inc(window.misfits)
        self._metrics.dropped_rows.labels(label, "late").inc(window.late)
        self._metrics.dropped_rows.labels(label, "future").inc(window.future)
        if progress.labelling is not None:
            self._metrics.count_flagged(label, window.flagged)
        self._metrics.show(verdict)
        self._metrics.show_calibration(model, fitted.calibration)
        progress.newest = verdict
        if verdict.action is not None:
            self._tell(verdict)
        await self._log.forget_before(model, verdict.cursor.position, self._retained)
        return True

    async def _is_watched(self, registration: Registration) -> bool:
        """False where the model was deleted while a test took its time, though another one has its name by now."""
        kept = await self._registrations.revision(registration.model, registration.revision)
        return kept is not None and kept.is_same_as(registration)

    def _verdict(self, progress: _Progress, window: Window, decision: Decision, budget: BudgetState | None) -> Verdict:
        registration, previous = progress.registration, progress.newest
        number = 1 if previous is None else previous.number + 1
        first_row = 0
        if previous is not None:
            next_row = previous.next_row
            first_row = previous.first_row + previous.rows if next_row is None else next_row
        state, acts = respond(
            registration.plan.response, left_by(previous, registration.reference_digest), number, decision
        )
        return Verdict(
            number=number,
            model=registration.model,
            cursor=window.end,
            first_row=first_row,
            rows=window.seen,
            batches=window.batches,
            duplicates=window.duplicates,
            misfits=window.misfits,
            started_at=window.started_at,
            ended_at=window.ended_at,
            decided_at=self._clock(),
            reference_digest=registration.reference_digest,
            plan_digest=registration.plan.digest,
            registration_revision=registration.revision,
            decision=decision,
            response=state,
            action=self._signed(_action(registration, number, window, decision)) if acts else None,
            start=window.start,
            next_row=first_row + window.step,
            tested_rows=window.tested,
            late=window.late,
            future=window.future,
            budget=budget,
            mismatches=window.mismatches,
            flagged=None if progress.labelling is None else window.flagged,
        )

    def _signed(self, action: RetrainRequest) -> RetrainRequest:
        return action if self._sign is None else self._sign(action)


def _identity(verdict: Verdict | None) -> tuple[int, Cursor]:
    return (0, Cursor()) if verdict is None else (verdict.number, verdict.cursor)


def _budget(progress: _Progress) -> BudgetState:
    """What the verdict before left of it; a fresh one under another plan or reference."""
    newest, registration = progress.newest, progress.registration
    asked = (registration.plan.digest, registration.reference_digest)
    if newest is None or newest.budget is None or (newest.plan_digest, newest.reference_digest) != asked:
        return BudgetState()
    return newest.budget


def _decision(fitted: FittedPlan, window: Window, budget: BudgetState) -> tuple[Decision, BudgetState | None]:
    """The arithmetic, on a thread of its own; with what is left of the budget, if the plan has one."""
    step_back()
    return judged(fitted, window, budget)


def _panes_of(fitted: FittedPlan, start: Cursor, before: BatchPosition, logged: LoggedBatch) -> Sequence[Pane] | None:
    """Of rows, too, that came before the plan kept none: of those that no window has had."""
    batch = logged.batch
    try:
        if batch.panes is not None:
            return decode_panes(fitted, batch.panes)
        if batch.rows.shape[1] != len(fitted.features):
            return None
        left = not_judged(logged, before, start)
        return panes_of(fitted, left.rows, event_times(left), fitted.plan.window.every_ms)
    except (InvalidDocument, ReferenceMismatch, InvalidBatch, DetectorError):
        return None


def _action(registration: Registration, number: int, window: Window, decision: Decision) -> RetrainRequest:
    return RetrainRequest(
        name=action_name(registration.model, number, registration.reference_digest, window.end),
        model=registration.model,
        verdict_number=number,
        window_start=window.started_at,
        window_end=window.ended_at,
        reference_digest=registration.reference_digest,
        plan_digest=registration.plan.digest,
        drifted_features=decision.drifted_features,
        traceparent=current_traceparent(),
    )


def _describe(span: Span, verdict: Verdict) -> None:
    span.set_attribute("driftwarden.verdict", verdict.number)
    span.set_attribute("driftwarden.finding", verdict.decision.finding.value)
    span.set_attribute("driftwarden.reference", verdict.reference_digest)
    if verdict.action is not None:
        span.set_attribute("driftwarden.action", verdict.action.name)
