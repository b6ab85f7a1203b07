"""From columns as they were sent to a reference and its schema: inferred, where nothing is declared."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from service.domain.errors import Fault, InvalidReference
from service.domain.models import Reference
from service.domain.registration import feature_faults
from service.domain.row_times import Times, disorder, times_of
from service.domain.schema import (
    MAXIMUM_CATEGORIES,
    MAXIMUM_CATEGORY,
    MAXIMUM_TEXT,
    Column,
    DeclaredColumn,
    Kind,
    Role,
    Schema,
)
from service.domain.sent_columns import SentColumns, Texts, categories_of, code_of, coded, truths

_MAXIMUM_FAULTS = 20
_RANGED = frozenset({Kind.NUMERIC, Kind.INTEGER})
_TRUTHS = frozenset({"true", "false"})
_NOT_KEPT = frozenset({Role.IGNORE, Role.TIME})
"""Roles of columns that rows do not have."""
Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Described:
    """A reference, and what its columns are."""

    reference: Reference
    schema: Schema


def described(sent: SentColumns, declared: Sequence[DeclaredColumn], *, strict: bool = False) -> Described:
    """Rows without ignored columns, categories as codes; raises `InvalidReference` with places.

    Declarations of columns that are not there are passed over, unless `strict`.
    """
    if sent.matched is not None:
        raise InvalidReference(Fault("body", "holds rows of a sidecar: send what the model was given"))
    width = sent.rows.shape[1]
    names = [f"feature_{place}" for place in range(width)] if sent.names is None else list(sent.names)
    if len(names) != width:
        message = f"each row has {width} values, but {len(names)} features are named"
        raise InvalidReference(Fault("rows", message))
    if faults := [*feature_faults(names), *_declaration_faults(declared, names if strict else None)]:
        raise InvalidReference(*faults[:_MAXIMUM_FAULTS])
    said = {each.name: each for each in declared}
    columns, values = list[Column](), list[Values]()
    for place, name in enumerate(names):
        column, numbers, wrong = _column(sent, place, said.get(name, DeclaredColumn(name)))
        columns.append(column)
        faults += wrong
        if column.role not in _NOT_KEPT:
            values.append(numbers)
    times, wrong = _times(sent, columns)
    faults += wrong
    if not any(column.role in {Role.FEATURE, Role.PREDICTION} for column in columns):
        message = "are all ignored, times or labels: a reference has a feature or a prediction"
        faults.append(Fault("columns", message))
    if not faults and sum(len(text) for column in columns for text in column.categories) > MAXIMUM_TEXT:
        faults.append(Fault("columns", f"have categories of more than {MAXIMUM_TEXT} characters together"))
    if faults:
        raise InvalidReference(*faults[:_MAXIMUM_FAULTS])
    schema = Schema(tuple(columns))
    untouched = len(values) == width and not schema.categorical and not sent.texts
    rows = sent.rows if untouched else np.column_stack(values)
    coded = tuple(name for name in schema.features if name in schema.categorical) if times is not None else ()
    return Described(Reference(schema.features, rows, schema.names(Role.LABEL), times, coded), schema)


def described_again(schema: Schema, declared: Sequence[DeclaredColumn], rows: Values, times: Times | None) -> Described:
    """The same columns with rows that match them, categories as codes already: what is inferred is inferred anew.

    What text and declarations have bound stays, and so do all categories: senders rely on them. `times`: of each row,
    ascending; kept where a column has that role.
    """
    said = frozenset(each.name for each in declared if each.kind is not None)
    place = {name: column for column, name in enumerate(schema.features)}
    columns = tuple(
        column if column.role in _NOT_KEPT else _again(column, rows[:, place[column.name]], said=column.name in said)
        for column in schema.columns
    )
    kept = times if schema.time is not None else None
    coded = tuple(name for name in schema.features if name in schema.categorical) if kept is not None else ()
    return Described(Reference(schema.features, rows, schema.names(Role.LABEL), kept, coded), Schema(columns))


def _again(column: Column, numbers: Values, *, said: bool) -> Column:
    column = replace(column, missing=bool(np.isnan(numbers).any()), minimum=None, maximum=None)
    if not column.binding and not said:
        column = replace(column, kind=_inferred(numbers, None, np.zeros(len(numbers), dtype=np.bool_)))
    return _ranged(column, numbers)


def _times(sent: SentColumns, columns: Sequence[Column]) -> tuple[Times | None, list[Fault]]:
    """Of the rows, which blocks want in the order of time."""
    places = [place for place, column in enumerate(columns) if column.role is Role.TIME]
    if len(places) > 1:
        return None, [Fault("columns", "have the role time more than once")]
    if not places:
        return None, []
    times, faults = times_of(sent, places[0])
    row = disorder(times) if not faults else None
    if row is not None:
        faults = [Fault(sent.place(row, places[0]), "is earlier than the row before: sort the rows by time")]
    return times, faults


def _declaration_faults(declared: Sequence[DeclaredColumn], names: Sequence[str] | None) -> Iterator[Fault]:
    """`names` None: the columns may be others than those that are declared."""
    known, seen = None if names is None else frozenset(names), set[str]()
    for place, each in enumerate(declared):
        if known is not None and each.name not in known:
            yield Fault(f"columns[{place}].name", "is no column of the reference")
        if each.name in seen:
            yield Fault(f"columns[{place}].name", "is declared twice")
        if each.role is Role.TIME and (each.kind, each.categories) != (None, None):
            yield Fault(f"columns[{place}]", "has the role time, which has no kind and no categories")
        if each.categories is not None and each.kind not in {None, Kind.CATEGORICAL}:
            yield Fault(f"columns[{place}].categories", "go with the kind categorical")
        seen.add(each.name)


def _column(sent: SentColumns, place: int, said: DeclaredColumn) -> tuple[Column, Values, list[Fault]]:
    numbers, texts = sent.rows[:, place], sent.texts.get(place)
    column = Column(said.name, role=said.role)
    if said.role in _NOT_KEPT:
        return column, numbers, []
    is_text = sent.text(place)
    kind = said.kind or (Kind.CATEGORICAL if said.categories is not None else _inferred(numbers, texts, is_text))
    binds = said.kind is not None or kind is Kind.CATEGORICAL or bool(is_text.any())
    column = replace(column, kind=kind, binding=binds and kind is not Kind.NUMERIC)
    if kind is Kind.CATEGORICAL:
        found = categories_of(numbers, texts)
        column = replace(column, categories=tuple(sorted(found if said.categories is None else said.categories)))
        faults = _category_faults(place, column, found)
        numbers = numbers if faults else coded(numbers, texts)
    else:
        numbers = truths(numbers, texts) if kind is Kind.BOOLEAN else numbers
        wrong = (is_text & np.isnan(numbers)) | not_of_kind(kind, numbers)
        faults = _faults(sent, place, wrong, wrong_kind(kind))
        is_text = is_text & np.isnan(numbers)
    missing = np.isnan(numbers) & ~is_text
    if missing.any() and said.role is not Role.LABEL and not faults:
        faults = _faults(sent, place, missing, "is missing, and a reference has no holes but in labels")
    return _ranged(replace(column, missing=bool(missing.any())), numbers), numbers, faults


def _faults(sent: SentColumns, place: int, wrong: NDArray[np.bool_], message: str) -> list[Fault]:
    """No more than are told: a column may have millions of them."""
    return [Fault(sent.place(row, place), message) for row in np.flatnonzero(wrong)[:_MAXIMUM_FAULTS].tolist()]


def _inferred(numbers: Values, texts: Texts | None, is_text: NDArray[np.bool_]) -> Kind:
    if is_text.any():
        held = {text for text, wrong in zip(texts or (), is_text, strict=True) if wrong and text is not None}
        if all(text.lower() in _TRUTHS for text in held):
            return Kind.BOOLEAN
        # Text among numbers is a slip more often than a category: then it is told by its place.
        return Kind.CATEGORICAL if np.isnan(numbers).all() else Kind.NUMERIC
    there = numbers[~np.isnan(numbers)]
    if not len(there) or (np.floor(there) != there).any():
        return Kind.NUMERIC
    distinct = np.unique(there[:1000])
    return Kind.BOOLEAN if len(distinct) == 2 and not not_of_kind(Kind.BOOLEAN, there).any() else Kind.INTEGER


def not_of_kind(kind: Kind, numbers: Values) -> NDArray[np.bool_]:
    """Where a number is none of such a column; what is missing may be any."""
    there = ~np.isnan(numbers)
    if kind is Kind.INTEGER:
        wrong = np.floor(numbers) != numbers
    elif kind is Kind.BOOLEAN:
        wrong = (numbers != 0) & (numbers != 1)
    else:
        wrong = np.zeros(len(numbers), dtype=np.bool_)
    return np.asarray(there & wrong, dtype=np.bool_)


def wrong_kind(kind: Kind) -> str:
    """What a fault says."""
    what = {Kind.NUMERIC: "a number", Kind.INTEGER: "a whole number", Kind.BOOLEAN: "true or false, or 1 or 0"}
    return f"is not {what[kind]}, which this column is of"


def _category_faults(place: int, column: Column, found: set[str]) -> list[Fault]:
    where, categories = f"features[{place}]", column.categories
    if len(categories) > MAXIMUM_CATEGORIES:
        message = f"has {len(categories)} categories, and at most {MAXIMUM_CATEGORIES} are told apart"
        return [Fault(where, f"{message}: declare its role as time or ignore, or leave it out")]
    if not all(len(text) <= MAXIMUM_CATEGORY and text.isprintable() for text in categories):
        return [Fault(where, f"has a category that is not of at most {MAXIMUM_CATEGORY} printable characters")]
    if not found <= set(categories):
        return [Fault(where, "has values that are none of the categories that are declared")]
    if len({code_of(text) for text in categories}) < len(categories):
        return [Fault(where, "has two categories of one code: rename one of them, or declare none twice")]
    return []


def _ranged(column: Column, numbers: Values) -> Column:
    there = numbers[~np.isnan(numbers)]
    if column.kind not in _RANGED or not len(there):
        return column
    return replace(column, minimum=float(there.min()), maximum=float(there.max()))
