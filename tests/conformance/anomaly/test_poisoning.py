"""Poisoned rows: found in windows, and left out of what learns, so that their effect is bounded.

A few references each; `python -m benchmarks.anomalies` measures the same at full size.
"""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.poisoned_rows import ATTACKS, FEATURES, Source, poisoned
from detectors.anomaly.labels import NAMES, OK
from detectors.registry import create
from service.domain.anomaly_plan import AnomalyPlan
from service.domain.fitted_plan import fit
from service.domain.judgement import judged
from service.domain.labelling import LabelledLog, RowLabelling
from service.domain.models import Batch, BatchPosition, BudgetState, Cursor, Finding, LoggedBatch, Reference, Window
from service.domain.plan import DecisionPlan, DetectorPlan, FalseAlarmBudget, Plan, WindowPlan

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DETECTORS = ("outlying_rows", "too_typical_rows", "repeated_rows")
NAMED = tuple(f"f{number}" for number in range(FEATURES))
LEVEL = 1e-4


@pytest.fixture(scope="module")
def source() -> Source:
    return Source(7)


@pytest.fixture(scope="module")
def reference(source: Source) -> Reference:
    return Reference(NAMED, source.rows(5000))


@pytest.fixture(scope="module")
def labelling(reference: Reference) -> RowLabelling:
    return RowLabelling.fit(AnomalyPlan(), reference)


def smallest_p(fitted: list, rows: NDArray[np.float64]) -> float:
    found = (detector.test(own, detector.summarise(own, rows)).p_value[0] for detector, own in fitted)
    return float(min(found)) * len(DETECTORS)


def test_windows_with_poisoned_rows_are_found_and_clean_ones_are_not(source: Source, reference: Reference) -> None:
    detectors = [create(name, {}) for name in DETECTORS]
    fitted = [(detector, detector.fit(reference.rows)) for detector in detectors]
    assert not any(smallest_p(fitted, source.rows(1000)) < LEVEL for _ in range(50))
    for name, attack in ATTACKS.items():
        found = {
            share: sum(
                smallest_p(fitted, poisoned(source, source.rows(1000), attack, share)) < LEVEL for _ in range(10)
            )
            for share in (0.02, 0.05)
        }
        assert found[0.02] >= 7, (name, found)
        assert found[0.05] == 10, (name, found)


def kept(labelling: RowLabelling, rows: NDArray[np.float64]) -> NDArray[np.bool_]:
    """What an export gives of these rows, which came in batches of 50."""
    log, found = LabelledLog(labelling), []
    for number, first in enumerate(range(0, len(rows), 50)):
        batch = Batch(f"batch {number}", rows[first : first + 50], NOON)
        (labels,) = log.label([LoggedBatch(BatchPosition(f"{number + 1}-0"), batch)])
        assert labels is not None
        found.append(labels.labels == OK)
    return np.concatenate(found)


def moved(clean: NDArray[np.float64], rows: NDArray[np.float64]) -> float:
    """The largest change of a feature's mean, in deviations."""
    return float((np.abs(rows.mean(axis=0) - clean.mean(axis=0)) / clean.std(axis=0)).max())


@pytest.mark.parametrize(
    ("attack", "most_left"), [("stuck", 0.01), ("replay", 0.01), ("broken correlation", 0.3), ("one feature 8 sd", 0.6)]
)
def test_of_a_candidate_set_with_five_percent_poisoned_rows_few_are_left(
    source: Source, labelling: RowLabelling, attack: str, most_left: float
) -> None:
    clean = source.rows(4000)
    rows = poisoned(source, clean, ATTACKS[attack], 0.05)
    exported = kept(labelling, rows)
    hostile = np.arange(len(rows)) < 200
    assert exported[hostile].mean() <= most_left
    assert exported[~hostile].mean() > 0.99
    assert moved(clean, rows[exported]) <= max(0.05, 0.6 * moved(clean, rows))


def test_one_in_ten_clients_that_sends_rows_far_out_moves_next_to_nothing(
    source: Source, labelling: RowLabelling
) -> None:
    clean = source.rows(4000)
    rows = clean.copy()
    hostile = np.arange(len(rows)) // 50 % 10 == 0
    rows[hostile, 3] += 60 * clean[:, 3].std()
    assert moved(clean, rows) > 5
    exported = kept(labelling, rows)
    assert not exported[hostile].any()
    assert moved(clean, rows[exported]) < 0.1


def test_rows_of_the_reference_that_are_sent_again_teach_nothing(reference: Reference, labelling: RowLabelling) -> None:
    log = LabelledLog(labelling)
    (found,) = log.label([LoggedBatch(BatchPosition("1-0"), Batch("replay", reference.rows[100:200], NOON))])
    assert found is not None
    assert {NAMES[label] for label in found.labels.tolist()} == {"duplicate"}


def test_a_walk_too_slow_for_any_window_is_found_early_by_a_reference_that_does_not_move() -> None:
    """A hundredth of a deviation a window: a reference of the window before would be walked away with."""
    generator = np.random.default_rng(9)
    budget = DecisionPlan(false_alarms=FalseAlarmBudget(per_windows=1000))
    plan = Plan(WindowPlan(rows=300), (DetectorPlan("kolmogorov_smirnov"),), budget)
    fitted = fit(plan, Reference(("a", "b", "c"), generator.normal(size=(15_000, 3))))
    state: BudgetState | None = BudgetState()
    for number in range(1, 301):
        rows = generator.normal(0.01 * number, 1, (300, 3))
        decision, state = judged(fitted, window(rows, number), state or BudgetState())
        if decision.finding is Finding.DRIFT:
            break
    assert number < 40  # at 0.4 deviations, where the walk ends at 3


def window(rows: NDArray[np.float64], number: int) -> Window:
    began, ended = NOON + timedelta(hours=number), NOON + timedelta(hours=number + 1)
    return Window(rows, len(rows), len(rows), Cursor(), Cursor(), began, ended, 1, 0, 0, 0, 0, ())
