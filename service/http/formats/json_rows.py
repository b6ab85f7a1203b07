"""JSON of ours: rows, or columns by name; `null` is a missing value. Where there may be text: strings, true and false.

`{"features": ["a", "b"], "rows": [[1, 2], [3, null]], "observed_at": "2026-01-31T12:00:00Z"}`, of which rows suffice,
or `{"columns": {"a": [1, 3], "b": [2, null]}}`. `observed_at` may be a list, one moment for each row.
"""

import re
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray
from pydantic import AwareDatetime, BaseModel, ConfigDict, Discriminator, Field, Tag, TypeAdapter

from service.domain.errors import Fault, InvalidInput
from service.domain.sent_columns import Texts, cell
from service.http.formats.json_document import (
    MEDIA_TYPE,
    UNDECODABLE,
    read_document,
    refuse_many_members,
    refuse_repeated_members,
)
from service.http.formats.table import MAXIMUM_COLUMNS, Payload, Rows, Table, separated

MEDIA_TYPES = (MEDIA_TYPE,)

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)] | None
Numbers = Annotated[list[Number], Field(min_length=1)]


# What the log can give back, whatever the zone.
Moment = Annotated[AwareDatetime, Field(ge=datetime(1970, 1, 1, tzinfo=UTC), le=datetime(9999, 1, 1, tzinfo=UTC))]
_ONE, _EACH = "one", "each"


def _one_or_each(value: object) -> str:
    return _EACH if isinstance(value, list) else _ONE


