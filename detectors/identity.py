"""What makes two fitted references the same: the detector's name, all its parameters, and the rows."""

from dataclasses import fields
from typing import TYPE_CHECKING, Any, Protocol

from detectors.arrays import Rows
from detectors.codec import digest, encode
from detectors.errors import ReferenceMismatch

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


FITTED_REFERENCE = "fitted reference"
"""The kind of document whose digest is a reference's."""


class Identified(Protocol):
    """Whatever carries the digest of a reference."""

    @property
    def reference_digest(self) -> str: ...


def parameters_of(detector: Any) -> dict[str, Any]:
    """Every parameter by name, defaults included: JSON values that `registry.create` takes back."""
    fielded: DataclassInstance = detector
    return {field.name: getattr(detector, field.name) for field in fields(fielded)}


def reference_digest(detector: Any, rows: Rows) -> str:
    """The digest of everything that a result against this reference depends on, apart from the window."""
    attributes = {"detector": detector.name, "parameters": parameters_of(detector)}
    return digest(encode(FITTED_REFERENCE, {"rows": rows}, attributes))


def refuse_other(expected: str, summary: Identified) -> None:
    """Raise `ReferenceMismatch` unless the summary was made against that reference."""
    if summary.reference_digest != expected:
        raise ReferenceMismatch(f"the summary belongs to reference {summary.reference_digest}, not to {expected}")
