"""A plan fitted on its reference: everything that judging one model's windows needs, ready to use."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import inf, log, log2
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
    effective_blocks,
    false_alarms,
    joint_null,
    level_held,
    side_by_side,
)
from detectors.errors import DetectorError, TooFewRows
from detectors.evidence import Evidence, block_scores
from detectors.power import moving_features, smallest_shifts
from detectors.protocols import Detector
from detectors.registry import create
from detectors.results import DriftResult, Scope
from service.domain.errors import Fault, InvalidReference
from service.domain.labelling import RowLabelling
from service.domain.models import EstimatedPerformance, Reference
from service.domain.performance import FittedPerformance
from service.domain.plan import Plan, WindowPlan, check_features
from service.domain.row_times import Times
from service.domain.season import FittedSeasons, alike, fit_seasons

MINIMUM_BUDGET_BLOCKS = 20
"""Fewer say too little of what a window's scores are worth over time."""


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What one detector can see in windows of the blocks' size."""

    detector: str
    false_alarms: FalseAlarms | None
    """If it were the plan's only one, at the plan's rate of one window."""
    smallest_shift: float | None
    """In standard deviations, of the feature that is hardest to see: found in one window, or under a budget in two.

    None: none of those that were tried."""
    hardest_feature: str | None
    """Which one that is; None for a detector that looks at all features together, all of which were shifted."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What calm blocks of the reference do."""

    null: JointNull
    threshold: float
    """Of the largest standardised statistic: beyond it a window is as surprising as the plan's rate asks for. Infinite
    where there are too few blocks for the rate, and a budget takes its place."""
    false_alarms: FalseAlarms | None
    """Each block judged by the others, under a budget one after another; None where they are too few for that."""
    evidence: Evidence
    """What scores are worth over time."""
    effective_blocks: float
    """Blocks that are independent of each other and say as much."""
    sensitivities: tuple[Sensitivity, ...] = ()
    """Of each detector; none for blocks of another size than the plan's."""


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
    """Contiguous blocks that this plan's false-alarm rate, or its budget, needs."""
    detectors: tuple[FittedDetector, ...]
    """In the plan's order."""
    seasons: FittedSeasons | None = None
    """None: rows are compared with all of the reference."""
    performance: FittedPerformance | None = None
    """None where the plan asks for none, or for one that cannot be estimated."""
    labelling: RowLabelling | None = None
    """None where the plan labels no rows."""

    @property
    def blocks(self) -> int:
        """Blocks that the reference has."""
        return self.reference_rows // self.block_rows

    def compared(self, rows: Rows, times: Times | None) -> Rows:
        """Window rows, shape (rows, features), as detectors see them; raises `InvalidRows`.

        `times`: of each, in milliseconds since the epoch; wanted where the plan has seasons.
        """
        return rows if self.seasons is None else self.seasons.carried(rows, times)

    def measure(self, rows: Rows, times: Times | None = None) -> Sequence[DriftResult]:
        """Test window rows with every detector of the plan; as `compared`, and raises `DetectorError`."""
        seen = self.compared(rows, times)
        return [fitted.test(seen) for fitted in self.detectors]

    def performance_on(self, rows: Rows) -> EstimatedPerformance | None:
        """As far as predictions tell it; None where nothing is asked of them."""
        return None if self.performance is None else self.performance.estimate(rows)


def fit(plan: Plan, reference: Reference, backend: Backend = HOST, *, calibrates: bool = True) -> FittedPlan:
    """Fit every detector and, where the reference is long enough, calibrate them against its own blocks.

    They compute where `backend` is. `calibrates` False: without the blocks, which nobody needs who only summarises.
    Columns of performance are named (`with_columns`). Raises `InvalidPlan` if the plan looks at features that the
    reference does not have, or at seasons that it says too little of, and `InvalidReference` if a detector, or
    performance, cannot be fitted on it.
    """
    check_features(plan, reference.features)
    tested = tuple(name for name in reference.features if name not in reference.labels)
    fitted: list[FittedDetector] = []
    nulls: list[BlockNull | None] = []
    needed = max(blocks_needed(plan.decision.false_alarm_rate), MINIMUM_BLOCKS)
    if plan.decision.false_alarms is not None:
        needed = MINIMUM_BUDGET_BLOCKS
    rows = len(reference.rows)
    block_rows = block_size(plan.window, plan.window.most_tested_rows, rows, needed)
    has_blocks = calibrates and rows // block_rows >= needed
    seasons = fit_seasons(plan.decision.season, reference, block_rows)
    compared = alike(reference, seasons, block_rows)
    for planned in plan.detectors:
        try:
            detector = create(planned.name, dict(planned.parameters))
            features = planned.features or tested
            columns = _columns(features, reference.features)
            seen = _seen(compared, columns, backend)
            fitted.append(FittedDetector(detector, detector.fit(seen), features, columns))
            nulls.append(_block_null(detector, seen, block_rows) if has_blocks else None)
        except DetectorError as error:
            raise InvalidReference(Fault("rows", f"{planned.name} cannot be fitted: {error}")) from error
    calibration = _calibration(nulls, plan)
    if calibration is not None:
        seen_by = [_seen(compared, each.columns, backend) for each in fitted]
        sensitivities = _sensitivities(plan, calibration, fitted, nulls, seen_by)
        calibration = replace(calibration, sensitivities=sensitivities)
    performance = None
    if plan.performance is not None and plan.performance.estimates:
        performance = FittedPerformance.fit(plan.performance, reference, plan.window.most_tested_rows)
    labelling = None if plan.anomalies is None else RowLabelling.fit(plan.anomalies, reference)
    return FittedPlan(
        plan, reference.features, rows, calibration, block_rows, needed, tuple(fitted), seasons, performance, labelling
    )


