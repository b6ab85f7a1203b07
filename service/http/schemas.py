"""What the API takes and gives, as pydantic models: the OpenAPI document is made of these."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticCustomError

from detectors import definitions
from service.domain import plan as domain
from service.domain.models import DetectorMeasurement, Finding, TriggerOutcome
from service.domain.registration import Registration
from service.http.column_documents import ColumnView, MismatchPlan
from service.http.decision_schemas import BudgetView, DecisionPlan, ReadinessView
from service.http.document import Document
from service.http.performance_schemas import PerformancePlan, PerformanceView
from service.http.quarantine_schemas import AnomalyPlan, FlaggedRows
from service.http.response_schemas import ResponsePlan
from service.usecases.evaluate_rows import Evaluated
from service.usecases.read_verdicts import JudgedWindow
from service.usecases.register_model import Registered

_DEFAULT = domain.Plan()
_RANKED = 10


def _as_one_fault(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    """Pydantic names every type that a value of a union is not; one fault says it."""
    try:
        return read(value)
    except ValidationError:
        raise PydanticCustomError("scalar", "Input should be a string, a number, true, false or null") from None


Scalar = Annotated[str | int | float | bool | None, WrapValidator(_as_one_fault)]


class WindowPlan(Document):
    """How the log is cut: by count (`rows`), by time (`every_seconds`), or by what comes first (both)."""

    rows: int | None = None
    """Rows a window; 500 if neither `rows` nor `every_seconds` is given. The cut is exact, wherever batches end."""
    step: int | None = _DEFAULT.window.step
    """Rows from the beginning of one window to that of the next, fewer than `rows`: a sliding window."""
    every_seconds: int | None = _DEFAULT.window.every_seconds
    """Length of a window in event time (`observed_at`), aligned to its multiples since the epoch."""
    lateness_seconds: int = _DEFAULT.window.lateness_seconds
    """By time alone: how long a window waits, in event time, for rows that come out of order."""
    sample_rows: int | None = _DEFAULT.window.sample_rows
    """Test at most this many rows of a window, drawn evenly. By time alone 10000 if it is not given."""
    minimum_rows: int = _DEFAULT.window.minimum_rows
    """A window of fewer rows is `UNDECIDED`."""
    keep: Literal["rows", "summaries"] = _DEFAULT.window.keep
    """`summaries`: rows are gone when they are acknowledged; windows merge what the detectors keep of them."""

    def to_domain(self) -> domain.WindowPlan:
        """The same, frozen."""
        planned = self.model_dump()
        if self.rows is None and self.every_seconds is None:
            planned["rows"] = _DEFAULT.window.rows
        return domain.WindowPlan(**planned)


class DetectorPlan(Document):
    """One detector."""

    name: str
    """e.g. `kolmogorov_smirnov`, `maximum_mean_discrepancy`."""
    parameters: dict[str, Scalar] = Field(default={})
    """The detector's own."""
    features: list[str] | None = None
    """Those that it looks at, e.g. the categorical ones for `chi_square`; null for all."""
    minimum_effect: float = 0.0
    """A smaller difference is no drift however surprising it is."""

    def to_domain(self) -> domain.DetectorPlan:
        """The same, frozen."""
        features = None if self.features is None else tuple(self.features)
        return domain.DetectorPlan(self.name, self.parameters, features, self.minimum_effect)


