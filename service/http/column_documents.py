"""What the API says of columns, as pydantic models: declarations, the schema, and what becomes of mismatches."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field

from service.domain import schema
from service.domain.registration import Registration
from service.domain.schema import MAXIMUM_CATEGORIES, Kind, Role
from service.domain.sent_columns import code_of
from service.http.document import Document

_DEFAULT = schema.MismatchPlan()


class MismatchPlan(Document):
    """What becomes of observations that do not match the schema: the batch is refused, or taken and counted."""

    columns: Literal["refuse", "count"] = _DEFAULT.columns
    """Unknown or missing ones. `count`: the former are dropped, the values of the latter are missing."""
    kinds: Literal["refuse", "count"] = _DEFAULT.kinds
    """Values of another kind. `count`: text among numbers is missing, other numbers are taken as they are."""
    categories: Literal["refuse", "count"] = _DEFAULT.categories
    """Categories that the schema does not have. `count`: detectors see them, too."""

    def to_domain(self) -> schema.MismatchPlan:
        """The same, frozen."""
        return schema.MismatchPlan(**self.model_dump())


class DeclaredColumnBody(Document):
    """What is said of a column, not inferred."""

    name: str
    kind: Kind | None = None
    """Values of another kind are mismatches then; what is inferred from numbers only describes the reference."""
    role: Role = Role.FEATURE
    categories: Annotated[list[str], Field(max_length=MAXIMUM_CATEGORIES)] | None = None
    """All that there may be; those of the reference if they are not given."""

    def to_domain(self) -> schema.DeclaredColumn:
        """The same, frozen."""
        categories = None if self.categories is None else tuple(self.categories)
        return schema.DeclaredColumn(self.name, self.kind, self.role, categories)


class ColumnView(Document):
    """A column of the reference."""

    name: str
    kind: Kind
    role: Role
    """Detectors look at features and predictions, at labels only where the plan names them, at ignored ones never."""
    binding: bool
    """Whether numbers of another kind are mismatches; else the kind describes the reference, and no more."""
    categories: list[str]
    missing: bool
    """Whether values of the reference are missing."""
    minimum: float | None
    maximum: float | None
    """Of the reference's numbers."""


class CodedColumnView(ColumnView):
    """With the number that stands for each category."""

    codes: list[int]
    """Of the categories, in their order; the same under every registration."""

    @classmethod
    def of(cls, column: schema.Column) -> Self:
        codes = [int(code_of(text)) for text in column.categories]
        return cls(**ColumnView.model_validate(column).model_dump(), codes=codes)


class SchemaView(Document):
    """What a model's columns are; changes with its registration only."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "churn",
                    "revision": 1,
                    "reference_digest": "sha256:1b08bad0f1ce41395cf8e3d31cfe4d65e53970622477d5bb7c7fbe87507a6818",
                    "columns": [
                        {
                            "name": "city",
                            "kind": "categorical",
                            "role": "feature",
                            "binding": True,
                            "categories": ["Bern", "Genf"],
                            "missing": False,
                            "minimum": None,
                            "maximum": None,
                            "codes": [int(code_of("Bern")), int(code_of("Genf"))],
                        }
                    ],
                }
            ]
        }
    )

    model: str
    revision: int
    reference_digest: str
    columns: list[CodedColumnView]

    @classmethod
    def of(cls, registration: Registration) -> Self:
        return cls(
            model=registration.model,
            revision=registration.revision,
            reference_digest=registration.reference_digest,
            columns=[CodedColumnView.of(column) for column in registration.schema.columns],
        )
