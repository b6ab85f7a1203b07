"""Summaries in the place of rows: what every detector of a plan keeps of them, merged, measured, as bytes and back.

They say for which reference and which parameters they were made (each detector's reference digest), so that those of
another plan are told apart and never mixed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from detectors import codec
from detectors.arrays import Rows
from detectors.codec import Blob, Document
from detectors.errors import InvalidDocument, InvalidRows, ReferenceMismatch
from detectors.results import DriftResult
from service.domain.errors import Fault, InvalidBatch
from service.domain.fitted_plan import FittedPlan
from service.domain.models import LATEST_MS

SUMMARIES_KIND = "summaries"
MAXIMUM_PANES = 100
"""Of one document, whose header has room for the arrays of so many, whatever the plan."""
MAXIMUM_PANE_ROWS = 2**31
"""What a pane says of its rows is its sender's word; so bounded, all that a log holds add up within 64 bits."""


@dataclass(frozen=True, slots=True, eq=False)
class Summaries:
    """Of some rows, one summary for each detector of the plan, in its order."""

    rows: int
    parts: tuple[Any, ...]
    unmeasurable: str = ""
    """Why there are no parts: of more rows than some detector can sum, nothing is kept but their number."""

    @classmethod
    def of(cls, fitted: FittedPlan, rows: Rows) -> Self:
        """Shape (rows, features) with the plan's features, as `FittedPlan.compared` has them; raises `InvalidRows`."""
        return cls(len(rows), tuple(each.summarise(rows) for each in fitted.detectors))

    def __add__(self, other: Self, /) -> Self:
        """Merge; raises `ReferenceMismatch`."""
        rows, reason = self.rows + other.rows, self.unmeasurable or other.unmeasurable
        if not reason:
            try:
                return type(self)(rows, tuple(a + b for a, b in zip(self.parts, other.parts, strict=True)))
            except InvalidRows as error:  # what was sent as summaries must not stop the log
                reason = str(error)
        return type(self)(rows, (), reason)

    def measured(self, fitted: FittedPlan) -> Sequence[DriftResult]:
        """What every detector says of the rows; raises `DetectorError`."""
        if self.unmeasurable:
            raise InvalidRows(self.unmeasurable)
        return [
            each.detector.test(each.reference, part) for each, part in zip(fitted.detectors, self.parts, strict=True)
        ]


@dataclass(frozen=True, slots=True, eq=False)
class Pane:
    """Summaries of rows that are counted together: no window has a part of them."""

    begins_ms: int
    """Event time of its first row, in milliseconds since the epoch ..."""
    ends_ms: int
    """... and of its last one."""
    summaries: Summaries

    def crosses(self, every_ms: int) -> bool:
        """Whether windows of that length, aligned to its multiples, would have to divide it."""
        return self.begins_ms // every_ms != self.ends_ms // every_ms


def panes_of(fitted: FittedPlan, rows: Rows, times: NDArray[np.int64], every_ms: int | None) -> tuple[Pane, ...]:
    """The rows in as few panes as windows of that length allow; None: in one.

    `rows` has shape (rows, features), `times` the event time of each in milliseconds. Raises `InvalidRows`, and
    `InvalidBatch` for rows of more windows than a document has panes.
    """
    intervals = times // every_ms if every_ms is not None else np.zeros_like(times)
    found = np.unique(intervals)
    if len(found) > MAXIMUM_PANES:
        message = f"are of {len(found)} windows, and at most {MAXIMUM_PANES} are taken at once; send smaller batches"
        raise InvalidBatch(Fault("observed_at", message))
    panes = []
    for interval in found:
        chosen = intervals == interval
        # As they are where they are all in one, which is the rule: rows are not copied.
        seen, moments = (rows, times) if chosen.all() else (rows[chosen], times[chosen])
        panes.append(Pane(int(moments.min()), int(moments.max()), Summaries.of(fitted, fitted.compared(seen, moments))))
    return tuple(panes)


