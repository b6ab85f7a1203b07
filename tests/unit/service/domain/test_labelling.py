"""Labels in the order of the log: the same from wherever one begins, and never of what came later."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors.anomaly.labels import DUPLICATE, NAMES, OK, OUTLIER
from service.domain import labelling
from service.domain.anomaly_plan import AnomalyPlan
from service.domain.labelling import LabelledLog, RowLabelling, flagged_rows
from service.domain.models import Batch, BatchPosition, FlaggedRows, LoggedBatch, Reference
from service.domain.plan import Plan, check
from service.domain.quarantine import LISTED_ROWS, quarantined
from service.http.routes.models import read_plan

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PLAN = AnomalyPlan(outlier_rate=0.01, typical_rate=0.01)


@pytest.fixture(scope="module")
def fitted() -> RowLabelling:
    return RowLabelling.fit(PLAN, Reference(("a", "b"), np.random.default_rng(1).normal(size=(500, 2))))


def logged(number: int, rows: NDArray[np.float64]) -> LoggedBatch:
    return LoggedBatch(BatchPosition(f"{number + 1}-0"), Batch(f"batch {number}", rows, NOON))


def with_repetitions(batches: int) -> list[LoggedBatch]:
    """Of few different rows, so that most come again sooner or later."""
    generator = np.random.default_rng(2)
    some = generator.normal(size=(40, 2))
    return [logged(number, some[generator.integers(0, 40, generator.integers(1, 9))]) for number in range(batches)]


def labels(log: LabelledLog, batches: list[LoggedBatch]) -> list[list[int]]:
    return [each.labels.tolist() for each in log.label(batches) if each is not None]


def test_whoever_begins_later_with_the_rows_before_gives_the_same_labels(
    fitted: RowLabelling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labelling, "REMEMBERED_ROWS", 12)
    batches = with_repetitions(60)
    batches[40] = logged(40, np.concatenate([each.batch.rows for each in batches[:20]]))  # more than are remembered
    all_along = labels(LabelledLog(fitted), batches)
    assert {label for each in all_along for label in each} >= {OK, DUPLICATE}
    for begins in (7, 30, 41, 42, 59):
        rows, first = 0, begins
        while rows < 12 and first > 0:
            first -= 1
            rows += len(batches[first].batch.rows)
        later = LabelledLog(fitted)
        labels(later, batches[first:begins])
        assert labels(later, batches[begins:]) == all_along[begins:]


def test_it_does_not_matter_how_many_batches_are_labelled_at_once(fitted: RowLabelling) -> None:
    batches, log = with_repetitions(60), LabelledLog(fitted)
    one_by_one = [label for each in batches for label in labels(log, [each])]
    assert one_by_one == labels(LabelledLog(fitted), batches)


def test_the_first_of_equal_rows_is_none_and_the_others_are_duplicates(fitted: RowLabelling) -> None:
    row = np.array([[0.3, -0.8]])
    log = LabelledLog(fitted)
    assert labels(log, [logged(0, np.repeat(row, 3, axis=0)), logged(1, row)]) == [
        [OK, DUPLICATE, DUPLICATE],
        [DUPLICATE],
    ]


def test_rows_are_forgotten_after_so_many_others(fitted: RowLabelling, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labelling, "REMEMBERED_ROWS", 12)
    row, others = np.array([[0.3, -0.8]]), np.random.default_rng(3).normal(size=(12, 2))
    assert labels(LabelledLog(fitted), [logged(0, row), logged(1, others), logged(2, row)])[2] == [OK]


def test_of_a_batch_with_more_rows_than_are_remembered_the_last_ones_are(
    fitted: RowLabelling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labelling, "REMEMBERED_ROWS", 12)
    before, rows = np.array([[0.3, -0.8]]), np.random.default_rng(3).normal(size=(100, 2))
    rows[50], rows[60] = before[0], rows[40]
    log = LabelledLog(fitted)
    usual = [OK if label == DUPLICATE else label for label in fitted.label(rows).labels.tolist()]
    usual[50] = usual[60] = DUPLICATE  # of what came before it, and of the batch itself
    assert labels(log, [logged(0, before), logged(1, rows)])[1] == usual
    assert len(log._occurrences) == 12
    assert labels(log, [logged(2, np.concatenate([rows[87:88], rows[88:89]]))])[0] == [usual[87], DUPLICATE]


def test_rows_with_a_hole_repeat_one_another_only_where_those_of_the_reference_do_not(fitted: RowLabelling) -> None:
    hole = np.array([[0.5, np.nan]] * 2)
    assert labels(LabelledLog(fitted), [logged(0, hole)]) == [[OK, DUPLICATE]]
    rows = np.random.default_rng(1).normal(size=(500, 2))
    rows[:50] = hole[0]
    with_holes = RowLabelling.fit(PLAN, Reference(("a", "b"), rows))
    assert labels(LabelledLog(with_holes), [logged(0, hole)]) == [[OK, OK]]


def test_a_batch_of_other_columns_has_no_labels(fitted: RowLabelling) -> None:
    others, own = logged(0, np.zeros((3, 5))), logged(1, np.zeros((1, 2)))
    assert [each is None for each in LabelledLog(fitted).label([others, own, others])] == [True, False, True]
    assert LabelledLog(fitted).label([others]) == [None]


def test_labels_of_the_model_are_not_looked_at() -> None:
    rows = np.random.default_rng(4).normal(size=(500, 2))
    rows[:, 1] = np.nan
    fitted = RowLabelling.fit(PLAN, Reference(("a", "label"), rows, labels=("label",)))
    (found,) = LabelledLog(fitted).label([logged(0, np.array([[0.5, 1e9], [1e9, 0.0]]))])
    assert found is not None
    assert found.labels.tolist() == [OK, OUTLIER]


def test_what_is_kept_apart_says_where_and_why_and_is_bounded(fitted: RowLabelling) -> None:
    rows = np.concatenate([[[0.5, 0.5]], np.arange(400.0).reshape(-1, 2) + 1e6])
    times = np.arange(len(rows), dtype=np.int64)
    batch = logged(4, rows)
    batch = replace(batch, batch=replace(batch.batch, times=times))
    (found,) = LabelledLog(fitted).label([batch])
    assert found is not None
    flagged = flagged_rows(found)
    assert flagged == FlaggedRows(outlier=200)
    kept = quarantined(batch, found, flagged)
    assert (kept.identifier, kept.position, kept.flagged) == ("batch 4", "5-0", flagged)
    assert len(kept.rows) == LISTED_ROWS
    assert (kept.rows[0].row, kept.rows[0].label, kept.rows[0].time_ms) == (1, NAMES[OUTLIER], 1)


def test_what_a_plan_says_of_anomalies_is_in_its_digest() -> None:
    assert Plan(anomalies=AnomalyPlan()).digest != Plan().digest
    assert Plan(anomalies=AnomalyPlan()).digest != Plan(anomalies=AnomalyPlan(quarantine=False)).digest


def test_plans_of_the_page_about_anomalies_can_be_carried_out() -> None:
    page = (Path(__file__).parents[4] / "docs" / "anomalies.md").read_text(encoding="utf-8")
    plans = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    assert len(plans) == 2
    for plan in plans:
        check(read_plan(plan.encode()).to_domain())
