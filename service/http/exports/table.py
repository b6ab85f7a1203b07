"""What every format of an export is given: the columns, what they are of, and then the rows."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isnan
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from detectors.anomaly.labels import NAMES, Labels
from service.domain.models import Verdict
from service.domain.sent_columns import code_of
from service.usecases.export_rows import Export, ExportedRows

_EVENT_TIME, _BATCH, _VERDICT = "driftwarden_event_time", "driftwarden_batch", "driftwarden_verdict"
_LABEL = "driftwarden_label"


Words = Mapping[int, Mapping[float, str]]
"""Of categorical features, by their place: what each code stands for."""


@dataclass(frozen=True, slots=True)
class Heading:
    """Names of the columns, and what the file says of itself."""

    features: tuple[str, ...]
    event_time: str
    """UTC, to the millisecond."""
    batch: str
    """The batch's identifier."""
    verdict: str
    """The verdict's number."""
    metadata: str
    """A JSON document: the model, its columns, and for each verdict what it was made of."""
    words: Words
    label: str | None
    """The row's label; None where rows come without."""

    @classmethod
    def of(cls, export: Export) -> "Heading":
        event_time, batch, verdict = (_free(name, export.features) for name in (_EVENT_TIME, _BATCH, _VERDICT))
        label = _free(_LABEL, export.features) if export.labelled else None
        named = {} if label is None else {"label": label}
        document = {
            "model": export.model,
            "features": export.features,
            "columns": {"event_time": event_time, "batch": batch, "verdict": verdict} | named,
            "verdicts": [_described(each) for each in export.verdicts],
        }
        places = {name: place for place, name in enumerate(export.features)}
        words = {
            places[name]: {code_of(category): category for category in categories}
            for name, categories in export.categories.items()
        }
        return cls(export.features, event_time, batch, verdict, json.dumps(document), words, label)


def worded(codes: NDArray[np.float64], words: Mapping[float, str]) -> list[str | None]:
    """The categories that codes stand for. One that no registration knew is not told: it is `?` and its code."""
    return [None if isnan(code) else words.get(code, f"?{code:.0f}") for code in codes.tolist()]


def label_names(labels: Labels) -> list[str]:
    """Of each row."""
    return [NAMES[label] for label in labels.tolist()]


class TableWriter(Protocol):
    """Gives bytes as they come to be; used by one thread at a time."""

    def write(self, pieces: Sequence[ExportedRows]) -> bytes:
        """Some more rows."""
        ...

    def end(self) -> bytes:
        """After the last row: without it the file is not whole."""
        ...


def _described(verdict: Verdict) -> dict[str, Any]:
    tested = verdict.rows if verdict.tested_rows is None else verdict.tested_rows
    return {
        "number": verdict.number,
        "finding": verdict.decision.finding.value,
        "first_row": verdict.first_row,
        "rows": verdict.rows,
        "tested_rows": tested,
        "sampled": tested < verdict.rows,
        "flagged": None if verdict.flagged is None else asdict(verdict.flagged),
        "started_at": verdict.started_at.isoformat(),
        "ended_at": verdict.ended_at.isoformat(),
        "reference_digest": verdict.reference_digest,
        "plan_digest": verdict.plan_digest,
        "registration_revision": verdict.registration_revision,
    }


def _free(name: str, features: tuple[str, ...]) -> str:
    """A feature may be called so, too."""
    while name in features:
        name += "_"
    return name