def encode_panes(panes: Sequence[Pane]) -> bytes:
    """The panes, of one plan and at least one, as one document."""
    arrays = {
        f"{place}.{number}.{name}": array
        for place, pane in enumerate(panes)
        for number, part in enumerate(pane.summaries.parts)
        for name, array in part.arrays().items()
    }
    references = [part.reference_digest for part in panes[0].summaries.parts]
    said = [[pane.begins_ms, pane.ends_ms, pane.summaries.rows] for pane in panes]
    return codec.encode(SUMMARIES_KIND, arrays, {"panes": said, "references": references})


def decode_panes(fitted: FittedPlan, blob: Blob) -> tuple[Pane, ...]:
    """The document's panes, each summary checked against its detector's reference.

    Those that this plan does not ask for are passed over. Raises `InvalidDocument`, and `ReferenceMismatch` where one
    is missing that the plan asks for.
    """
    document = codec.decode(blob, kind=SUMMARIES_KIND)
    said, references = _said(document)
    places = _places(fitted, references)
    arrays = _sorted(document.arrays, len(said), len(references))
    panes = []
    for (begins_ms, ends_ms, rows), found in zip(said, arrays, strict=True):
        parts = tuple(
            each.detector.restore(each.reference, found[place])
            for each, place in zip(fitted.detectors, places, strict=True)
        )
        for part in parts:
            if part.count != rows:
                raise InvalidDocument(f"a summary of {part.count} rows in a pane of {rows}")
        panes.append(Pane(begins_ms, ends_ms, Summaries(rows, parts)))
    return tuple(panes)


def _said(document: Document) -> tuple[list[tuple[int, int, int]], list[Any]]:
    panes, references = document.attributes.get("panes"), document.attributes.get("references")
    if not (isinstance(panes, list) and isinstance(references, list) and 1 <= len(panes) <= MAXIMUM_PANES):
        raise InvalidDocument(f"summaries say of which references they are, and of 1 to {MAXIMUM_PANES} panes")
    for pane in panes:
        if not (isinstance(pane, list) and len(pane) == 3 and all(type(number) is int for number in pane)):
            raise InvalidDocument("a pane says when it begins and ends, and of how many rows it is")
        begins_ms, ends_ms, rows = pane
        if not (0 <= begins_ms <= ends_ms <= LATEST_MS and 1 <= rows <= MAXIMUM_PANE_ROWS):
            message = f"ends no earlier, and has 1 to {MAXIMUM_PANE_ROWS} rows"
            raise InvalidDocument(f"a pane begins in 1970 or later, {message}")
    return [tuple(pane) for pane in panes], references


def _places(fitted: FittedPlan, references: Sequence[Any]) -> list[int]:
    """Which of the document's summaries is each detector's."""
    chosen: list[int] = []
    for number, each in enumerate(fitted.detectors):
        # Detectors that look at features whose reference rows are equal have one digest between them: then the order
        # tells them apart, and nothing does if there are more or fewer than the plan has.
        digest = each.reference.digest
        found = [place for place, reference in enumerate(references) if reference == digest]
        if not found or len(found) != sum(other.reference.digest == digest for other in fitted.detectors):
            raise ReferenceMismatch(f"there is no summary for reference {digest} of {each.detector.name}")
        chosen.append(found[sum(other.reference.digest == digest for other in fitted.detectors[:number])])
    return chosen


def _sorted(arrays: Mapping[str, NDArray[Any]], panes: int, parts: int) -> list[list[dict[str, NDArray[Any]]]]:
    """By pane, then by summary, then by name."""
    found: list[list[dict[str, NDArray[Any]]]] = [[{} for _ in range(parts)] for _ in range(panes)]
    for name, array in arrays.items():
        pane, _, rest = name.partition(".")
        number, _, own = rest.partition(".")
        if not (_is_place(pane, panes) and _is_place(number, parts)):
            raise InvalidDocument("an array belongs to no summary")
        found[int(pane)][int(number)][own] = array
    return found


def _is_place(text: str, among: int) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 6 and int(text) < among
