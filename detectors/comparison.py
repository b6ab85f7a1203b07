"""The short way: one call that compares two sets of rows, or a detector held together with its reference.

A `Detector` holds parameters only and its reference is a value of its own, which is what a service needs; here are both
in one hand, for a notebook.
"""

from dataclasses import dataclass
from typing import Any

from detectors.compatibility import as_alibi
from detectors.data_frames import Names, names_of, refuse_other_columns, rows_of
from detectors.errors import InvalidParameter
from detectors.protocols import Detector
from detectors.registry import create
from detectors.results import DriftResult


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A detector and the reference that it was fitted on; call it with window rows."""

    detector: Detector[Any, Any]
    reference: Any
    """What `detector.fit` gave."""
    features: Names | None = None
    """The reference's columns, where it was a data frame: a window's have to be the same."""

    def __call__(self, window_rows: Any, /) -> DriftResult:
        """Test these rows, an array or a data frame; raises `InvalidRows`."""
        refuse_other_columns(self.features, window_rows)
        return self.detector.test(self.reference, self.detector.summarise(self.reference, rows_of(window_rows)))

    def predict(
        self,
        window_rows: Any,
        /,
        drift_type: str = "batch",
        *,
        p_val: float = 0.05,
        correction: str = "bonferroni",
    ) -> dict[str, dict[str, Any]]:
        """Test these rows and answer as alibi-detect's `predict` does; see `detectors.compatibility.as_alibi`."""
        return as_alibi(self(window_rows), p_val=p_val, correction=correction, drift_type=drift_type)


def against(detector: Detector[Any, Any] | str, reference_rows: Any, /, **parameters: Any) -> Fitted:
    """Fit a detector, or the registered one of that name with these parameters; rows are an array or a data frame.

    Raises `InvalidRows`, `TooFewRows`, `UnknownDetector`, `InvalidParameter`.
    """
    if isinstance(detector, str):
        detector = create(detector, parameters)
    elif parameters:
        raise InvalidParameter(next(iter(parameters)), "a detector has its parameters already; give them to it")
    return Fitted(detector, detector.fit(rows_of(reference_rows)), names_of(reference_rows))


def compare(
    reference_rows: Any,
    window_rows: Any,
    /,
    detector: Detector[Any, Any] | str = "kolmogorov_smirnov",
    **parameters: Any,
) -> DriftResult:
    """Test a window against a reference, once; raises what `against` and `Fitted` raise."""
    return against(detector, reference_rows, **parameters)(window_rows)