class Plan(Document):
    """Detectors, window, budget and response of one model. What is left out has its default."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"window": {"rows": 300}, "detectors": [{"name": "kolmogorov_smirnov", "minimum_effect": 0.1}]},
            ]
        }
    )

    window: WindowPlan = WindowPlan()
    detectors: list[DetectorPlan] = Field(
        default=[DetectorPlan.model_validate(planned) for planned in _DEFAULT.detectors]
    )
    decision: DecisionPlan = DecisionPlan()
    response: ResponsePlan = ResponsePlan()
    missing_values: Literal["refuse", "keep"] = _DEFAULT.missing_values
    """`refuse`: a batch with a missing value gets 422. `keep`: it is taken; detectors leave it out and count it."""
    schema_mismatch: MismatchPlan = MismatchPlan()
    performance: PerformancePlan | None = None
    """Estimate how well a classifier does, without labels."""
    anomalies: AnomalyPlan | None = None
    """Which rows are flagged, and what becomes of them; null: rows have no labels."""

    def to_domain(self) -> domain.Plan:
        """The same, frozen."""
        return domain.Plan(
            window=self.window.to_domain(),
            detectors=self._detectors(),
            decision=self.decision.to_domain(),
            response=self.response.to_domain(),
            missing_values=self.missing_values,
            schema_mismatch=self.schema_mismatch.to_domain(),
            performance=None if self.performance is None else self.performance.to_domain(),
            anomalies=None if self.anomalies is None else self.anomalies.to_domain(),
        )

    def _detectors(self) -> tuple[domain.DetectorPlan, ...]:
        if "detectors" not in self.model_fields_set and self.window.keep == "summaries":
            return domain.detectors_on_summaries()
        return tuple(detector.to_domain() for detector in self.detectors)


class RegistrationView(Document):
    """What a model is watched by."""

    model: str
    revision: int
    changed: bool
    """False: exactly this was registered already."""
    features: list[str]
    reference_digest: str
    reference_rows: int
    plan_digest: str
    plan: Plan
    registered_at: datetime
    columns: list[ColumnView]
    readiness: ReadinessView

    @classmethod
    def of(cls, registered: Registered) -> Self:
        registration = registered.registration
        return cls(
            model=registration.model,
            revision=registration.revision,
            changed=registered.changed,
            features=list(registration.features),
            reference_digest=registration.reference_digest,
            reference_rows=registration.reference_rows,
            plan_digest=registration.plan.digest,
            plan=Plan.model_validate(registration.plan),
            registered_at=registration.registered_at,
            columns=[ColumnView.model_validate(column) for column in registration.schema.columns],
            readiness=ReadinessView.of(registered.readiness),
        )


class ModelPage(Document):
    """By name."""

    models: list[str]
    after: Annotated[str | None, Field(description="Ask for the next page with `?after=` this; null on the last.")]


class Acknowledgement(Document):
    """The batch is kept as safely as this service promises (`DRIFT_STORE__ACKNOWLEDGE`)."""

    batch: str
    """Its identifier: the `Idempotency-Key`, or one made for it."""
    rows: int
    position: str | None
    """Its place in the model's log; null where it was acknowledged before it had one."""


class AcceptedEvent(Document):
    """The event is in this process, and will be read; what is wrong with its data is counted and logged."""

    event: str
    """Its `id`."""


class FeatureView(Document):
    """One number of one detector."""

    feature: str | None
    statistic: float | None
    """Null, like the others, where there was too little to measure."""
    effect: float | None
    p_value: float | None
    """If rows were independent."""
    score: float | None
    """In standard deviations of what calm blocks of the reference do."""
    missing: int
    """Values (for all features together: rows) left out because they are missing."""
    drifted: bool


class DetectorView(Document):
    """What one detector measured."""

    detector: str
    method: str
    seed: int | None
    reference_rows: int
    window_rows: int
    features: list[FeatureView]

    @classmethod
    def of(cls, measurement: DetectorMeasurement) -> Self:
        return cls.model_validate(measurement)


class ActionView(Document):
    """What a verdict set off, and what became of it."""

    name: str
    """Of the object that is created."""
    outcome: TriggerOutcome | None
    """None: waiting in the outbox."""
    kind: str | None
    namespace: str | None
    delivered_at: datetime | None
    detail: str
    """The manifest of a dry run, the target's message, or why the gate refused it."""


class VerdictView(Document):
    """A window's finding and what it rests on."""

    number: int
    finding: Finding
    reason: str
    calibrated: bool
    p_value: float | None
    """Of the whole window, all detectors and features together."""
    false_alarm_rate: float
    """What the plan asks for."""
    first_row: int
    rows: int
    """Of the window."""
    tested_rows: int
    """Fewer than `rows` where the plan takes a sample."""
    late: int
    """Rows that came after their window had been judged, and were not judged."""
    future: int
    """Rows of more than a day ahead of their arrival, not judged."""
    mismatches: int
    """Values that did not match the schema, of the batches read for this window: taken as the plan says."""
    flagged: FlaggedRows | None
    """Rows by label, of the batches read for this window: judged all the same. Null where the plan labels none."""
    until: datetime | None
    """Windows by time: where this one's interval ends."""
    batches: int
    duplicates: int
    """Repeated batches that were not counted."""
    misfits: int
    """Batches that did not fit the reference and were not counted."""
    started_at: datetime
    ended_at: datetime
    decided_at: datetime
    drifted_features: list[str]
    """Largest effect first."""
    ranked_features: list[str]
    """The ten farthest from calm, drifted or not."""
    budget: BudgetView | None
    """Null where the plan has none."""
    performance: PerformanceView | None
    """Null where the plan asks for none, or the window could not be measured."""
    detectors: list[DetectorView]
    reference_digest: str
    plan_digest: str
    action: ActionView | None

    @classmethod
    def of(cls, judged: JudgedWindow) -> Self:
        verdict, decision = judged.verdict, judged.verdict.decision
        return cls(
            number=verdict.number,
            finding=decision.finding,
            reason=decision.reason,
            calibrated=decision.calibrated,
            p_value=decision.p_value,
            false_alarm_rate=decision.false_alarm_rate,
            first_row=verdict.first_row,
            rows=verdict.rows,
            tested_rows=verdict.rows if verdict.tested_rows is None else verdict.tested_rows,
            late=verdict.late,
            future=verdict.future,
            mismatches=verdict.mismatches,
            flagged=None if verdict.flagged is None else FlaggedRows.model_validate(verdict.flagged),
            until=_moment(verdict.cursor.until),
            batches=verdict.batches,
            duplicates=verdict.duplicates,
            misfits=verdict.misfits,
            started_at=verdict.started_at,
            ended_at=verdict.ended_at,
            decided_at=verdict.decided_at,
            drifted_features=list(decision.drifted_features),
            ranked_features=list(decision.ranked_features[:_RANKED]),
            budget=BudgetView.of(verdict),
            performance=PerformanceView.of(decision),
            detectors=[DetectorView.of(measurement) for measurement in decision.detectors],
            reference_digest=verdict.reference_digest,
            plan_digest=verdict.plan_digest,
            action=_action(judged),
        )


