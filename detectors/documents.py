"""References and summaries as bytes, and back: what a sidecar ships, and what is kept.

A reference is written as what it was fitted on: the detector's name, its parameters and the rows. Nothing that was
derived from them is ever read, so a hostile document can at worst describe another reference, and its digest says so.
A summary is written as its own arrays, and every detector checks them against its reference before it trusts them.
"""

from typing import Any

from detectors import codec
from detectors.arrays import HOST, Backend, measurable_rows
from detectors.codec import Blob
from detectors.errors import InvalidDocument, InvalidParameter, InvalidRows, ReferenceMismatch, UnknownDetector
from detectors.identity import FITTED_REFERENCE, parameters_of
from detectors.protocols import Detector
from detectors.registry import create

SUMMARY = "summary"


def reference_bytes(detector: Detector[Any, Any], rows: Any) -> bytes:
    """The document whose digest is that of `detector.fit(rows)`; raises `InvalidRows`."""
    attributes = {"detector": detector.name, "parameters": parameters_of(detector)}
    return codec.encode(FITTED_REFERENCE, {"rows": measurable_rows(rows)}, attributes)


def open_reference(blob: Blob, backend: Backend = HOST) -> tuple[Detector[Any, Any], Any]:
    """The detector that the document names, and the reference fitted anew; raises `InvalidDocument`."""
    document = codec.decode(blob, kind=FITTED_REFERENCE)
    if document.attributes.keys() != {"detector", "parameters"} or document.arrays.keys() != {"rows"}:
        raise InvalidDocument("a reference holds a detector, its parameters and rows, and nothing else")
    name, parameters = document.attributes["detector"], document.attributes["parameters"]
    if not (isinstance(name, str) and isinstance(parameters, dict)):
        raise InvalidDocument("the detector is not a name with parameters")
    try:
        detector = create(name, parameters)
        reference = detector.fit(backend.put(measurable_rows(document.arrays["rows"])))
    except (UnknownDetector, InvalidParameter, InvalidRows) as error:
        raise InvalidDocument(f"no reference can be fitted: {error}") from error
    if reference.digest != codec.digest(blob):
        raise InvalidDocument("the document spells its rows or parameters otherwise than they would be written")
    return detector, reference


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