def calibrated_at(fitted: FittedPlan, block_rows: int, reference: Reference, backend: Backend = HOST) -> FittedPlan:
    """The same detectors, calibrated with blocks of another size; not calibrated where that cannot be done."""
    reference = alike(reference, fitted.seasons, block_rows)
    try:
        nulls = [
            _block_null(each.detector, _seen(reference, each.columns, backend), block_rows) for each in fitted.detectors
        ]
    except DetectorError:
        nulls = [None]
    calibration = _calibration(nulls, fitted.plan)
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


def _calibration(nulls: Sequence[BlockNull | None], plan: Plan) -> Calibration | None:
    found = [null for null in nulls if null is not None]
    if len(found) < len(nulls):
        return None
    null, rate = joint_null(found), plan.decision.false_alarm_rate
    level = level_held(rate, null.blocks)
    threshold = null.threshold(level) if level > 0 else None
    if threshold is None and plan.decision.false_alarms is None:
        return None
    statistics = side_by_side(found)
    evidence = Evidence.of_blocks(statistics, null.widths)
    needed = _evidence_needed(plan, statistics.shape[1])
    if needed is None:
        alarms = _alarms_of_blocks(found, rate)
    else:
        alarms = FalseAlarms.of(evidence.windows_reaching(block_scores(statistics), needed), null.blocks)
    beyond_all = inf if threshold is None else threshold
    return Calibration(null, beyond_all, alarms, evidence, effective_blocks(statistics))


def _alarms_of_blocks(nulls: Sequence[BlockNull], rate: float) -> FalseAlarms | None:
    """Each judged by the others as a window is by all of them; None where they are too few."""
    level = level_held(rate, nulls[0].blocks - 1)
    return false_alarms(nulls, level) if level > 0 else None


def _evidence_needed(plan: Plan, numbers: int) -> float | None:
    """For an alarm under the plan's budget; None if it has none. Where nobody knows how long windows last, an hour."""
    budget = plan.decision.false_alarms
    if budget is None:
        return None
    return log(numbers * budget.windows_per_alarm(plan.window.every_seconds or 3600.0))


def _sensitivities(
    plan: Plan,
    calibration: Calibration,
    fitted: Sequence[FittedDetector],
    nulls: Sequence[BlockNull | None],
    rows: Sequence[Any],
) -> tuple[Sensitivity, ...]:
    null = calibration.null
    needed = _evidence_needed(plan, len(null.means))
    scores = np.full(len(null.means), calibration.threshold)
    if needed is not None:
        scores = calibration.evidence.score_for(needed / 2)
    places = np.cumsum(null.widths)[:-1]
    enough = np.split(null.means + scores * null.deviations, places)
    found = []
    for each, own, seen, statistics in zip(fitted, nulls, rows, enough, strict=True):
        assert own is not None  # noqa: S101 - there is a calibration, and so a null of every detector
        try:
            shifts = smallest_shifts(each.detector, each.reference, seen, own.window_rows, partial(np.less, statistics))
        except (DetectorError, ArithmeticError):  # what only the planted rows defeat is not seen
            shifts = np.full(len(statistics), np.nan)
        by_feature = each.detector.scope is Scope.FEATURE
        moving = moving_features(seen) if by_feature else np.ones(len(shifts), dtype=bool)
        hardest = int(np.argmax(np.where(moving, np.where(np.isnan(shifts), inf, shifts), -inf)))
        feature = each.features[hardest] if by_feature and moving[hardest] else None
        smallest = None if np.isnan(shifts[hardest]) else float(shifts[hardest])
        alone = _alarms_of_blocks([own], plan.decision.false_alarm_rate)
        found.append(Sensitivity(each.detector.name, alone, smallest, feature))
    return tuple(found)
