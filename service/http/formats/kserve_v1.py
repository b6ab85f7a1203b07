"""KServe's V1 protocol: `{"instances": [[1, 2], ...]}`, named or not, and `{"predictions": [...]}`.

An instance is a number, a list of numbers (nested ones are flattened if they are rectangular), or an object of these.
The columns of a list are called `name[0]`, `name[1]` and so on; predictions are called `prediction`.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from service.domain.errors import Fault, InvalidInput, UnreadableBody
from service.http.formats.json_document import (
    UNDECODABLE,
    no_json,
    not_a_list,
    refuse_repeated_members,
    refuse_what_is_no_text,
)
from service.http.formats.nested_lists import rectangular
from service.http.formats.table import MAXIMUM_COLUMNS, TEXT, Payload, Rows, Table, real

MEMBERS = frozenset({"instances", "predictions"})
PREDICTION = "prediction"


class _Document(msgspec.Struct):
    """Other members (`signature_name`, `parameters`) say nothing of rows."""

    instances: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    predictions: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_read_document = msgspec.json.Decoder(_Document).decode
_read_lists = msgspec.json.Decoder(list[list[float | None]]).decode
_read_anything = msgspec.json.Decoder(list[Any]).decode


def read(payload: Payload) -> Table:
    """The instances; predictions beside them are further columns. Raises `UnreadableBody`, `InvalidInput`."""
    parts = _parts(payload)
    if "instances" not in parts:
        raise InvalidInput(Fault("instances", "is missing"))
    inputs = parts["instances"]
    if "predictions" not in parts:
        return inputs
    outputs = parts["predictions"]
    if len(outputs.rows) != len(inputs.rows):
        raise InvalidInput(Fault("predictions", f"are {len(outputs.rows)} for {len(inputs.rows)} instances"))
    named = inputs.features is not None and outputs.features is not None
    names = [*(inputs.features or ()), *(outputs.features or ())] if named else None
    width = inputs.rows.shape[1]
    texts = inputs.not_numbers | {width + column: fault for column, fault in outputs.not_numbers.items()}
    return Table(np.hstack([inputs.rows, outputs.rows]), names, not_numbers=texts)


def read_outputs(payload: Payload) -> Table:
    """The predictions, whose columns always have names."""
    parts = _parts(payload)
    if "predictions" not in parts:
        raise InvalidInput(Fault("predictions", "is missing"))
    table = parts["predictions"]
    names = table.features or column_names(PREDICTION, table.rows.shape[1])
    return Table(table.rows, names, not_numbers=table.not_numbers)


def column_names(name: str, width: int) -> list[str]:
    """Of a tensor's columns."""
    if width > MAXIMUM_COLUMNS:
        raise InvalidInput(Fault("body", f"has more than {MAXIMUM_COLUMNS} columns"))
    return [name] if width == 1 else [f"{name}[{index}]" for index in range(width)]


def _parts(payload: Payload) -> dict[str, Table]:
    refuse_what_is_no_text(payload.body, '{"instances": [[...], ...]}')
    try:
        document = _read_document(payload.body)
    except msgspec.ValidationError:
        raise InvalidInput(Fault("body", "must be an object")) from None
    except UNDECODABLE as error:
        raise no_json(error, "body") from None
    found: dict[str, Table] = {}
    for name in ("instances", "predictions"):
        raw = getattr(document, name)
        if raw is not msgspec.UNSET:
            found[name] = _table(raw, name)
    return found


def _table(raw: msgspec.Raw, place: str) -> Table:
    try:
        lists = _read_lists(raw)
    except msgspec.DecodeError:
        return _table_of_anything(raw, place)
    except RecursionError:
        raise UnreadableBody(Fault(place, "is nested too deeply")) from None
    if not lists or not lists[0] or len({len(each) for each in lists}) > 1:
        return Table(rectangular(lists, place), None)  # says what is wrong with it
    return Table(real(np.array(lists, dtype=np.float64), lambda row, column: f"{place}[{row}][{column}]"), None)


def _table_of_anything(raw: msgspec.Raw, place: str) -> Table:
    try:
        values = _read_anything(raw)
    except msgspec.ValidationError as error:
        raise InvalidInput(not_a_list(error, place)) from None
    except UNDECODABLE as error:
        raise no_json(error, place) from None
    if not values:
        raise InvalidInput(Fault(place, "is empty"))
    if isinstance(values[0], dict):
        return _named(values, bytes(raw), place)
    return Table(rectangular(values, place), None)


def _named(values: Sequence[Any], raw: bytes, place: str) -> Table:
    names = list(values[0])
    for index, instance in enumerate(values):
        if not isinstance(instance, dict) or instance.keys() != values[0].keys():
            raise InvalidInput(Fault(f"{place}[{index}]", "does not name what the first one names"))
    refuse_repeated_members(raw, len(names) * len(values))
    if not names or len(names) > MAXIMUM_COLUMNS:
        raise InvalidInput(Fault(f"{place}[0]", f"must name 1 to {MAXIMUM_COLUMNS} features"))
    parts: list[Rows] = []
    columns: list[str] = []
    texts: dict[int, Fault] = {}
    for number, name in enumerate(names):
        held = [instance[name] for instance in values]
        if all(isinstance(each, str) for each in held):
            # By place, not by name: what the sender called it is the sender's data.
            texts[len(columns)] = Fault(f"{place}[0], member {number + 1}", TEXT)
            held = [None] * len(held)
        parts.append(rectangular(held, place, f", member {number + 1}"))
        columns += column_names(name, parts[-1].shape[1])
    if len(columns) > MAXIMUM_COLUMNS:
        raise InvalidInput(Fault(place, f"has more than {MAXIMUM_COLUMNS} columns"))
    return Table(np.hstack(parts), columns, not_numbers=texts)
