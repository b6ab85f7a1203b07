"""The online detectors there are, and the way from a name and parameters to one of them."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from detectors.errors import InvalidParameter, UnknownDetector
from detectors.sequential.cumulative_sum import OnlineCumulativeSum
from detectors.sequential.kolmogorov_smirnov import OnlineKolmogorovSmirnov
from detectors.sequential.maximum_mean_discrepancy import OnlineMaximumMeanDiscrepancy
from detectors.sequential.protocols import OnlineDetector

ONLINE_DETECTORS = (
    OnlineCumulativeSum,
    OnlineKolmogorovSmirnov,
    OnlineMaximumMeanDiscrepancy,
)


def create_online(name: str, parameters: Mapping[str, Any]) -> OnlineDetector[Any, Any]:
    """The detector of that name; raises `UnknownDetector`, `InvalidParameter`. What is not given has its default."""
    found = {detector.name: detector for detector in ONLINE_DETECTORS}.get(name)
    if found is None:
        there = ", ".join(detector.name for detector in ONLINE_DETECTORS)
        raise UnknownDetector(f"no online detector has this name; there are {there}")
    known = [field.name for field in fields(found)]
    for parameter in parameters:
        if parameter not in known:
            raise InvalidParameter(parameter, f"{name} has no such parameter; it has {', '.join(known)}")
    return found(**parameters)
