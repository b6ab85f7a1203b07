"""What the API says of flagged rows, as pydantic models: the plan's part, and where the rows are."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Self

from service.domain import anomaly_plan as domain
from service.domain.quarantine import QuarantinedBatch
from service.http.document import Document

_DEFAULT = domain.AnomalyPlan()


class AnomalyPlan(Document):
    """Which rows are flagged (docs/anomalies.md). What is left out has its default."""

    score: str = _DEFAULT.score
    """How strange a row is."""
    outlier_rate: float = _DEFAULT.outlier_rate
    """Share of ordinary rows that may be taken for outliers."""
    typical_rate: float = _DEFAULT.typical_rate
    """Share of ordinary rows that may be taken for too typical."""
    quarantine: bool = _DEFAULT.quarantine
    """Leave flagged rows out of exports, unless they are asked for."""
    largest_client_share: float | None = _DEFAULT.largest_client_share
    """No caller has more than this share of a window's exported rows."""

    def to_domain(self) -> domain.AnomalyPlan:
        """The same, frozen."""
        return domain.AnomalyPlan(**self.model_dump())


class FlaggedRows(Document):
    """How many rows have which label."""

    outlier: int
    too_typical: int
    duplicate: int
    invalid: int


class QuarantinedRow(Document):
    """A flagged row."""

    row: int
    """Its place in the batch, from 0."""
    label: str
    """`outlier`, `too_typical`, `duplicate` or `invalid`."""
    score: float | None
    """How strange it is: of ordinary rows, about one in a hundred is beyond 1. Null for an invalid one."""
    event_time: datetime


class QuarantinedBatchView(Document):
    """The flagged rows of one batch."""

    batch: str
    """Its identifier."""
    position: str
    """Its place in the log."""
    flagged: FlaggedRows
    """All of them; of many, `rows` has the first hundred."""
    rows: list[QuarantinedRow]


class QuarantinePage(Document):
    """Newest first."""

    model: str
    batches: list[QuarantinedBatchView]
    before: str | None
    """Ask for those before this place next; null: there are no more."""

    @classmethod
    def of(cls, model: str, batches: Sequence[QuarantinedBatch], limit: int) -> Self:
        before = str(batches[-1].position) if len(batches) == limit else None
        return cls(model=model, batches=[_view(batch) for batch in batches], before=before)


def _view(batch: QuarantinedBatch) -> QuarantinedBatchView:
    return QuarantinedBatchView(
        batch=batch.identifier,
        position=str(batch.position),
        flagged=FlaggedRows.model_validate(batch.flagged),
        rows=[
            QuarantinedRow(
                row=each.row,
                label=each.label,
                score=each.score,
                event_time=datetime.fromtimestamp(each.time_ms / 1000, UTC),
            )
            for each in batch.rows
        ],
    )
