"""Say how watched targets are: metrics that are asked for; a line, a span and an event when a state changes."""

import logging
import secrets
from collections.abc import Callable
from math import nan

from opentelemetry.util.types import AttributeValue

from service.domain.events import Event
from service.domain.integrity.watched import History, State, Target
from service.ports import Clock
from service.telemetry.metrics import Metrics
from service.telemetry.tracing import Tracing

EVENT = "io.driftwarden.integrity.changed.v1"
"""Its type; and by which the line in the log is known."""
_LEVELS = {
    State.UNKNOWN: logging.INFO,
    State.VERIFIED: logging.INFO,
    State.STALE: logging.WARNING,
    State.UNVERIFIABLE: logging.ERROR,
    State.TAMPERED: logging.ERROR,
}
_log = logging.getLogger(__name__)


class TellIntegrity:
    """One instance a process."""

    def __init__(self, metrics: Metrics, tracing: Tracing, clock: Clock, announce: Callable[[Event], None]) -> None:
        self._metrics = metrics
        self._tracing = tracing
        self._clock = clock
        self._announce = announce

    def show(self, target: Target, state: Callable[[], State], age: Callable[[], float | None]) -> None:
        """Both are asked whenever somebody scrapes: time alone changes them, and a thread may hang."""

        def is_in(wanted: State) -> Callable[[], float]:
            return lambda: float(state() is wanted)

        def age_or_nan() -> float:
            known = age()
            return nan if known is None else known

        for each in State:
            labels = (target.name, target.kind or "", each.value)
            self._metrics.integrity_state.labels(*labels).set_function(is_in(each))
        self._metrics.integrity_age.labels(target.name).set_function(age_or_nan)

    def read(self, target: Target) -> Callable[[int], None]:
        """Is to be told how many bytes were read."""
        return self._metrics.integrity_hashed_bytes.labels(target.name).inc

    def verified(self, target: Target, outcome: str, history: History) -> None:
        """A verification ended."""
        self._metrics.integrity_verifications.labels(target.name, outcome).inc()
        changes = history.changes
        for change, count in zip(("changed", "missing", "added"), changes.counts, strict=True):
            self._metrics.integrity_files.labels(target.name, change).set(count)

    def changed(self, target: Target, before: State, state: State, history: History) -> None:
        """A state is another one."""
        said: dict[str, AttributeValue] = {
            "target": target.name,
            "kind": target.kind or "",
            "state": state.value,
            "before": before.value,
            "reason": history.reason,
            "changed": history.changes.changed,
            "missing": history.changes.missing,
            "added": history.changes.added,
        }
        said = {name: value for name, value in said.items() if value}
        _log.log(_LEVELS[state], "integrity changed", extra={**said, "event": EVENT})
        attributes = {f"driftwarden.integrity.{name}": value for name, value in said.items()}
        with self._tracing.span("integrity_changed", attributes=attributes):
            pass  # the span itself is the news
        self._announce(Event(secrets.token_hex(16), EVENT, target.name, self._clock(), said))
