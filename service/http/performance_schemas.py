"""What the API takes and gives about performance: what a plan asks, and what is estimated of a window."""

from typing import Literal, Self

from service.domain.models import Decision
from service.domain.performance import PerformancePlan as DomainPlan
from service.http.document import Document

_DEFAULT = DomainPlan()


class PerformancePlan(Document):
    """How well a model does: by its labels, and before they come estimated from predictions that are probabilities."""

    prediction: str | None = None
    """The column of role `prediction`; null where there is only one."""
    label: str | None = None
    """The column of role `label`: of a classifier 0 or 1, or missing; null where there is only one."""
    threshold: float = _DEFAULT.threshold
    """A prediction from here on counts as positive."""
    metric: Literal["accuracy", "precision", "recall", "f1", "roc_auc", "absolute_error"] = _DEFAULT.metric
    """`absolute_error` is for predictions that are any numbers: it is known by labels only."""
    minimum_loss: float = _DEFAULT.minimum_loss
    """Drift matters where the metric is estimated to be lower than in the reference by at least so much."""
    window_rows: int | None = None
    """Labelled rows a window; null: as many as the plan's windows by count have, or 500."""

    def to_domain(self) -> DomainPlan:
        """The same, frozen."""
        return DomainPlan(**self.model_dump())


class PerformanceView(Document):
    """How well the model does, as far as its predictions tell it without labels."""

    metric: str
    estimated: float | None
    """Null where the metric is not defined for these rows."""
    interval: tuple[float, float] | None
    """Of 95 %."""
    reference: float
    """What the metric was in the reference, by its labels."""
    matters: bool | None
    """Whether the estimate is lower than that by the plan's `minimum_loss`."""

    @classmethod
    def of(cls, decision: Decision) -> Self | None:
        """None where nothing was estimated."""
        return None if decision.performance is None else cls.model_validate(decision.performance)
