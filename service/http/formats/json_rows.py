"""JSON: `{"features": ["a", "b"], "rows": [[1, 2], [3, 4]], "observed_at": "2026-01-31T12:00:00Z"}`; rows suffice.

`observed_at` may be a list, one moment for each row.
"""

from datetime import UTC, datetime
from typing import Annotated

import numpy as np
from pydantic import AwareDatetime, BaseModel, ConfigDict, Discriminator, Field, Tag, TypeAdapter

from service.domain.errors import Fault, InvalidInput
from service.http.formats.json_document import MEDIA_TYPE, read_document
from service.http.formats.table import Table

MEDIA_TYPES = (MEDIA_TYPE,)

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Row = Annotated[list[Number], Field(min_length=1)]


# What the log can give back, whatever the zone.
Moment = Annotated[AwareDatetime, Field(ge=datetime(1970, 1, 1, tzinfo=UTC), le=datetime(9999, 1, 1, tzinfo=UTC))]
_ONE, _EACH = "one", "each"


def _one_or_each(value: object) -> str:
    return _EACH if isinstance(value, list) else _ONE


class JsonRows(BaseModel):
    """Rows of numbers: one row an inference, one number a feature."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"rows": [[1.5, 20.0], [0.5, 18.0]]}]})

    rows: Annotated[list[Row], Field(min_length=1, description="One row an inference, one number a feature.")]
    features: Annotated[
        list[str] | None,
        Field(description="Names of the columns. With them, columns may come in any order."),
    ] = None
    observed_at: Annotated[
        Annotated[Annotated[Moment, Tag(_ONE)] | Annotated[list[Moment], Tag(_EACH)], Discriminator(_one_or_each)]
        | None,
        Field(
            description="When the inferences happened, for all rows or, as a list, for each; when they arrived, "
            "without it."
        ),
    ] = None


_ADAPTER = TypeAdapter(JsonRows)


def read(body: bytes) -> Table:
    """Raises `InvalidInput`, naming row and column."""
    document = read_document(_ADAPTER, body, '{"rows": [[...], ...]}', _location)
    widths = {len(row) for row in document.rows}
    if len(widths) > 1:
        first = len(document.rows[0])
        index = next(index for index, row in enumerate(document.rows) if len(row) != first)
        message = f"has {len(document.rows[index])} values, and the first row has {first}"
        raise InvalidInput(Fault(f"rows[{index}]", message))
    rows = np.array(document.rows, dtype=np.float64)
    if not isinstance(document.observed_at, list):
        return Table(rows, document.features, document.observed_at)
    if len(document.observed_at) != len(rows):
        message = f"has {len(document.observed_at)} moments for {len(rows)} rows; give one for each, or one for all"
        raise InvalidInput(Fault("observed_at", message))
    times = np.array([round(moment.timestamp() * 1000) for moment in document.observed_at], dtype=np.int64)
    return Table(rows, document.features, max(document.observed_at), times)


def _location(location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Without the name of an alternative, which is ours and not in the document."""
    return (location[0], *location[2:]) if location[:1] == ("observed_at",) else location
