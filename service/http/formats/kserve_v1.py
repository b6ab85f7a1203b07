"""KServe's V1 protocol: `{"instances": [[1, 2], ...]}`, named or not, and `{"predictions": [...]}`.

An instance is a number, a list of numbers (nested ones are flattened if they are rectangular), or an object of these.
The columns of a list are called `name[0]`, `name[1]` and so on; predictions are called `prediction`.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from service.domain.errors import Fault, InvalidInput, UnreadableBody
from service.domain.sent_columns import Texts
from service.http.formats.json_document import (
    UNDECODABLE,
    no_json,
    not_a_list,
    refuse_repeated_members,
    refuse_what_is_no_text,
)
from service.http.formats.nested_lists import rectangular, with_text
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

    def place(row: int, column: int) -> str:
        return inputs.place(row, column) if column < width else outputs.place(row, column - width)

    left_out = inputs.not_numbers | {width + column: fault for column, fault in outputs.not_numbers.items()}
    texts = inputs.texts | {width + column: held for column, held in outputs.texts.items()}
    return Table(np.hstack([inputs.rows, outputs.rows]), names, None, None, left_out, texts, place)


def read_outputs(payload: Payload) -> Table:
    """The predictions, whose columns always have names."""
    parts = _parts(payload)
    if "predictions" not in parts:
        raise InvalidInput(Fault("predictions", "is missing"))
    table = parts["predictions"]
    names = table.features or column_names(PREDICTION, table.rows.shape[1])
    return replace(table, features=names)


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
            found[name] = _table(raw, name, keeps_text=payload.keeps_text)
    return found


def _table(raw: msgspec.Raw, place: str, *, keeps_text: bool) -> Table:
    def cell(row: int, column: int) -> str:
        return f"{place}[{row}][{column}]"

    try:
        lists = _read_lists(raw)
    except msgspec.DecodeError:
        return _table_of_anything(raw, place, keeps_text=keeps_text)
    except RecursionError:
        raise UnreadableBody(Fault(place, "is nested too deeply")) from None
    if not lists or not lists[0] or len({len(each) for each in lists}) > 1:
        return Table(rectangular(lists, place), None, place=cell)  # says what is wrong with it
    return Table(real(np.array(lists, dtype=np.float64), cell), None, place=cell)


def _table_of_anything(raw: msgspec.Raw, place: str, *, keeps_text: bool) -> Table:
    try:
        values = _read_anything(raw)
    except msgspec.ValidationError as error:
        raise InvalidInput(not_a_list(error, place)) from None
    except UNDECODABLE as error:
        raise no_json(error, place) from None
    if not values:
        raise InvalidInput(Fault(place, "is empty"))
    if isinstance(values[0], dict):
        return _named(values, bytes(raw), place, keeps_text=keeps_text)
    rows, texts = with_text(values, place) if keeps_text else (rectangular(values, place), {})
    return Table(rows, None, texts=texts, place=lambda row, column: f"{place}[{row}][{column}]")


def _named(values: Sequence[Any], raw: bytes, place: str, *, keeps_text: bool) -> Table:
    names = list(values[0])
    for index, instance in enumerate(values):
        if not isinstance(instance, dict) or instance.keys() != values[0].keys():
            raise InvalidInput(Fault(f"{place}[{index}]", "does not name what the first one names"))
    refuse_repeated_members(raw, len(names) * len(values))
    if not names or len(names) > MAXIMUM_COLUMNS:
        raise InvalidInput(Fault(f"{place}[0]", f"must name 1 to {MAXIMUM_COLUMNS} features"))
    parts, columns, members = list[Rows](), list[str](), list[int]()
    left_out, texts = dict[int, Fault](), dict[int, Texts]()
    for number, name in enumerate(names, start=1):
        held = [instance[name] for instance in values]
        # By place, not by name: what the sender called it is the sender's data.
        within = f", member {number}"
        if keeps_text:
            part, found = with_text(held, place, within)
            texts |= {len(columns) + column: each for column, each in found.items()}
        else:
            if all(isinstance(each, str) for each in held):
                left_out[len(columns)] = Fault(f"{place}[0]{within}", TEXT)
                held = [None] * len(held)
            part = rectangular(held, place, within)
        parts.append(part)
        columns += column_names(name, part.shape[1])
        members += [number] * part.shape[1]
    if len(columns) > MAXIMUM_COLUMNS:
        raise InvalidInput(Fault(place, f"has more than {MAXIMUM_COLUMNS} columns"))

    def cell(row: int, column: int) -> str:
        return f"{place}[{row}], member {members[column]}"

    return Table(np.hstack(parts), columns, None, None, left_out, texts, cell)
