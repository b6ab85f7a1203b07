"""Match a batch's columns with a schema: rows as the log holds them, and how many values did not match.

What does not match is refused, or counted, as the plan says. Faults name places, and repeat no value.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from service.domain.described_reference import not_of_kind, wrong_kind
from service.domain.errors import Fault, InvalidBatch
from service.domain.row_times import Times, times_of
from service.domain.schema import AMBIGUOUS, Column, Kind, Mismatches, MismatchPlan, Role, Schema, layouts
from service.domain.sent_columns import SentColumns, coded, truths

MAXIMUM_FAULTS = 20
Values = NDArray[np.float64]
NO_MISMATCHES = Mismatches()


@dataclass(frozen=True, slots=True)
class Matched:
    """A batch's rows with the schema's kept columns in its order."""

    rows: Values
    mismatches: Mismatches
    times: Times | None = None
    """Of each row, if the column of the role `time` came with them."""


def match(sent: SentColumns, schema: Schema, plan: MismatchPlan, *, refuses_missing: bool) -> Matched:
    """Raises `InvalidBatch`. Labels may always be missing."""
    if sent.matched is not None:
        plan, refuses_missing = _of_matched(sent.matched, schema, plan), False
    if schema.is_plain and not sent.texts and _is_in_order(sent, schema.features):
        if refuses_missing:
            refuse_missing(sent)
        return Matched(sent.rows, NO_MISMATCHES)
    places, mismatches = _places(sent, schema, plan)
    if refuses_missing:
        _refuse_holes(sent, schema.kept, places)
    times = _times(sent, schema)
    rows = np.ascontiguousarray(sent.rows[:, places])
    rows[:, places < 0] = np.nan
    if schema.is_plain and not sent.texts:
        return Matched(rows, mismatches)
    wrong, unseen = list[Fault](), list[Fault]()
    for index, (column, place) in enumerate(zip(schema.kept, places.tolist(), strict=True)):
        if place < 0 or not (column.binding or place in sent.texts):
            continue
        rows[:, index], misses = _values(column, sent, place, schema)
        if column.kind is Kind.CATEGORICAL:
            unseen += _faults(sent, place, misses, "is none of the categories of this column", plan.categories)
            mismatches = replace(mismatches, unseen_category=mismatches.unseen_category + int(misses.sum()))
        else:
            wrong += _faults(sent, place, misses, wrong_kind(column.kind), plan.kinds)
            mismatches = replace(mismatches, wrong_kind=mismatches.wrong_kind + int(misses.sum()))
    if wrong or unseen:
        raise InvalidBatch(*(wrong + unseen)[:MAXIMUM_FAULTS])
    return Matched(rows, mismatches, times)


def _times(sent: SentColumns, schema: Schema) -> Times | None:
    """A row without a time is refused, whatever the plan says of holes: it would be of no hour."""
    if schema.time is None:
        return None
    names = _names(sent, schema)
    if schema.time not in names:
        return None
    times, faults = times_of(sent, names.index(schema.time))
    if faults:
        raise InvalidBatch(*faults)
    return times


def _names(sent: SentColumns, schema: Schema) -> Sequence[str]:
    """Of the columns; where they have none, those that their number says."""
    return _by_number(sent.rows.shape[1], schema) if sent.names is None else sent.names


def _of_matched(categorical: frozenset[str], schema: Schema, plan: MismatchPlan) -> MismatchPlan:
    """What a sidecar has let through counts: refused here, it would keep what follows from coming, too."""
    if categorical != schema.categorical:
        message = "are other columns than those of this model: fetch its registration, and match the rows with it"
        raise InvalidBatch(Fault("categorical", message))
    return replace(plan, kinds="count", categories="count")


def refuse_missing(sent: SentColumns) -> None:
    """Raise `InvalidBatch` with the places of missing values as they were sent."""
    if np.isnan(sent.rows).any():
        _refuse_at(sent, np.argwhere(np.isnan(sent.rows)))


def _refuse_holes(sent: SentColumns, kept: Sequence[Column], places: NDArray[np.intp]) -> None:
    """The same of the columns that count, where text is not missing."""
    asked = np.zeros(sent.rows.shape[1], dtype=np.bool_)
    asked[
        [place for column, place in zip(kept, places, strict=True) if place >= 0 and column.role is not Role.LABEL]
    ] = True
    holes = np.isnan(sent.rows) & asked
    for place in sent.texts:
        holes[:, place] &= ~sent.text(place)
    if holes.any():
        _refuse_at(sent, np.argwhere(holes))


def _refuse_at(sent: SentColumns, cells: NDArray[np.intp]) -> None:
    message = "is missing, which the plan of this model refuses (missing_values)"
    raise InvalidBatch(*(Fault(sent.place(row, column), message) for row, column in cells[:MAXIMUM_FAULTS].tolist()))


def _is_in_order(sent: SentColumns, features: tuple[str, ...]) -> bool:
    return sent.rows.shape[1] == len(features) and (sent.names is None or tuple(sent.names) == features)


def _values(column: Column, sent: SentColumns, place: int, schema: Schema) -> tuple[Values, NDArray[np.bool_]]:
    """A column's numbers, and which of its values do not match."""
    numbers, texts = sent.rows[:, place], sent.texts.get(place)
    if column.kind is Kind.CATEGORICAL:
        codes = numbers if sent.matched is not None else coded(numbers, texts)
        return codes, ~(np.isnan(codes) | np.isin(codes, schema.codes[column.name]))
    if column.kind is Kind.BOOLEAN:
        numbers = truths(numbers, texts)
    wrong = sent.text(place) & np.isnan(numbers)
    return numbers, wrong | not_of_kind(column.kind, numbers) if column.binding else wrong


