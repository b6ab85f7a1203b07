"""The plan: which detectors, windows, budget and response one model has. Data, not settings."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import isfinite

from detectors.errors import InvalidParameter, UnknownDetector
from detectors.registry import OPTIONAL_DETECTORS, create
from service.domain.errors import Fault, InvalidPlan

JSONScalar = str | int | float | bool | None

MAXIMUM_WINDOW_ROWS = 50_000
"""Rows may come one a batch, and a window's batches must fit into a log of the default size before it can be cut."""
MAXIMUM_DETECTORS = 16


@dataclass(frozen=True, slots=True)
class WindowPlan:
    """How the log is cut."""

    rows: int = 500
    """Rows a window; the cut is exact, wherever the batches end."""


@dataclass(frozen=True, slots=True)
class DetectorPlan:
    """One detector of a plan."""

    name: str
    parameters: Mapping[str, JSONScalar] = field(default_factory=dict)
    features: tuple[str, ...] | None = None
    """Those that it looks at, e.g. the categorical ones for `chi_square`; None for all."""
    minimum_effect: float = 0.0
    """A smaller difference is no drift however surprising it is: with enough rows everything is significant."""


@dataclass(frozen=True, slots=True)
class DecisionPlan:
    """How often an alarm may be false."""

    false_alarm_rate: float = 0.05
    """Of one window, all detectors and features together, when nothing has changed."""


@dataclass(frozen=True, slots=True)
class ResponsePlan:
    """What follows from findings over time."""

    retrain: bool = True
    confirm: int = 2
    """This many of the latest `out_of` windows must have drifted before anything is started ..."""
    out_of: int = 3
    cool_down: int = 20
    """... and then nothing more for this many windows."""


def _default_detectors() -> tuple[DetectorPlan, ...]:
    return (
        DetectorPlan("kolmogorov_smirnov", minimum_effect=0.1),
        DetectorPlan("maximum_mean_discrepancy"),
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """All of it; every field has a default, so that a reference alone is enough to begin."""

    window: WindowPlan = WindowPlan()
    detectors: tuple[DetectorPlan, ...] = field(default_factory=_default_detectors)
    decision: DecisionPlan = DecisionPlan()
    response: ResponsePlan = ResponsePlan()

    @property
    def digest(self) -> str:
        """Of the canonical JSON form: two plans that say the same have the same."""
        canonical = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()


def check(plan: Plan, *, optional_engines: bool = False) -> None:
    """Raise `InvalidPlan` with every fault at once, so that one round of corrections is enough.

    Detectors of an optional engine, with a licence of its own, are faults unless they are switched on.
    """
    faults = [] if optional_engines else _engine_faults(plan)
    faults += [*_window_faults(plan.window), *_detectors_faults(plan), *_decision_faults(plan.decision)]
    faults += _response_faults(plan.response)
    if faults:
        raise InvalidPlan(*faults)


def _window_faults(window: WindowPlan) -> list[Fault]:
    # Below about twenty rows no rank test can reach a p-value that survives a correction over features.
    if 20 <= window.rows <= MAXIMUM_WINDOW_ROWS:
        return []
    return [Fault("window.rows", f"must lie between 20 and {MAXIMUM_WINDOW_ROWS}")]


def _detectors_faults(plan: Plan) -> list[Fault]:
    if not 1 <= len(plan.detectors) <= MAXIMUM_DETECTORS:
        return [Fault("detectors", f"a plan has 1 to {MAXIMUM_DETECTORS} detectors")]
    faults = []
    names = [detector.name for detector in plan.detectors]
    for index, detector in enumerate(plan.detectors):
        place = f"detectors[{index}]"
        try:
            create(detector.name, dict(detector.parameters))
        except UnknownDetector as error:
            faults.append(Fault(f"{place}.name", str(error)))
        except InvalidParameter as error:
            faults.append(Fault(f"{place}.parameters.{error.parameter}", str(error)))
        if names.index(detector.name) != index:
            faults.append(Fault(f"{place}.name", "each detector may be planned once"))
        faults += _selection_faults(f"{place}.features", detector.features)
        if not (isfinite(detector.minimum_effect) and detector.minimum_effect >= 0):
            faults.append(Fault(f"{place}.minimum_effect", "must be a number of at least 0"))
    return faults


def _engine_faults(plan: Plan) -> list[Fault]:
    optional = {detector.name for detector in OPTIONAL_DETECTORS}
    message = (
        "is a detector of alibi-detect, which is not open source and switched off: see DRIFT_COMPUTE__ALIBI_DETECT"
    )
    return [
        Fault(f"detectors[{index}].name", message)
        for index, detector in enumerate(plan.detectors)
        if detector.name in optional
    ]


def _selection_faults(place: str, features: tuple[str, ...] | None) -> list[Fault]:
    if features is None:
        return []
    if not features:
        return [Fault(place, "names no feature; leave it out for all of them")]
    return [Fault(f"{place}[{i}]", "is named twice") for i, name in enumerate(features) if features.index(name) != i]


def check_features(plan: Plan, features: tuple[str, ...]) -> None:
    """Raise `InvalidPlan` if the plan looks at features that the reference does not have."""
    known = frozenset(features)
    faults = [
        Fault(f"detectors[{index}].features[{place}]", "is no feature of the reference")
        for index, detector in enumerate(plan.detectors)
        for place, name in enumerate(detector.features or ())
        if name not in known
    ]
    if faults:
        raise InvalidPlan(*faults)


def _decision_faults(decision: DecisionPlan) -> list[Fault]:
    if 0 < decision.false_alarm_rate < 1:
        return []
    return [Fault("decision.false_alarm_rate", "must lie between 0 and 1, both excluded")]


def _response_faults(response: ResponsePlan) -> list[Fault]:
    faults = []
    if not 1 <= response.out_of <= 100:
        faults.append(Fault("response.out_of", "must lie between 1 and 100"))
    if not 1 <= response.confirm <= response.out_of:
        faults.append(Fault("response.confirm", "must lie between 1 and response.out_of"))
    if not 0 <= response.cool_down <= 1_000_000:
        faults.append(Fault("response.cool_down", "must lie between 0 and 1000000"))
    return faults
