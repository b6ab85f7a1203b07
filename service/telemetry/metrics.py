"""Every metric of the service. Labels are bounded: models beyond a limit count as `other`, features are left out."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from service.domain.fitted_plan import Calibration
from service.domain.models import Cursor, EstimatedPerformance, Finding, FlaggedRows, TriggerOutcome, Verdict
from service.domain.retraining.record import Phase, RetrainingState
from service.domain.schema import Mismatches

M = TypeVar("M", bound=MetricWrapperBase)
OTHER = "other"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """One instance a process, on a registry of its own, so that two applications in one process do not mix."""

    content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8"

    def __init__(self, max_models: int, max_features: int) -> None:
        self._max_models = max_models
        self._max_features = max_features
        self._models: set[str] = set()
        self._shown: dict[str, tuple[int, Cursor]] = {}
        self._series: dict[str, set[tuple[str, str, str]]] = {}
        self._of_models: list[MetricWrapperBase] = []
        self.registry = CollectorRegistry()
        self._declare_work()
        self._declare_newest_verdict()
        self._declare_forwarding()
        self._declare_integrity()
        self._declare_retraining()

    def _declare_work(self) -> None:
        """What this process did."""
        counter, gauge, seconds = self._counter, self._gauge, self._seconds
        self.rows = counter("observed_rows", "Rows acknowledged.", "model")
        outcomes = "Batches by outcome: accepted, or the kind of problem."
        self.batches = counter("observed_batches", outcomes, "model", "outcome")
        events = "Logged inferences by kind (request, response, feedback) and what became of them."
        self.events = counter("events", events, "kind", "outcome")
        unpaired = "Logged requests and responses that were let go of because their other half did not come."
        self.unpaired_events = counter("unpaired_events", unpaired)
        self.ingest_seconds = seconds("ingest_seconds", "From a batch's request to its acknowledgement.")
        self.windows = counter("windows", "Windows that this process judged and committed.", "model", "finding")
        self.lost_races = counter("windows_lost_races", "Windows that another replica committed first.", "model")
        dropped = "Batches read and not counted: repeated, or misfit (another number of features, unreadable)."
        self.dropped_batches = counter("dropped_batches", dropped, "model", "reason")
        unjudged = "Rows not judged: late for their window, or of a day and more in the future."
        self.dropped_rows = counter("dropped_rows", unjudged, "model", "reason")
        mismatched = "Values that do not match the schema, by what is wrong: counted as the plan says, not refused."
        self.schema_mismatches = counter("schema_mismatches", mismatched, "model", "mismatch")
        labels = "Batches whose labels came: joined, unknown (not among the predictions kept), or conflicting."
        self.labels = counter("labelled_batches", labels, "model", "outcome")
        flagged = "Rows of judged windows that were flagged, by label; they are judged all the same."
        self.flagged_rows = counter("flagged_rows", flagged, "model", "label")
        tests = "Testing one window with all detectors of its plan."
        self.evaluation_seconds = seconds("evaluation_seconds", tests, "model")
        failures = "Rounds of evaluation or delivery that ended in an error."
        self.evaluation_failures = counter("evaluation_failures", failures, "model", "error")
        self.waiting_rows = gauge(
            "waiting_rows", "Rows read for the next window; what is not read yet: see log_batches.", "model"
        )
        self._declare_log()
        self.actions = counter("actions", "Deliveries of actions, by outcome.", "model", "outcome")
        retried = "Deliveries that failed and will be tried again."
        self.delivery_failures = counter("delivery_failures", retried, "model")
        claimed = "Models that this process has claimed; work is evaluation or delivery."
        self.claimed_models = gauge("claimed_models", claimed, "work")
        self.evaluators = gauge("evaluators", "Processes that share this work, this one among them.", "work")
        taken_over = "Models claimed that were last claimed by a process that is no longer there."
        self.takeovers = counter("takeovers", taken_over, "work")
        unclaimed = "Times that claims could not be read or written, and work went on without."
        self.claim_failures = counter("claim_failures", unclaimed, "work")
        refusals = "Requests not let in: anonymous, unknown, not_allowed, or undecided (nobody could be asked)."
        self.refused_requests = counter("refused_requests", refusals, "reason")
        reviews = "Questions to the Kubernetes API about a token or an access: allowed, refused, or failed."
        self.access_reviews = counter("access_reviews", reviews, "asked", "outcome")
        self.pending_actions = gauge("pending_actions", "1 while an action waits in the outbox.", "model")

    def _declare_log(self) -> None:
        """How much waits, and how much more may."""
        gauge = self._gauge
        batches = "Batches in the log: those not judged yet and, behind them, up to log_kept_batches judged ones."
        self.log_batches = gauge("log_batches", batches, "model")
        self.log_limit_batches = gauge("log_limit_batches", "Batches in a model's log beyond which senders get 429.")
        self.log_kept_batches = gauge("log_kept_batches", "Judged batches that a log keeps at the most, but for a few.")
        oldest = "When the oldest batch with rows for a window to come came in; absent if there is none."
        self.oldest_waiting = gauge("oldest_waiting_batch_timestamp_seconds", oldest, "model")
        restarts = "Times that the embedded store ended by itself and was started again."
        self.embedded_store_restarts = self._counter("embedded_store_restarts", restarts)

    def _declare_forwarding(self) -> None:
        """What a sidecar does."""
        counter, gauge = self._counter, self._gauge
        self.forwarded_panes = counter("forwarded_panes", "Panes that the central service has acknowledged.", "model")
        self.forwarded_rows = counter("forwarded_rows", "Rows of these.", "model")
        refused = "Times that the central service refused what was sent; it stays here, and goes out again."
        self.refused_panes = counter("refused_panes", refused, "model")
        failures = "Attempts to forward that failed, whatever the reason."
        self.forward_failures = counter("forward_failures", failures, "model")
        success = "When the central service acknowledged something last."
        self.forward_last_success = gauge("forward_last_success_timestamp_seconds", success, "model")
        waiting = "What the logs of a sidecar take in its store: rows that wait, and a few that do not any more."
        self.forward_waiting_bytes = gauge("forward_waiting_bytes", waiting)
        self.forward_limit_bytes = gauge("forward_limit_bytes", "Beyond so many of them senders get 429.")

    def _declare_integrity(self) -> None:
        """Of what is watched; targets are few, and the operator's."""
        counter, gauge = self._counter, self._gauge
        state = "1 for the state that a watched target is in, 0 for the others."
        self.integrity_state = gauge("integrity_state", state, "target", "kind", "state")
        age = "Since a watched target was verified last, by a clock that does not jump; NaN: never."
        self.integrity_age = gauge("integrity_last_success_age_seconds", age, "target")
        files = "Files of a watched target that are not as they were signed: changed, missing, added."
        self.integrity_files = gauge("integrity_files", files, "target", "change")
        read = "Bytes of watched targets that were read to verify them."
        self.integrity_hashed_bytes = counter("integrity_hashed_bytes", read, "target")
        verifications = "Verifications by outcome: verified, tampered, refused (its signature), or unreadable."
        self.integrity_verifications = counter("integrity_verifications", verifications, "target", "outcome")
        published = "Events for others by what became of them: sent, refused, dropped; and tries that found nobody."
        self.published_events = counter("published_events", published, "outcome")
        trusted = "1: the stored registration and reference of a model in use here are what they were; 0: they are not."
        self.reference_trusted = gauge("reference_trusted", trusted, "model")

    def _declare_retraining(self) -> None:
        """What is decided and done, and where the run under way is."""
        steps = "Entries that this process added to records of retraining; reason: of a refusal, or how a run ended."
        self.retrainings = self._counter("retrainings", steps, "model", "step", "reason")
        phase = "1 for the phase that the run under way is in, 0 for the others; all 0: none is under way."
        self.retraining_phase = self._gauge("retraining_phase", phase, "model", "phase")
        since = "Since when the run under way is in its phase; absent if none is under way."
        self.retraining_since = self._gauge("retraining_phase_timestamp_seconds", since, "model")
        failures = "Runs that failed one after another; 0 once one has not."
        self.retraining_failures = self._gauge("retraining_failures", failures, "model")

    def _declare_newest_verdict(self) -> None:
        """What the newest verdict says, whoever committed it."""
        gauge = self._gauge
        self.verdict_number = gauge("verdict_number", "Number of the newest verdict.", "model")
        self.verdict_timestamp = gauge("verdict_timestamp_seconds", "When the newest verdict was decided.", "model")
        self.window_rows = gauge("window_rows", "Rows of the newest window.", "model")
        self.finding = gauge("finding", "1 for the newest verdict's finding, 0 for the others.", "model", "finding")
        together = "Of the newest window, all detectors and features together."
        self.window_p_value = gauge("window_p_value", together, "model")
        effective = "Independent blocks that say as much as those of the reference, which follow one another."
        self.effective_blocks = gauge("calibration_effective_blocks", effective, "model")
        own = "Share of the reference's own blocks that alarm, each judged by the others."
        self.calibration_rate = gauge("calibration_false_alarm_rate", own, "model")
        basis = "1 if the newest verdict rests on blocks of the reference, 0 if on independent rows."
        self.calibrated = gauge("calibrated", basis, "model")
        once = "Under a budget of false alarms: so rarely do calm windows gather as much evidence as there is now."
        self.once_in_windows = gauge("evidence_once_in_windows", once, "model")
        allowed = "The budget allows one false alarm in so many windows."
        self.windows_per_alarm = gauge("budget_windows_per_alarm", allowed, "model")
        self.budget_alarms = gauge("budget_alarms", "Windows found drifted under this budget and reference.", "model")
        estimated = "Of the newest window: a metric as estimated without labels, its interval, and the reference's."
        self.estimated_performance = gauge("estimated_performance", estimated, "model", "metric", "value")
        matters = "1 if performance is estimated to have suffered in the newest window, else 0."
        self.performance_matters = gauge("performance_matters", matters, "model")
        feature = ("model", "detector", "feature")
        self.statistic = gauge("statistic", "Test statistic in the newest window; NaN if not measured.", *feature)
        self.effect = gauge("effect", "Size of the difference in the newest window; NaN if not measured.", *feature)
        self.p_value = gauge("p_value", "p-value in the newest window if rows were independent.", *feature)
        self.missing = gauge("missing", "Missing values (or rows) in the newest window.", *feature)
        self.drifted = gauge("drifted", "1 where the newest window drifted, else 0.", *feature)

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return self._noted(Counter(f"driftwarden_{name}", documentation, labels, registry=self.registry), labels)

    def _gauge(self, name: str, documentation: str, *labels: str) -> Gauge:
        return self._noted(Gauge(f"driftwarden_{name}", documentation, labels, registry=self.registry), labels)

    def _seconds(self, name: str, documentation: str, *labels: str) -> Histogram:
        made = Histogram(f"driftwarden_{name}", documentation, labels, buckets=_SECONDS, registry=self.registry)
        return self._noted(made, labels)

    def _noted(self, metric: M, labels: Sequence[str]) -> M:
        if "model" in labels:
            self._of_models.append(metric)
        return metric

    def model(self, name: str) -> str:
        """The label of a registered model, within the limit."""
        if name in self._models or len(self._models) < self._max_models:
            self._models.add(name)
            return name
        return OTHER

    def show_oldest_waiting(self, name: str, came_in: float | None) -> None:
        """Make visible how long the oldest batch waits (seconds since the epoch); None if none does."""
        model = self.model(name)
        if model != name:
            return
        if came_in is None:
            self.oldest_waiting.remove(model)
        else:
            self.oldest_waiting.labels(model).set(came_in)

    def show_waits_elsewhere(self, name: str) -> None:
        """Another process judges this model now, and shows how much of it waits."""
        model = self.model(name)
        self.waiting_rows.labels(model).set(0)
        if model == name:
            self.log_batches.remove(model)
            self.oldest_waiting.remove(model)

    def show(self, verdict: Verdict) -> None:
        """Make the store's newest verdict visible; every replica does, whoever committed it.

        One with a lower number than the last is shown like any other: the store was emptied or restored.
        """
        model = self.model(verdict.model)
        identity = (verdict.number, verdict.cursor)
        if model != verdict.model or self._shown.get(model) == identity:
            return
        self._shown[model] = identity
        self.verdict_number.labels(model).set(verdict.number)
        self.verdict_timestamp.labels(model).set(verdict.decided_at.timestamp())
        self.window_rows.labels(model).set(verdict.rows)
        self.calibrated.labels(model).set(verdict.decision.calibrated)
        for finding in Finding:
            self.finding.labels(model, finding.value).set(finding is verdict.decision.finding)
        _show_or_remove(self.window_p_value, model, verdict.decision.p_value)
        _show_or_remove(self.once_in_windows, model, verdict.decision.once_in_windows)
        _show_or_remove(self.windows_per_alarm, model, verdict.decision.windows_per_alarm)
        _show_or_remove(self.budget_alarms, model, None if verdict.budget is None else verdict.budget.alarms)
        self._show_performance(model, verdict.decision.performance)
        self._show_measurements(model, verdict)

    def _show_performance(self, model: str, found: EstimatedPerformance | None) -> None:
        self.estimated_performance.remove_by_labels({"model": model})  # of an earlier plan's metric
        matters = None if found is None else found.matters
        _show_or_remove(self.performance_matters, model, None if matters is None else float(matters))
        if found is None:
            return
        lower, upper = (None, None) if found.interval is None else found.interval
        values = {"estimated": found.estimated, "lower": lower, "upper": upper, "reference": found.reference}
        for value, number in values.items():
            self.estimated_performance.labels(model, found.metric, value).set(_or_nan(number))

    def _show_measurements(self, model: str, verdict: Verdict) -> None:
        shown = set()
        for detector in verdict.decision.detectors:
            for measurement in detector.features[: self._max_features]:
                labels = (model, detector.detector, measurement.feature or "")
                shown.add(labels)
                self.statistic.labels(*labels).set(_or_nan(measurement.statistic))
                self.effect.labels(*labels).set(_or_nan(measurement.effect))
                self.p_value.labels(*labels).set(_or_nan(measurement.p_value))
                self.missing.labels(*labels).set(measurement.missing)
                self.drifted.labels(*labels).set(measurement.drifted)
        for labels in self._series.get(model, set()) - shown:  # of an earlier plan or reference
            for gauge in (self.statistic, self.effect, self.p_value, self.missing, self.drifted):
                gauge.remove(*labels)
        self._series[model] = shown

    def show_calibration(self, name: str, calibration: Calibration | None) -> None:
        """What the newest verdict's blocks say of it; None: it rests on none."""
        model = self.model(name)
        if model != name:
            return
        alarms = None if calibration is None else calibration.false_alarms
        _show_or_remove(self.effective_blocks, model, None if calibration is None else calibration.effective_blocks)
        _show_or_remove(self.calibration_rate, model, None if alarms is None else alarms.rate)

    def forget(self, name: str) -> None:
        """The model is not watched any more: its series end, and its label is free for another."""
        if name not in self._models:
            return
        for metric in self._of_models:
            metric.remove_by_labels({"model": name})
        self._models.discard(name)
        self._shown.pop(name, None)
        self._series.pop(name, None)

    def count_mismatches(self, label: str, mismatches: Mismatches) -> None:
        """Under the label of a model."""
        for name, values in asdict(mismatches).items():
            self.schema_mismatches.labels(label, name).inc(values)

    def count_flagged(self, label: str, flagged: FlaggedRows) -> None:
        """Under the label of a model."""
        for name, rows in asdict(flagged).items():
            self.flagged_rows.labels(label, name).inc(rows)

    def show_retraining(self, name: str, state: RetrainingState) -> None:
        """Make visible where the run under way is, if one is."""
        model = self.model(name)
        if model != name:
            return
        for phase in Phase:
            is_there = state.underway is not None and state.underway.phase is phase
            self.retraining_phase.labels(model, phase.value).set(is_there)
        run = state.underway
        _show_or_remove(self.retraining_since, model, None if run is None else run.since.timestamp())
        self.retraining_failures.labels(model).set(state.failures)

    def count_action(self, model: str, outcome: TriggerOutcome) -> None:
        self.actions.labels(self.model(model), outcome.value).inc()

    def exposition(self) -> bytes:
        """What a scrape gets."""
        exposition: bytes = generate_openmetrics(self.registry)  # type: ignore[no-untyped-call]
        return exposition


def _show_or_remove(gauge: Gauge, model: str, number: float | None) -> None:
    if number is None:
        gauge.remove(model)
    else:
        gauge.labels(model).set(number)


def _or_nan(number: float | None) -> float:
    return float("nan") if number is None else number
