"""The detectors there are, and the way from a name and parameters to one of them."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from detectors.alibi.classifier_drift import AlibiClassifierDrift
from detectors.alibi.context_mmd_drift import AlibiContextMMDDrift
from detectors.alibi.ks_drift import AlibiKSDrift
from detectors.alibi.lsdd_drift import AlibiLSDDDrift
from detectors.alibi.mmd_drift import AlibiMMDDrift
from detectors.alibi.tabular_drift import AlibiTabularDrift
from detectors.anomaly.outlying_rows import OutlyingRows
from detectors.anomaly.repeated_rows import RepeatedRows
from detectors.anomaly.too_typical_rows import TooTypicalRows
from detectors.classifier.classifier_two_sample import ClassifierTwoSample
from detectors.errors import InvalidParameter, UnknownDetector
from detectors.frequency.chi_square import ChiSquare
from detectors.frequency.fisher import FisherExact
from detectors.frequency.jensen_shannon import JensenShannon
from detectors.frequency.missing_values import MissingValues
from detectors.frequency.out_of_range import OutOfRange
from detectors.frequency.population_stability import PopulationStabilityIndex
from detectors.frequency.unseen_categories import UnseenCategories
from detectors.identity import parameters_of
from detectors.kernel.aggregated import AggregatedMaximumMeanDiscrepancy
from detectors.kernel.cross_maximum_mean_discrepancy import CrossMaximumMeanDiscrepancy
from detectors.kernel.density_difference import LeastSquaresDensityDifference
from detectors.kernel.fast_maximum_mean_discrepancy import FastMaximumMeanDiscrepancy
from detectors.kernel.maximum_mean_discrepancy import MaximumMeanDiscrepancy
from detectors.protocols import Detector
from detectors.rank.anderson_darling import AndersonDarling
from detectors.rank.cramer_von_mises import CramerVonMises
from detectors.rank.kolmogorov_smirnov import KolmogorovSmirnov
from detectors.rank.mann_whitney import MannWhitney

__all__ = ["DETECTORS", "OPTIONAL_DETECTORS", "create", "parameters_of"]

DETECTORS = (
    KolmogorovSmirnov,
    MannWhitney,
    CramerVonMises,
    AndersonDarling,
    MaximumMeanDiscrepancy,
    AggregatedMaximumMeanDiscrepancy,
    FastMaximumMeanDiscrepancy,
    CrossMaximumMeanDiscrepancy,
    LeastSquaresDensityDifference,
    ClassifierTwoSample,
    ChiSquare,
    FisherExact,
    JensenShannon,
    MissingValues,
    OutOfRange,
    PopulationStabilityIndex,
    UnseenCategories,
    OutlyingRows,
    TooTypicalRows,
    RepeatedRows,
)

OPTIONAL_DETECTORS = (
    AlibiClassifierDrift,
    AlibiContextMMDDrift,
    AlibiKSDrift,
    AlibiLSDDDrift,
    AlibiMMDDrift,
    AlibiTabularDrift,
)
"""Those that need an extra when they are fitted."""


def create(name: str, parameters: Mapping[str, Any]) -> Detector[Any, Any]:
    """The detector of that name; raises `UnknownDetector`, `InvalidParameter`. What is not given has its default."""
    registered = {detector.name: detector for detector in (*DETECTORS, *OPTIONAL_DETECTORS)}
    found = registered.get(name)
    if found is None:
        raise UnknownDetector(f"no detector has this name; there are {', '.join(registered)}")
    known = [field.name for field in fields(found)]
    for parameter in parameters:
        if parameter not in known:
            raise InvalidParameter(parameter, f"{name} has no such parameter; it has {', '.join(known)}")
    return found(**parameters)
