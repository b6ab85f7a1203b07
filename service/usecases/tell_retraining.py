"""Say what happens to models' retraining: metrics, a line in the log, and events for others to follow up."""

import logging
from collections.abc import Callable, Sequence

from service.domain.events import Event
from service.domain.models import ModelName, Verdict
from service.domain.retraining.gate import Check
from service.domain.retraining.record import Entry, Line, Step, written
from service.domain.retraining.run import Progress
from service.ports import RetrainingRecord
from service.telemetry.metrics import Metrics

DRIFT = "io.driftwarden.drift.detected.v1"
"""Of a verdict that something is to follow from."""
CHANGED = "io.driftwarden.retraining.changed.v1"
"""Of an entry in a record of retraining; the line in the log is known by it, too."""
MOST_FEATURES = 50
_BAD = frozenset({Step.REJECTED, Step.NOT_RENEWED})
_MEANT = frozenset({"switched_off", "reference_replaced"})
"""Refusals that, as those of the pace do, only carry out what somebody has set: with all others something is wrong."""
_log = logging.getLogger(__name__)


class TellRetraining:
    """One instance a process, which tells of what that process did."""

    def __init__(self, metrics: Metrics, announce: Callable[[Event], None]) -> None:
        self._metrics = metrics
        self._announce = announce

    def drift(self, verdict: Verdict) -> None:
        """A verdict was committed, and something is to follow from it."""
        if (action := verdict.action) is None:
            return
        said = {
            "model": verdict.model,
            "verdict": verdict.number,
            "run": action.name,
            "window_start": verdict.started_at.isoformat(),
            "window_end": verdict.ended_at.isoformat(),
            "rows": verdict.rows,
            "p_value": verdict.decision.p_value,
            "drifted_features": list(verdict.decision.drifted_features[:MOST_FEATURES]),
            "reference_digest": verdict.reference_digest,
            "plan_digest": verdict.plan_digest,
        }
        self._announce(Event(action.name, DRIFT, verdict.model, verdict.decided_at, _known(said)))

    def added(self, line: Line) -> None:
        """An entry was added."""
        entry = line.entry
        label = self._metrics.model(entry.model)
        self._metrics.retrainings.labels(label, entry.step.value, _reason(entry)).inc()
        self._metrics.show_retraining(entry.model, entry.state)
        said = _known(_said(entry))
        _log.log(_level(entry), "retraining %s", entry.step.value, extra={**said, "event": CHANGED})
        digest = line.digest.removeprefix("sha256:")
        self._announce(Event(digest, CHANGED, entry.model, entry.at, {**said, "entry_digest": line.digest}))


class ToldRecord:
    """A `service.ports.RetrainingRecord` that tells what is added to it."""

    def __init__(self, record: RetrainingRecord, tell: TellRetraining) -> None:
        self._record = record
        self._tell = tell

    async def append(self, entry: Entry, /) -> bool:
        added = await self._record.append(entry)
        if added:
            self._tell.added(written(entry))
        return added

    async def newest(self, model: ModelName, /) -> Line | None:
        return await self._record.newest(model)

    async def page(self, model: ModelName, after: int, limit: int, /) -> Sequence[Line]:
        return await self._record.page(model, after, limit)


def _level(entry: Entry) -> int:
    if entry.step in _BAD or entry.progress not in {None, Progress.SUCCEEDED}:
        return logging.ERROR
    refusal = entry.refusal
    is_meant = refusal is None or refusal.check is Check.PACE or refusal.reason in _MEANT
    return logging.INFO if is_meant else logging.WARNING


def _reason(entry: Entry) -> str:
    """A name out of few: labels are bounded."""
    if entry.refusal is not None:
        return entry.refusal.reason
    if entry.progress is not None:
        return entry.progress.value
    return "" if entry.receipt is None else entry.receipt.outcome.value


def _said(entry: Entry) -> dict[str, object]:
    refusal, receipt = entry.refusal, entry.receipt
    return {
        "model": entry.model,
        "entry": entry.number,
        "step": entry.step.value,
        "run": entry.run,
        "verdict": None if entry.alarm is None else entry.alarm.verdict_number,
        "by": entry.by,
        "reason": entry.reason,
        "check": None if refusal is None else refusal.check.value,
        "refusal": None if refusal is None else refusal.reason,
        "detail": None if refusal is None else refusal.detail,
        "outcome": None if receipt is None else receipt.outcome.value,
        "kind": None if receipt is None else receipt.kind,
        "namespace": None if receipt is None else receipt.namespace,
        "uid": None if receipt is None else receipt.uid,
        "progress": None if entry.progress is None else entry.progress.value,
        "dataset_digest": None if entry.evidence is None else entry.evidence.dataset_digest,
        "model_digest": entry.model_digest,
        "reference_digest": entry.reference_digest,
    }


def _known(said: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in said.items() if value is not None and value != ""}
