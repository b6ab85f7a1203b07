"""What can be wrong with a measurement.

    DetectorError
    ├── InvalidRows            the rows handed in cannot be measured (shape, dtype, not finite)
    │   └── TooFewRows         there are rows, or none, but not enough of them
    ├── InvalidParameter       a detector was asked for with a parameter it does not take
    ├── UnknownDetector        no detector goes by that name
    ├── ReferenceMismatch      a summary belongs to another reference
    ├── BackendUnavailable     the array library or the device that was chosen is not on this machine
    ├── EngineUnavailable      an optional library that a detector needs is not installed
    └── InvalidDocument        bytes that are not one of our documents, or not the kind that was asked for
        └── TooLarge           a document that would take more memory or time than was allowed

None of them is helped by trying again.
"""


class DetectorError(Exception):
    """The root of what this package raises on purpose."""


class InvalidRows(DetectorError):
    """Rows of the wrong shape or dtype, or, where they must be, not finite; the message names the place."""


class TooFewRows(InvalidRows):
    """Too few rows for this detector; the message says how many there are and how many it needs."""


class InvalidParameter(DetectorError):
    """A parameter that the detector does not have, or a value outside its range.

    `parameter` is its name, so that a caller can point at the place in a larger document.
    """

    def __init__(self, parameter: str, message: str) -> None:
        super().__init__(message)
        self.parameter = parameter


class UnknownDetector(DetectorError):
    """No detector is registered under that name; the message lists those that are."""


class ReferenceMismatch(DetectorError):
    """A summary was merged with, or tested against, something fitted on another reference."""


class BackendUnavailable(DetectorError):
    """An array library that is not installed, or a device that is not there; the message says what to install."""


class EngineUnavailable(DetectorError):
    """A detector whose optional library is not installed; the message says which extra brings it."""


class InvalidDocument(DetectorError):
    """Bytes that cannot be decoded: wrong magic, version, kind, digest, length or header. Nothing was executed."""


class TooLarge(InvalidDocument):
    """Fitting what the document describes would take more than was allowed; the message says which limit to raise."""
