"""Results in the shape that alibi-detect documents, for code that was written for its `predict`.

    {"meta": {...}, "data": {"is_drift": ..., "distance": ..., "p_val": ..., "threshold": ...}}

As there, p-values alarm strictly below their threshold. Where they would take what cannot be measured for calm (p is
NaN), this says so: see `as_alibi`. Nothing else in the package decides; the service does so in its domain.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.errors import InvalidParameter
from detectors.parameters import one_of
from detectors.results import DriftResult, Scope

CORRECTIONS = ("bonferroni", "fdr")
DRIFT_TYPES = ("batch", "feature")

NAMES = {
    "kolmogorov_smirnov": "KSDrift",
    "cramer_von_mises": "CVMDrift",
    "chi_square": "ChiSquareDrift",
    "fisher_exact": "FETDrift",
    "maximum_mean_discrepancy": "MMDDrift",
    "least_squares_density_difference": "LSDDDrift",
    "classifier_two_sample": "ClassifierDrift",
}
"""What their detector is called that measures the same."""


def as_alibi(
    result: DriftResult, *, p_val: float = 0.05, correction: str = "bonferroni", drift_type: str = "batch"
) -> dict[str, dict[str, Any]]:
    """Decide as alibi-detect would, and render it as it would; raises `InvalidParameter`.

    `drift_type="batch"` takes all features together, `p_val` being shared out by the correction (`threshold` is the
    p-value below which a feature alarms; under `fdr`, when none does, all that were tried). `"feature"` gives one
    `is_drift` a feature, without a correction. A detector of all features together has one of everything, whichever.

    Beyond what they document: `data["undecided"]` lists the features (for a joint detector: 0) that could not be
    measured. They count as features in the correction, and never as calm: a batch without drift among the others has
    `is_drift` None, not 0, and a feature's `is_drift` is None (the array then holds objects). `distance` is the
    statistic, `distance_threshold` is there for joint detectors and None, because a `DriftResult` does not have it.
    """
    if not 0 < p_val < 1:
        raise InvalidParameter("p_val", "p_val lies between 0 and 1")
    one_of("correction", correction, CORRECTIONS)
    one_of("drift_type", drift_type, DRIFT_TYPES)
    data = _joint(result, p_val) if result.scope is Scope.JOINT else _features(result, p_val, correction, drift_type)
    return {"data": data, "meta": _meta(result)}


def _meta(result: DriftResult) -> dict[str, Any]:
    return {
        "name": NAMES.get(result.detector, result.detector),
        "online": False,
        "data_type": None,
        "version": None,
        "detector_type": "drift",
        "detector": result.detector,
        "method": result.method,
        "seed": result.seed,
    }


def _joint(result: DriftResult, p_val: float) -> dict[str, Any]:
    undecided = np.flatnonzero(result.undecided).tolist()
    p_value = float(result.p_value[0])
    return {
        "is_drift": None if undecided else int(p_value < p_val),
        "distance": float(result.statistic[0]),
        "p_val": p_value,
        "threshold": p_val,
        "distance_threshold": None,
        "undecided": undecided,
    }


def _features(result: DriftResult, p_val: float, correction: str, drift_type: str) -> dict[str, Any]:
    undecided = result.undecided
    threshold: float | NDArray[np.float64] = p_val
    if drift_type == "feature":
        is_drift: Any = (result.p_value < p_val).astype(np.int64)
        if undecided.any():
            is_drift = is_drift.astype(np.object_)
            is_drift[undecided] = None
    else:
        found, threshold = _bonferroni(result, p_val) if correction == "bonferroni" else _false_discovery(result, p_val)
        is_drift = 1 if found else None if undecided.any() else 0
    return {
        "is_drift": is_drift,
        "distance": result.statistic,
        "p_val": result.p_value,
        "threshold": threshold,
        "undecided": np.flatnonzero(undecided).tolist(),
    }


def _bonferroni(result: DriftResult, p_val: float) -> tuple[bool, float]:
    threshold = p_val / len(result.p_value)
    return bool((result.p_value < threshold).any()), threshold


def _false_discovery(result: DriftResult, p_val: float) -> tuple[bool, float | NDArray[np.float64]]:
    """Benjamini and Hochberg, Journal of the Royal Statistical Society B 57 (1995), with `<` for their `<=`."""
    ordered = np.sort(result.p_value)  # NaN last, and below no threshold
    thresholds = p_val * np.arange(1, len(ordered) + 1) / len(ordered)
    below = np.flatnonzero(ordered < thresholds)
    return (True, float(thresholds[below[-1]])) if len(below) else (False, thresholds)
