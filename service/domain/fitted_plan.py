"""A plan fitted on its reference: everything that judging one model's windows needs, ready to use."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import log2
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import HOST, Backend, Rows
from detectors.calibration import (
    MINIMUM_BLOCKS,
    BlockNull,
    FalseAlarms,
    JointNull,
    block_null,
    blocks_needed,
    false_alarms,
    joint_null,
)
from detectors.errors import DetectorError, TooFewRows
from detectors.protocols import Detector
from detectors.registry import create
from detectors.results import DriftResult
from service.domain.errors import Fault, InvalidReference
from service.domain.models import Reference
from service.domain.plan import Plan, WindowPlan, check_features


@dataclass(frozen=True, slots=True)
class Calibration:
    """What calm blocks of the reference do."""

    null: JointNull
    threshold: float
    """Of the largest standardised statistic: beyond it a window is as surprising as the plan's budget asks for."""
    false_alarms: FalseAlarms | None
    """Each block judged by the others; None where these are too few for that."""


@dataclass(frozen=True, slots=True)
class FittedDetector:
    """One detector of the plan, fitted on the features that it looks at."""

    detector: Detector[Any, Any]
    reference: Any
    features: tuple[str, ...]
    columns: NDArray[np.intp] | None
    """Where they are among the plan's features; None if they are all of these."""

    def test(self, rows: Rows) -> DriftResult:
        """Test window rows that hold all of the plan's features."""
        return self.detector.test(self.reference, self.summarise(rows))

    def summarise(self, rows: Rows) -> Any:
        """Summarise rows that hold all of the plan's features."""
        seen = rows if self.columns is None else rows[:, self.columns]
        return self.detector.summarise(self.reference, seen)


@dataclass(frozen=True, slots=True)
class FittedPlan:
    """Immutable, shared by threads."""

    plan: Plan
    features: tuple[str, ...]
    reference_rows: int
    calibration: Calibration | None
    """None where the reference is too short for the window and the budget."""
    block_rows: int
    """Rows of the blocks that it was or would be calibrated with."""
    blocks_needed: int
    """Contiguous blocks that this plan's false-alarm rate needs."""
    detectors: tuple[FittedDetector, ...]
    """In the plan's order."""

    @property
    def blocks(self) -> int:
        """Blocks that the reference has."""
        return self.reference_rows // self.block_rows

    def measure(self, rows: Rows) -> Sequence[DriftResult]:
        """Test window rows, shape (rows, features), with every detector of the plan; raises `DetectorError`."""
        return [fitted.test(rows) for fitted in self.detectors]


def fit(plan: Plan, reference: Reference, backend: Backend = HOST, *, calibrates: bool = True) -> FittedPlan:
    """Fit every detector and, where the reference is long enough, calibrate them against its own blocks.

    They compute where `backend` is. `calibrates` False: without the blocks, which nobody needs who only summarises.
    Raises `InvalidPlan` if the plan looks at features that the reference does not have, and `InvalidReference` if a
    detector cannot be fitted on it.
    """
    check_features(plan, reference.features)
    tested = tuple(name for name in reference.features if name not in reference.labels)
    fitted: list[FittedDetector] = []
    nulls: list[BlockNull | None] = []
    needed = max(blocks_needed(plan.decision.false_alarm_rate), MINIMUM_BLOCKS)
    rows = len(reference.rows)
    block_rows = block_size(plan.window, plan.window.most_tested_rows, rows, needed)
    has_blocks = calibrates and rows // block_rows >= needed
    for planned in plan.detectors:
        try:
            detector = create(planned.name, dict(planned.parameters))
            features = planned.features or tested
            columns = _columns(features, reference.features)
            seen = _seen(reference, columns, backend)
            fitted.append(FittedDetector(detector, detector.fit(seen), features, columns))
            nulls.append(_block_null(detector, seen, block_rows) if has_blocks else None)
        except DetectorError as error:
            raise InvalidReference(Fault("rows", f"{planned.name} cannot be fitted: {error}")) from error
    calibration = _calibration(nulls, plan.decision.false_alarm_rate)
    return FittedPlan(plan, reference.features, rows, calibration, block_rows, needed, tuple(fitted))


def calibrated_at(fitted: FittedPlan, block_rows: int, reference: Reference, backend: Backend = HOST) -> FittedPlan:
    """The same detectors, calibrated with blocks of another size; not calibrated where that cannot be done."""
    try:
        nulls = [
            _block_null(each.detector, _seen(reference, each.columns, backend), block_rows) for each in fitted.detectors
        ]
    except DetectorError:
        nulls = [None]
    calibration = _calibration(nulls, fitted.plan.decision.false_alarm_rate)
    return replace(fitted, calibration=calibration, block_rows=block_rows)


def block_size(
    window: WindowPlan, tested_rows: int, reference_rows: int, blocks: int, *, of_any_size: bool = False
) -> int:
    """Rows of the blocks that a window of so many tested rows is judged by.

    Where windows vary, the largest of a few sizes that is no larger than the window, and of which the reference has
    enough blocks: what a detector measures in fewer rows varies more, so that such blocks raise fewer alarms.
    `of_any_size`: the rows are no window of the plan, and may be more or fewer than it has.
    """
    if not (window.varies or of_any_size):
        return window.most_tested_rows
    most = window.most_tested_rows
    doublings = int(2 * log2(most / window.minimum_rows))
    sizes = {most, *(round(window.minimum_rows * 2 ** (half / 2)) for half in range(doublings + 1))}
    sizes |= {window.rows} if window.rows is not None else set()  # what a window by count of summaries has as a rule
    usable = [size for size in sizes if size <= min(tested_rows, most) and reference_rows // size >= blocks]
    return max(usable, default=window.minimum_rows)


def _seen(reference: Reference, columns: NDArray[np.intp] | None, backend: Backend) -> Any:
    return backend.put(reference.rows if columns is None else reference.rows[:, columns])


def _columns(chosen: tuple[str, ...], features: tuple[str, ...]) -> NDArray[np.intp] | None:
    if chosen == features:
        return None
    place = {name: index for index, name in enumerate(features)}
    return np.array([place[name] for name in chosen], dtype=np.intp)


def _block_null(detector: Detector[Any, Any], rows: Any, block_rows: int) -> BlockNull | None:
    """None where a block has too little to measure: then there is no calibration, and every verdict says so."""
    try:
        return block_null(detector, rows, block_rows)
    except TooFewRows:
        return None


def _calibration(nulls: Sequence[BlockNull | None], rate: float) -> Calibration | None:
    found = [null for null in nulls if null is not None]
    if len(found) < len(nulls):
        return None
    null = joint_null(found)
    threshold = null.threshold(rate)
    return None if threshold is None else Calibration(null, threshold, false_alarms(found, rate))
