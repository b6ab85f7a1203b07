"""How well a model does: what a plan asks, and what a classifier's predictions alone say of a window."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import isfinite, isnan
from typing import Literal, Self

from detectors.arrays import Rows
from detectors.errors import InvalidParameter, TooFewRows
from detectors.performance.estimator import Estimator
from detectors.performance.metrics import Metric
from service.domain.errors import Fault, InvalidPlan, InvalidReference
from service.domain.models import EstimatedPerformance, Reference
from service.domain.schema import Role, Schema

_COLUMNS = {"scores": "performance.prediction", "labels": "performance.label"}


@dataclass(frozen=True, slots=True)
class PerformancePlan:
    """Of a classifier whose prediction is a probability; or, by `absolute_error`, of a model that predicts numbers."""

    prediction: str | None = None
    """The column of role `prediction` that it is in; None: the only one."""
    label: str | None = None
    """The column of role `label` that has what was true, of a classifier 0 or 1; None: the only one."""
    threshold: float = 0.5
    """A prediction from here on counts as positive."""
    metric: Literal["accuracy", "precision", "recall", "f1", "roc_auc", "absolute_error"] = "accuracy"
    """What is estimated without labels; nothing by `absolute_error`, which only labels tell."""
    minimum_loss: float = 0.02
    """Drift matters where the metric is estimated to be lower than in the reference by at least so much."""
    window_rows: int | None = None
    """Labelled rows a window; None: as many as the plan's windows by count have, or 500."""

    @property
    def estimates(self) -> bool:
        """Whether anything is known without labels."""
        return self.metric != "absolute_error"

    def faults(self) -> Iterator[Fault]:
        """What cannot be."""
        if not 0 < self.threshold <= 1:
            yield Fault("performance.threshold", "must lie above 0, and be at most 1")
        if not (isfinite(self.minimum_loss) and 0 < self.minimum_loss < 1):
            yield Fault("performance.minimum_loss", "must lie between 0 and 1, both excluded")

    def of_columns(self, schema: Schema) -> Self:
        """The same with both columns named; raises `InvalidPlan` where they are not there, or are more than one."""
        prediction, faults = _named(schema, Role.PREDICTION, self.prediction)
        label, others = _named(schema, Role.LABEL, self.label)
        if faults or others:
            raise InvalidPlan(*faults, *others)
        return replace(self, prediction=prediction, label=label)


@dataclass(frozen=True, slots=True)
class FittedPerformance:
    """What estimates one model's performance."""

    plan: PerformancePlan
    column: int
    """Of the predictions, among the plan's features."""
    estimator: Estimator

    @classmethod
    def fit(cls, plan: PerformancePlan, reference: Reference, window_rows: int) -> Self:
        """Of a plan that names its columns. Raises `InvalidReference`."""
        prediction, label = (reference.features.index(str(name)) for name in (plan.prediction, plan.label))
        scores, labels = reference.rows[:, prediction], reference.rows[:, label]
        try:
            estimator = Estimator.fit(scores, labels, Metric(plan.metric), plan.threshold, window_rows)
        except InvalidParameter as error:
            raise InvalidReference(Fault(_COLUMNS[error.parameter], str(error))) from error
        except TooFewRows as error:
            raise InvalidReference(Fault("performance", f"cannot be estimated: {error}")) from error
        return cls(plan, prediction, estimator)

    def estimate(self, rows: Rows) -> EstimatedPerformance:
        """Of a window's rows, shape (rows, features)."""
        found, reference = self.estimator.estimate(rows[:, self.column]), self.estimator.realised
        if isnan(found.estimated):
            return EstimatedPerformance(self.plan.metric, None, None, reference, None)
        matters = reference - found.estimated >= self.plan.minimum_loss
        return EstimatedPerformance(
            self.plan.metric, found.estimated, (found.lower, found.upper), reference, bool(matters)
        )


def _named(schema: Schema, role: Role, name: str | None) -> tuple[str | None, list[Fault]]:
    place, names = f"performance.{role}", schema.names(role)
    if name is not None:
        return name, [] if name in names else [Fault(place, f"is no column of the role {role}")]
    if len(names) == 1:
        return names[0], []
    there = "none" if not names else f"{len(names)}: name the one that is meant"
    return None, [Fault(place, f"is the column of the role {role}, and the reference has {there}")]
