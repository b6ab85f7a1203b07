"""Summaries in the place of rows: what every detector of a plan keeps of them, merged, measured, as bytes and back.

They say for which reference and which parameters they were made (each detector's reference digest), so that those of
another plan are told apart and never mixed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from numpy.typing import NDArray

from detectors import codec
from detectors.arrays import Rows
from detectors.codec import Blob
from detectors.errors import InvalidDocument, ReferenceMismatch
from detectors.results import DriftResult
from service.domain.fitted_plan import FittedPlan

SUMMARIES_KIND = "summaries"


@dataclass(frozen=True, slots=True, eq=False)
class Summaries:
    """Of some rows, one summary for each detector of the plan, in its order."""

    rows: int
    parts: tuple[Any, ...]

    @classmethod
    def of(cls, fitted: FittedPlan, rows: Rows) -> Self:
        """Shape (rows, features) with the plan's features; raises `InvalidRows`."""
        return cls(len(rows), tuple(each.summarise(rows) for each in fitted.detectors))

    def __add__(self, other: Self, /) -> Self:
        """Merge; raises `ReferenceMismatch`."""
        return type(self)(self.rows + other.rows, tuple(a + b for a, b in zip(self.parts, other.parts, strict=True)))

    def measured(self, fitted: FittedPlan) -> Sequence[DriftResult]:
        """What every detector says of the rows; raises `DetectorError`."""
        return [
            each.detector.test(each.reference, part) for each, part in zip(fitted.detectors, self.parts, strict=True)
        ]


def encode(summaries: Summaries) -> bytes:
    """The summaries as one document."""
    arrays = {
        f"{number}.{name}": array
        for number, part in enumerate(summaries.parts)
        for name, array in part.arrays().items()
    }
    references = [part.reference_digest for part in summaries.parts]
    return codec.encode(SUMMARIES_KIND, arrays, {"rows": summaries.rows, "references": references})


def decode(fitted: FittedPlan, blob: Blob) -> Summaries:
    """The document's summaries, each checked against its detector's reference.

    Those that this plan does not ask for are passed over. Raises `InvalidDocument`, and `ReferenceMismatch` where one
    is missing that the plan asks for.
    """
    document = codec.decode(blob, kind=SUMMARIES_KIND)
    rows, references = document.attributes.get("rows"), document.attributes.get("references")
    if not (type(rows) is int and rows >= 0 and isinstance(references, list)):
        raise InvalidDocument("summaries say of how many rows and of which references they are")
    arrays = _by_number(document.arrays, len(references))
    parts: list[Any] = []
    for each in fitted.detectors:
        # Detectors that look at features whose reference rows are equal have one digest between them: then the order
        # tells them apart, and nothing does if there are more or fewer than the plan has.
        digest = each.reference.digest
        places = [place for place, found in enumerate(references) if found == digest]
        if not places or len(places) != sum(other.reference.digest == digest for other in fitted.detectors):
            raise ReferenceMismatch(f"there is no summary for reference {digest} of {each.detector.name}")
        part = each.detector.restore(
            each.reference, arrays[places[sum(part.reference_digest == digest for part in parts)]]
        )
        if part.count != rows:
            raise InvalidDocument(f"a summary of {part.count} rows among summaries of {rows}")
        parts.append(part)
    return Summaries(rows, tuple(parts))


def _by_number(arrays: Mapping[str, NDArray[Any]], count: int) -> list[dict[str, NDArray[Any]]]:
    found: list[dict[str, NDArray[Any]]] = [{} for _ in range(count)]
    for name, array in arrays.items():
        number, _, own = name.partition(".")
        if not (number.isascii() and number.isdigit() and len(number) < 6 and int(number) < count):
            raise InvalidDocument("an array belongs to no summary")
        found[int(number)][own] = array
    return found
