"""A model's schema: what each column of its reference is and is for. Inferred, or declared when it is registered."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from service.domain.sent_columns import code_of

MAXIMUM_CATEGORIES = 1_000
"""Of one column, as the detectors for categories take them: with more it is a name rather than a category."""
MAXIMUM_CATEGORY = 200
"""Characters of one."""
MAXIMUM_TEXT = 2**16
"""Characters of all categories of a schema together: it is read with every registration."""
AMBIGUOUS = "may be with ignored columns or with others that may be absent: name them, as their number does not tell"
"""What a fault says of columns without names of which there is more than one of the `layouts`."""


class Kind(StrEnum):
    """What a column's values are."""

    NUMERIC = "numeric"
    INTEGER = "integer"
    """Whole numbers."""
    BOOLEAN = "boolean"
    """0 and 1, or `true` and `false`."""
    CATEGORICAL = "categorical"
    """Texts, or numbers that stand for something; kept as codes (`sent_columns.code_of`)."""


class Role(StrEnum):
    """What a column is for."""

    FEATURE = "feature"
    """What the model is asked."""
    PREDICTION = "prediction"
    """What it answers: a column to be tested like any other."""
    LABEL = "label"
    """What was true. May be absent; detectors look at it only where a plan names it."""
    IGNORE = "ignore"
    """Dropped as it comes."""
    TIME = "time"
    """When it was, kept as the row's event time; no feature. May be absent."""


@dataclass(frozen=True, slots=True)
class DeclaredColumn:
    """What a sender says of a column; what it leaves out is inferred."""

    name: str
    kind: Kind | None = None
    role: Role = Role.FEATURE
    categories: tuple[str, ...] | None = None
    """All that there may be, also those that the reference does not have."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a reference."""

    name: str
    kind: Kind = Kind.NUMERIC
    role: Role = Role.FEATURE
    binding: bool = False
    """Whether numbers of another kind are mismatches. What is only inferred from numbers describes the reference, and
    no more: that all of them are whole may be chance. Text in a column of numbers always is one."""
    categories: tuple[str, ...] = ()
    """Ascending."""
    missing: bool = False
    """Whether values of the reference are missing."""
    minimum: float | None = None
    maximum: float | None = None
    """Of the reference; None where values have no order, or there are none."""


@dataclass(frozen=True)
class Schema:
    """All columns, in the reference's order. Not of slots: what follows from it is worked out once."""

    columns: tuple[Column, ...] = ()

    @classmethod
    def of_numbers(cls, features: Sequence[str]) -> "Schema":
        """Of which nothing is known but that they are numbers, as before there were schemas."""
        return cls(tuple(Column(name) for name in features))

    @cached_property
    def kept(self) -> tuple[Column, ...]:
        """Those that rows have."""
        return tuple(column for column in self.columns if column.role not in {Role.IGNORE, Role.TIME})

    @cached_property
    def features(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(column.name for column in self.kept)

    def names(self, *roles: Role) -> tuple[str, ...]:
        """Of the columns with one of these roles."""
        return tuple(column.name for column in self.columns if column.role in roles)

    @cached_property
    def is_plain(self) -> bool:
        """Whether rows are numbers, of whatever kind, one for each column: then nothing has to be looked at."""
        return not any(column.binding or column.role in {Role.LABEL, Role.IGNORE, Role.TIME} for column in self.columns)

    @cached_property
    def takes_text(self) -> bool:
        """Whether some column may hold it. Ignored ones may hold anything."""
        kinds, roles = {Kind.CATEGORICAL, Kind.BOOLEAN}, {Role.IGNORE, Role.TIME}
        return any(column.role in roles or (column.binding and column.kind in kinds) for column in self.columns)

    @cached_property
    def time(self) -> str | None:
        """The column that says when rows were; None if there is none."""
        return next((column.name for column in self.columns if column.role is Role.TIME), None)

    @cached_property
    def categorical(self) -> frozenset[str]:
        """Names of the columns of its rows that hold codes."""
        return frozenset(column.name for column in self.kept if column.kind is Kind.CATEGORICAL)

    @cached_property
    def codes(self) -> dict[str, NDArray[np.float64]]:
        """Of the categories of each of these columns."""
        kept = (column for column in self.kept if column.name in self.categorical)
        return {column.name: np.array([code_of(text) for text in column.categories]) for column in kept}


def layouts(schema: Schema, width: int, absent: Sequence[Role]) -> list[tuple[str, ...]]:
    """Names of the columns that so many values without names may be of, in order: each of these roles there, or not."""
    found = dict[tuple[str, ...], None]()
    for count in range(len(absent) + 1):
        for without in combinations(absent, count):
            found[tuple(column.name for column in schema.columns if column.role not in without)] = None
    return [names for names in found if len(names) == width]


@dataclass(frozen=True, slots=True)
class MismatchPlan:
    """What becomes of a batch that does not match the schema: refused as a whole, or taken and counted."""

    columns: Literal["refuse", "count"] = "refuse"
    """Unknown ones are dropped if they are counted, and the values of absent ones are missing."""
    kinds: Literal["refuse", "count"] = "refuse"
    """Of a value that is not of its column's kind; text among numbers is missing if it is counted."""
    categories: Literal["refuse", "count"] = "count"
    """Of those that the schema does not have: a change in the world rather than a defect of the sender."""


@dataclass(frozen=True, slots=True)
class Mismatches:
    """Values that did not match, by what was wrong."""

    unknown_column: int = 0
    missing_column: int = 0
    wrong_kind: int = 0
    unseen_category: int = 0

    @property
    def total(self) -> int:
        """Of all of them."""
        return self.unknown_column + self.missing_column + self.wrong_kind + self.unseen_category
