"""The detectors there are, and the way from a name and parameters to one of them."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from detectors.errors import InvalidParameter, UnknownDetector
from detectors.identity import parameters_of
from detectors.kernel.maximum_mean_discrepancy import MaximumMeanDiscrepancy
from detectors.protocols import Detector
from detectors.rank.kolmogorov_smirnov import KolmogorovSmirnov

__all__ = ["DETECTORS", "create", "parameters_of"]

DETECTORS = (
    KolmogorovSmirnov,
    MaximumMeanDiscrepancy,
)


def create(name: str, parameters: Mapping[str, Any]) -> Detector[Any, Any]:
    """The detector of that name; raises `UnknownDetector`, `InvalidParameter`. What is not given has its default."""
    found = {detector.name: detector for detector in DETECTORS}.get(name)
    if found is None:
        raise UnknownDetector(f"no detector is called {name!r}; there are {', '.join(d.name for d in DETECTORS)}")
    known = [field.name for field in fields(found)]
    for parameter in parameters:
        if parameter not in known:
            raise InvalidParameter(parameter, f"{name} has no parameter {parameter!r}; it has {', '.join(known)}")
    return found(**parameters)