def _moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)


def _action(judged: JudgedWindow) -> ActionView | None:
    if judged.verdict.action is None:
        return None
    receipt = judged.delivery.receipt if judged.delivery is not None else None
    return ActionView(
        name=judged.verdict.action.name,
        outcome=receipt.outcome if receipt is not None else None,
        kind=receipt.kind if receipt is not None else None,
        namespace=receipt.namespace if receipt is not None else None,
        delivered_at=judged.delivery.delivered_at if judged.delivery is not None else None,
        detail=receipt.detail if receipt is not None else "",
    )


class VerdictPage(Document):
    """Newest first."""

    model: str
    verdicts: list[VerdictView]
    before: Annotated[int | None, Field(description="Ask for the next page with `?before=` this; None on the last.")]


class RegistrationSummary(Document):
    """One registration of a model."""

    revision: int
    features: list[str]
    reference_digest: str
    reference_rows: int
    plan_digest: str
    registered_at: datetime

    @classmethod
    def of(cls, registration: Registration) -> Self:
        return cls(
            revision=registration.revision,
            features=list(registration.features),
            reference_digest=registration.reference_digest,
            reference_rows=registration.reference_rows,
            plan_digest=registration.plan.digest,
            registered_at=registration.registered_at,
        )


class RegistrationHistory(Document):
    """Newest first; the first one is in force."""

    model: str
    registrations: list[RegistrationSummary]


class EvaluationView(Document):
    """What rows say that were tested at once."""

    model: str
    rows: int
    finding: Finding
    reason: str
    calibrated: bool
    p_value: float | None
    """Of all detectors and features together."""
    false_alarm_rate: float
    drifted_features: list[str]
    """Largest effect first."""
    performance: PerformanceView | None
    """Null where the plan asks for none, or the rows could not be measured."""
    detectors: list[DetectorView]
    registration_revision: int
    reference_digest: str
    plan_digest: str

    @classmethod
    def of(cls, evaluated: Evaluated) -> Self:
        registration, decision = evaluated.registration, evaluated.decision
        return cls(
            model=registration.model,
            rows=evaluated.rows,
            finding=decision.finding,
            reason=decision.reason,
            calibrated=decision.calibrated,
            p_value=decision.p_value,
            false_alarm_rate=decision.false_alarm_rate,
            drifted_features=list(decision.drifted_features),
            performance=PerformanceView.of(decision),
            detectors=[DetectorView.of(measurement) for measurement in decision.detectors],
            registration_revision=registration.revision,
            reference_digest=registration.reference_digest,
            plan_digest=registration.plan.digest,
        )


class Definition(Document):
    """A detector in plain words."""

    name: str
    asks: str
    """The question that it answers."""
    effect: str
    """What its effect means, and from where to where it goes."""
    sees_best: str
    overlooks: str
    scope: Literal["feature", "joint"]
    """One number for each feature, or one for all of them together."""
    bounded: bool
    """Works on summaries, for plans with `window.keep: summaries`."""
    optional: bool
    """Needs an extra, under a licence of its own."""
    parameters: dict[str, Scalar]
    """With their defaults."""

    @classmethod
    def of(cls, definition: definitions.Definition) -> Self:
        words = definition.words
        return cls(
            name=definition.name,
            asks=words.asks,
            effect=words.effect,
            sees_best=words.sees_best,
            overlooks=words.overlooks,
            scope=definition.scope.value,
            bounded=definition.bounded,
            optional=definition.optional,
            parameters=dict(definition.parameters),
        )


class Problem(Document):
    """RFC 9457."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    errors: list[dict[str, str]] = Field(default=[])
    """Each with `place` and `message`."""