class JsonRows(BaseModel):
    """Rows of numbers: one row an inference, one number a feature. Or the same as columns."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"rows": [[1.5, 20.0], [0.5, 18.0]]},
                {"columns": {"temperature": [1.5, 0.5], "humidity": [20.0, None]}},
            ]
        },
    )

    rows: Annotated[
        list[Numbers] | None, Field(min_length=1, description="One row an inference, one number (or null) a feature.")
    ] = None
    columns: Annotated[
        dict[str, Numbers] | None, Field(min_length=1, description="In place of `rows`: each feature's numbers.")
    ] = None
    features: Annotated[
        list[str] | None,
        Field(description="Names of the columns of `rows`. With them, columns may come in any order."),
    ] = None
    observed_at: Annotated[
        Annotated[Annotated[Moment, Tag(_ONE)] | Annotated[list[Moment], Tag(_EACH)], Discriminator(_one_or_each)]
        | None,
        Field(
            description="When the inferences happened, for all rows or, as a list, for each; when they arrived, "
            "without it."
        ),
    ] = None


MEMBERS = frozenset(JsonRows.model_fields)
_NumbersAtOnce = Annotated[list[Number], Field(min_length=1, fail_fast=True)]


class _AtOnce(JsonRows):
    """The same, given up at the first thing that is wrong."""

    rows: Annotated[list[_NumbersAtOnce], Field(min_length=1, fail_fast=True)] | None = None
    columns: Annotated[dict[str, _NumbersAtOnce] | None, Field(min_length=1)] = None
    features: Annotated[list[str], Field(fail_fast=True)] | None = None
    observed_at: (
        Annotated[
            Annotated[Moment, Tag(_ONE)] | Annotated[list[Moment], Field(fail_fast=True), Tag(_EACH)],
            Discriminator(_one_or_each),
        ]
        | None
    ) = None


Value = (
    Annotated[float, Field(strict=True, allow_inf_nan=False)]
    | Annotated[bool, Field(strict=True)]
    | Annotated[str, Field(strict=True)]
    | None
)
_ValuesAtOnce = Annotated[list[Value], Field(min_length=1, fail_fast=True)]


class JsonRowsWithText(_AtOnce):
    """Rows, one an inference, or columns: of numbers and, in columns of categories, text; true and false are values."""

    rows: Annotated[list[_ValuesAtOnce], Field(min_length=1, fail_fast=True)] | None = None  # type: ignore[assignment]
    columns: Annotated[dict[str, _ValuesAtOnce] | None, Field(min_length=1)] = None  # type: ignore[assignment]


_ADAPTER: TypeAdapter[JsonRows] = TypeAdapter(JsonRows)
_AT_ONCE: TypeAdapter[JsonRows] = TypeAdapter(_AtOnce)
_WITH_TEXT: TypeAdapter[JsonRows] = TypeAdapter(JsonRowsWithText)
_KINDS = frozenset({"float", "bool", "str"})
"""What pydantic adds to the place of a value that is none of them."""
_MAXIMUM_MEMBERS = 2 * MAXIMUM_COLUMNS
_EVERY_FAULT_BYTES = 64 * 2**10
"""Of a longer body the first fault is told: a million of them would take longer to collect than the body to send."""


_Read = tuple[Rows, Sequence[str] | None, dict[int, Texts], Callable[[int, int], str]]
"""Of a `Table`: rows, names, texts, places."""


class _Names(msgspec.Struct):
    columns: dict[str, msgspec.Raw]


_names = msgspec.json.Decoder(_Names)
_ROW = re.compile(r"rows\[\d+\]")


def read(payload: Payload) -> Table:
    """Raises `UnreadableBody`, and `InvalidInput` naming row and column."""
    adapter = _WITH_TEXT if payload.keeps_text else _ADAPTER
    if len(payload.body) > _EVERY_FAULT_BYTES:
        adapter = _WITH_TEXT if payload.keeps_text else _AT_ONCE
        refuse_many_members(payload.body, _MAXIMUM_MEMBERS)
    try:
        document = read_document(adapter, payload.body, '{"rows": [[...], ...]}', partial(_location, payload.body))
    except InvalidInput as error:
        raise type(error)(*map(_in_other_words, error.faults)) from None
    refuse_repeated_members(payload.body, len(document.model_fields_set) + len(document.columns or ()))
    rows, features, texts, place = _with_text(document) if payload.keeps_text else _numbers(document)
    observed_at, times = _moments(document, len(rows))
    return Table(rows, features, observed_at, times, {}, texts, place)


def _in_other_words(fault: Fault) -> Fault:
    """A row that is an object is no mistake elsewhere."""
    if _ROW.fullmatch(fault.place) and fault.message == "Input should be a valid array":
        return Fault(fault.place, 'must be a list of values; send rows that are objects as {"instances": [{...}, ...]}')
    return fault


def _moments(document: JsonRows, rows: int) -> tuple[datetime | None, NDArray[np.int64] | None]:
    if not isinstance(document.observed_at, list):
        return document.observed_at, None
    if len(document.observed_at) != rows:
        message = f"has {len(document.observed_at)} moments for {rows} rows; give one for each, or one for all"
        raise InvalidInput(Fault("observed_at", message))
    times = np.array([round(moment.timestamp() * 1000) for moment in document.observed_at], dtype=np.int64)
    return max(document.observed_at), times


def _numbers(document: JsonRows) -> _Read:
    _refuse_odd(document)
    if document.rows is not None:
        return np.array(document.rows, dtype=np.float64), document.features, {}, cell  # None becomes NaN
    columns = document.columns or {}
    return np.ascontiguousarray(np.array(list(columns.values()), dtype=np.float64).T), list(columns), {}, cell


def _with_text(document: JsonRows) -> _Read:
    _refuse_odd(document)
    columns = document.columns or {}
    parts = [separated(each) for each in columns.values() or zip(*(document.rows or ()), strict=True)]
    texts = {place: texts for place, (_, texts) in enumerate(parts) if texts is not None}
    rows = np.column_stack([numbers for numbers, _ in parts])
    return (rows, list(columns), texts, _cell_of_column) if columns else (rows, document.features, texts, cell)


def _cell_of_column(row: int, column: int) -> str:
    return f"columns[{column}][{row}]"


def _refuse_odd(document: JsonRows) -> None:
    if document.rows is not None and document.columns is None:
        _refuse_ragged(document.rows, [f"rows[{index}]" for index in _odd(document.rows)], "row")
        return
    if document.columns is None:
        raise InvalidInput(Fault("rows", "is missing; send rows or columns"))
    if document.rows is not None or document.features is not None:
        at_fault = "rows" if document.rows is not None else "features"
        raise InvalidInput(Fault(at_fault, "does not go with columns, which have their names with them"))
    columns = list(document.columns.values())
    # By place, not by name: what the sender called it is the sender's data.
    _refuse_ragged(columns, [f"columns[{index}]" for index in _odd(columns)], "column")


def _odd(lists: Sequence[Collection[object]]) -> list[int]:
    first = len(lists[0])
    if {len(each) for each in lists} == {first}:
        return []
    return [index for index, each in enumerate(lists) if len(each) != first][:1]


def _refuse_ragged(lists: Sequence[Collection[object]], places: Sequence[str], what: str) -> None:
    if places:
        index = _odd(lists)[0]
        message = f"has {len(lists[index])} values, and the first {what} has {len(lists[0])}"
        raise InvalidInput(Fault(places[0], message))


def _location(body: bytes, location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Without the name of an alternative, which is ours, and without those of columns, which are the sender's."""
    if location[:1] == ("observed_at",):
        return (location[0], *location[2:])
    if location[:1] in {("rows",), ("columns",)} and len(location) > 3 and location[3] in _KINDS:
        location = location[:3]
    if location[:1] == ("columns",) and len(location) > 1:
        return (location[0], _number_of_column(body, str(location[1])), *location[2:])
    return location


def _number_of_column(body: bytes, name: str) -> int | str:
    try:
        names = list(_names.decode(body).columns)
    except UNDECODABLE:
        return "*"
    return names.index(name) if name in names else "*"
