"""A registration: which reference and which plan a model is under, from which place in its log on."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors import codec
from detectors.arrays import checked_rows, real_rows
from detectors.errors import InvalidDocument, InvalidRows
from service.domain.errors import CorruptedState, Fault, InvalidReference
from service.domain.models import BatchPosition, ModelName, Reference
from service.domain.plan import Plan
from service.domain.repetition import repetition
from service.domain.schema import DeclaredColumn, MismatchPlan, Role, Schema

MINIMUM_REFERENCE_ROWS = 100
"""Fewer rows than this say too little of a distribution to hold anything against it."""
MAXIMUM_FEATURES = 2_000
MAXIMUM_FEATURE_NAME = 200
REFERENCE_KIND = "reference"
_LISTED = ("labels", "categorical")


@dataclass(frozen=True, slots=True)
class Registration:
    """Numbered like verdicts: the store refuses a revision that it has."""

    revision: int
    model: ModelName
    features: tuple[str, ...]
    reference_digest: str
    reference_rows: int
    plan: Plan
    since: BatchPosition
    """Batches up to here were observed under an earlier reference and are not judged against this one."""
    registered_at: datetime
    schema: Schema = field(default_factory=Schema)
    """What is kept of its columns are `features`; of registrations from before there were schemas, just numbers."""
    declared: tuple[DeclaredColumn, ...] = ()
    """What of it was declared; holds for the references that follow, until something else is declared."""

    def __post_init__(self) -> None:
        if not self.schema.columns:
            object.__setattr__(self, "schema", Schema.of_numbers(self.features))

    @property
    def is_of_numbers(self) -> bool:
        """Whether releases that know no schemas do with its rows, and with batches, what this one does."""
        roles = {column.role for column in self.schema.columns}
        no_more = roles <= {Role.FEATURE, Role.PREDICTION} and self.plan.schema_mismatch == MismatchPlan()
        return no_more and not any(column.binding for column in self.schema.columns)

    @property
    def keeps_text(self) -> bool:
        """Whether text among observations is to be kept until it is known what it stands for."""
        return self.schema.takes_text or self.plan.schema_mismatch.kinds == "count"

    def is_same_as(self, other: "Registration") -> bool:
        """Whether the other is this one: in a store that was emptied, revisions count from 1 again."""
        return (self.revision, self.registered_at, self.since) == (other.revision, other.registered_at, other.since)


def check_reference(reference: Reference) -> None:
    """Raise `InvalidReference` with every fault that can be told at once."""
    faults = feature_faults(reference.features)
    try:
        rows = real_rows(reference.rows)
        labels = [place for place, name in enumerate(reference.features) if name in reference.labels]
        checked_rows(np.delete(rows, labels, axis=1) if labels else rows)
    except InvalidRows as error:
        raise InvalidReference(*faults, Fault("rows", str(error))) from error
    if rows.shape[1] != len(reference.features):
        message = f"each row has {rows.shape[1]} values, but {len(reference.features)} features are named"
        faults.append(Fault("rows", message))
    if rows.shape[0] < MINIMUM_REFERENCE_ROWS:
        message = (
            f"{rows.shape[0]} rows are too few: a reference needs at least {MINIMUM_REFERENCE_ROWS}, better thousands"
        )
        faults.append(Fault("rows", message))
    if copied := repetition(rows, MINIMUM_REFERENCE_ROWS):
        message = f"{copied.rows} of them are the rows {copied.distance} places before them: send each once"
        faults.append(Fault("rows", f"{message}, because copies calibrate nothing"))
    if faults:
        raise InvalidReference(*faults)


def feature_faults(features: Sequence[str]) -> list[Fault]:
    """What is wrong with these names."""
    if not 1 <= len(features) <= MAXIMUM_FEATURES:
        return [Fault("features", f"a reference has 1 to {MAXIMUM_FEATURES} features")]
    faults = []
    for index, name in enumerate(features):
        if not 1 <= len(name) <= MAXIMUM_FEATURE_NAME or not name.isprintable():
            message = f"a feature name has 1 to {MAXIMUM_FEATURE_NAME} printable characters"
            faults.append(Fault(f"features[{index}]", message))
    repeated = {name for name, count in Counter(features).items() if count > 1}
    faults += [Fault(f"features[{i}]", "is named twice") for i, name in enumerate(features) if name in repeated]
    return faults


def columns_of(features: tuple[str, ...], among: tuple[str, ...]) -> list[int] | None:
    """Where these features are among others; None if one of them is not there."""
    place = {name: column for column, name in enumerate(among)}
    columns = [place.get(name, -1) for name in features]
    return None if -1 in columns else columns


def arrangement(wanted: Registration, came_under: Registration | None) -> list[int] | None:
    """Where the wanted features are among those that rows came under; None if one is not there, or is coded otherwise.

    Codes themselves are the same under every registration.
    """
    if came_under is None:
        return None
    columns = columns_of(wanted.features, came_under.features)
    coded = came_under.schema.categorical & frozenset(wanted.features)
    return columns if coded == wanted.schema.categorical else None


def encode_reference(reference: Reference) -> bytes:
    """The bytes whose digest names the reference."""
    # What is not there is not said: older references keep their digests.
    said = {"labels": reference.labels, "categorical": reference.categorical}
    attributes = {"features": list(reference.features), **{name: list(each) for name, each in said.items() if each}}
    arrays: dict[str, NDArray[Any]] = {"rows": reference.rows}
    if reference.times is not None:
        arrays["times"] = reference.times
    return codec.encode(REFERENCE_KIND, arrays, attributes)


def decode_reference(blob: bytes, expected_digest: str) -> Reference:
    """Verify, then decode; raises `CorruptedState`."""
    if codec.digest(blob) != expected_digest:
        raise CorruptedState(
            f"the stored reference is not the one registered as {expected_digest}: its bytes have changed"
        )
    try:
        document = codec.decode(blob, kind=REFERENCE_KIND)
        said = [document.attributes["features"], *(document.attributes.get(each, []) for each in _LISTED)]
        rows, times = document.arrays["rows"], document.arrays.get("times")
    except (InvalidDocument, KeyError) as error:
        raise CorruptedState(f"the stored reference {expected_digest} cannot be read: {error}") from error
    if not all(isinstance(names, list) for names in said):
        raise CorruptedState(f"the stored reference {expected_digest} names no features")
    features, labels, categorical = (tuple(str(name) for name in names) for names in said)
    moments = None if times is None else np.asarray(times, dtype=np.int64)
    return Reference(features, np.asarray(rows, dtype=np.float64), labels, moments, categorical)
