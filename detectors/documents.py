"""References and summaries as bytes, and back: what a sidecar ships, and what is kept.

A reference is written as what it was fitted on: the detector's name, its parameters and the rows. Nothing that was
derived from them is ever read, so a hostile document can at worst describe another reference, and its digest says so.
A summary is written as its own arrays, and every detector checks them against its reference before it trusts them.
"""

from typing import Any

from detectors import codec
from detectors.arrays import HOST, Backend, measurable_rows
from detectors.codec import Blob
from detectors.errors import (
    EngineUnavailable,
    InvalidDocument,
    InvalidParameter,
    InvalidRows,
    ReferenceMismatch,
    TooLarge,
    UnknownDetector,
)
from detectors.identity import FITTED_REFERENCE, parameters_of
from detectors.protocols import Detector, WorksHarder
from detectors.registry import create

SUMMARY = "summary"

MOST_WORK = 2**30
"""What `open_reference` does at most, unless told otherwise: some seconds, and some GiB.

About as many numbers are computed; those that are kept count eightfold. So much are 60,000 features, or 60 million
values, for most detectors.
"""
_FOR_A_FEATURE, _FOR_A_VALUE = 2**14, 2**4


def reference_bytes(detector: Detector[Any, Any], rows: Any) -> bytes:
    """The document whose digest is that of `detector.fit(rows)`; raises `InvalidRows`."""
    attributes = {"detector": detector.name, "parameters": parameters_of(detector)}
    return codec.encode(FITTED_REFERENCE, {"rows": measurable_rows(rows)}, attributes)


def open_reference(
    blob: Blob, backend: Backend = HOST, *, most_work: int = MOST_WORK
) -> tuple[Detector[Any, Any], Any]:
    """The detector that the document names, and the reference fitted anew; raises `InvalidDocument`.

    A few bytes of parameters can ask for far more memory and time than the rows' size warrants. What would take more
    than `most_work` (see `MOST_WORK`) is refused before it is begun, as `TooLarge`. A detector whose optional library
    is not installed here is an `InvalidDocument` as well, and so is what memory does not suffice for.
    """
    document = codec.decode(blob, kind=FITTED_REFERENCE)
    if document.attributes.keys() != {"detector", "parameters"} or document.arrays.keys() != {"rows"}:
        raise InvalidDocument("a reference holds a detector, its parameters and rows, and nothing else")
    name, parameters = document.attributes["detector"], document.attributes["parameters"]
    if not (isinstance(name, str) and isinstance(parameters, dict)):
        raise InvalidDocument("the detector is not a name with parameters")
    try:
        detector = create(name, parameters)
        rows = document.arrays["rows"]
        if rows.ndim == 2 and (work := work_of_fitting(detector, *rows.shape)) > most_work:
            asked = f"fitting {name} on {rows.shape[0]} rows of {rows.shape[1]} features takes {work:.1e} operations"
            raise TooLarge(f"{asked}, and most_work is {most_work:.1e}")
        reference = detector.fit(backend.put(measurable_rows(rows)))
    except (UnknownDetector, InvalidParameter, InvalidRows, EngineUnavailable) as error:
        raise InvalidDocument(f"no reference can be fitted: {error}") from error
    except MemoryError as error:
        raise TooLarge(f"no reference can be fitted: there is not enough memory ({error})") from error
    if reference.digest != codec.digest(blob):
        raise InvalidDocument("the document spells its rows or parameters otherwise than they would be written")
    return detector, reference


def work_of_fitting(detector: Detector[Any, Any], rows: int, features: int) -> int:
    """About how many numbers fitting this detector on so many rows computes, those that it keeps counted eightfold."""
    work = features * (_FOR_A_FEATURE + _FOR_A_VALUE * rows)
    if isinstance(detector, WorksHarder):
        harder: WorksHarder = detector
        work += harder.work_of_fitting(rows, features)
    return work


def summary_bytes(detector: Detector[Any, Any], summary: Any) -> bytes:
    """The summary as a document."""
    attributes = {"detector": detector.name, "reference": summary.reference_digest}
    return codec.encode(SUMMARY, summary.arrays(), attributes)


def open_summary(blob: Blob, detector: Detector[Any, Any], reference: Any) -> Any:
    """The summary, checked against the reference; raises `InvalidDocument`, `ReferenceMismatch`."""
    document = codec.decode(blob, kind=SUMMARY)
    if document.attributes.keys() != {"detector", "reference"} or document.attributes["detector"] != detector.name:
        raise InvalidDocument(f"not the summary of a {detector.name}")
    if document.attributes["reference"] != reference.digest:
        raise ReferenceMismatch(f"the summary does not belong to reference {reference.digest}")
    return detector.restore(reference, document.arrays)
