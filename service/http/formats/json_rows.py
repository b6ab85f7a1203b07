"""JSON: `{"features": ["a", "b"], "rows": [[1, 2], [3, 4]], "observed_at": "2026-01-31T12:00:00Z"}`; rows suffice."""

from datetime import UTC, datetime
from typing import Annotated

import numpy as np
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from service.domain.errors import Fault, InvalidInput
from service.http.errors import faults_of
from service.http.formats.table import Table

MEDIA_TYPES = ("application/json",)

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Row = Annotated[list[Number], Field(min_length=1)]


class JsonRows(BaseModel):
    """Rows of numbers: one row an inference, one number a feature."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"rows": [[1.5, 20.0], [0.5, 18.0]]}]})

    rows: Annotated[list[Row], Field(min_length=1, description="One row an inference, one number a feature.")]
    features: Annotated[
        list[str] | None,
        Field(description="Names of the columns. With them, columns may come in any order."),
    ] = None
    observed_at: Annotated[
        AwareDatetime | None,
        Field(
            # What the log can give back, whatever the zone.
            ge=datetime(1970, 1, 1, tzinfo=UTC),
            le=datetime(9999, 1, 1, tzinfo=UTC),
            description="When the inferences happened; when they arrived, without it.",
        ),
    ] = None


_ADAPTER = TypeAdapter(JsonRows)


def read(body: bytes) -> Table:
    """Raises `InvalidInput`, naming row and column."""
    if not body.strip():
        raise InvalidInput(Fault("body", 'is empty; send {"rows": [[...], ...]}'))
    try:
        document = _ADAPTER.validate_json(body)
    except ValidationError as error:
        raise InvalidInput(
            *faults_of(error.errors(include_url=False, include_context=False, include_input=False))
        ) from None
    widths = {len(row) for row in document.rows}
    if len(widths) > 1:
        first = len(document.rows[0])
        index = next(index for index, row in enumerate(document.rows) if len(row) != first)
        message = f"has {len(document.rows[index])} values, and the first row has {first}"
        raise InvalidInput(Fault(f"rows[{index}]", message))
    return Table(np.array(document.rows, dtype=np.float64), document.features, document.observed_at)