def _faults(sent: SentColumns, place: int, misses: NDArray[np.bool_], message: str, what: str) -> list[Fault]:
    if what == "count":
        return []
    return [Fault(sent.place(row, place), message) for row in np.flatnonzero(misses)[:MAXIMUM_FAULTS].tolist()]


def _places(sent: SentColumns, schema: Schema, plan: MismatchPlan) -> tuple[NDArray[np.intp], Mismatches]:
    """For each kept column where it was sent, -1 where it was not; and the values of columns that do not match."""
    width, rows = sent.rows.shape[1], len(sent.rows)
    if sent.names is None:
        place_of = {name: place for place, name in enumerate(_by_number(width, schema))}
        return np.array([place_of.get(column.name, -1) for column in schema.kept], dtype=np.intp), NO_MISMATCHES
    if width != len(sent.names):
        message = f"each row has {width} values, but {len(sent.names)} features are named"
        raise InvalidBatch(Fault("rows", message))
    place_of = {name: place for place, name in enumerate(sent.names)}
    absent = [column.name for column in schema.kept if column.role is not Role.LABEL and column.name not in place_of]
    known = {column.name for column in schema.columns}
    # By place, not by name: what the sender called it is the sender's data.
    twice = [place for place, name in enumerate(sent.names) if place_of[name] != place]
    unknown = sorted(place for name, place in place_of.items() if name not in known)
    faults = list(islice(_column_faults(absent, unknown, twice, plan), MAXIMUM_FAULTS))
    if faults:
        raise InvalidBatch(*faults)
    places = np.array([place_of.get(column.name, -1) for column in schema.kept], dtype=np.intp)
    return places, Mismatches(unknown_column=rows * len(unknown), missing_column=rows * len(absent))


def _column_faults(
    absent: Sequence[str], unknown: Sequence[int], twice: Sequence[int], plan: MismatchPlan
) -> Iterator[Fault]:
    if plan.columns == "refuse":
        yield from (Fault("features", f"feature {name!r} is missing") for name in absent)
        yield from (Fault(f"features[{place}]", "is not a feature of this model") for place in unknown)
    yield from (Fault(f"features[{place}]", "is named twice") for place in twice)


def _by_number(width: int, schema: Schema) -> tuple[str, ...]:
    """All columns in order, or without ignored ones, without the time, without labels, or without several of these."""
    found = layouts(schema, width, (Role.IGNORE, Role.TIME, Role.LABEL))
    if len(found) == 1:
        return found[0]
    asked = sum(column.role is not Role.LABEL for column in schema.kept)
    message = f"each row has {width} values; this model has {asked} features"
    raise InvalidBatch(Fault("rows", AMBIGUOUS if found else message))
