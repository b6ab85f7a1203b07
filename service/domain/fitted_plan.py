"""A plan fitted on its reference: everything that judging one model's windows needs, ready to use."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.calibration import (
    MINIMUM_BLOCKS,
    FalseAlarms,
    JointNull,
    block_null,
    blocks_needed,
    false_alarms,
    joint_null,
)
from detectors.protocols import Detector
from detectors.registry import create
from detectors.results import DriftResult
from service.domain.models import Reference
from service.domain.plan import Plan


@dataclass(frozen=True, slots=True)
class Calibration:
    """What calm blocks of the reference do."""

    null: JointNull
    threshold: float
    """Of the largest standardised statistic: beyond it a window is as surprising as the plan's budget asks for."""
    false_alarms: FalseAlarms | None
    """Each block judged by the others; None where these are too few for that."""


@dataclass(frozen=True, slots=True)
class FittedPlan:
    """Immutable, shared by threads."""

    plan: Plan
    features: tuple[str, ...]
    reference_rows: int
    calibration: Calibration | None
    """None where the reference is too short for the window and the budget."""
    blocks_needed: int
    """Contiguous blocks of the window's size that this plan's false-alarm rate needs."""
    _fitted: tuple[tuple[Detector[Any, Any], Any], ...]

    @property
    def blocks(self) -> int:
        """Blocks that the reference has."""
        return self.reference_rows // self.plan.window.rows

    def measure(self, rows: NDArray[np.float64]) -> Sequence[DriftResult]:
        """Test window rows, shape (rows, features), with every detector of the plan; raises `DetectorError`."""
        return [detector.test(reference, detector.summarise(reference, rows)) for detector, reference in self._fitted]


def fit(plan: Plan, reference: Reference) -> FittedPlan:
    """Fit every detector and, where the reference is long enough, calibrate them against its own blocks."""
    detectors = [create(planned.name, dict(planned.parameters)) for planned in plan.detectors]
    fitted = tuple((detector, detector.fit(reference.rows)) for detector in detectors)
    needed = max(blocks_needed(plan.decision.false_alarm_rate), MINIMUM_BLOCKS)
    blocks = len(reference.rows) // plan.window.rows
    calibration = _calibrate(plan, detectors, reference) if blocks >= needed else None
    return FittedPlan(plan, reference.features, len(reference.rows), calibration, needed, fitted)


def _calibrate(plan: Plan, detectors: Sequence[Detector[Any, Any]], reference: Reference) -> Calibration | None:
    rate = plan.decision.false_alarm_rate
    nulls = [block_null(detector, reference.rows, plan.window.rows) for detector in detectors]
    null = joint_null(nulls)
    threshold = null.threshold(rate)
    return None if threshold is None else Calibration(null, threshold, false_alarms(nulls, rate))
