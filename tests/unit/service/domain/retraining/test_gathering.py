"""Rows of the new model's traffic that become a reference, and why others do not."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors.anomaly.labels import OK, OUTLIER, RowLabels
from service.domain.anomaly_plan import AnomalyPlan
from service.domain.fitted_plan import fit
from service.domain.models import LOG_START, Batch, BatchPosition, LoggedBatch, ModelName, Reference
from service.domain.plan import DecisionPlan, DetectorPlan, Plan, WindowPlan
from service.domain.registration import Registration
from service.domain.retraining.gathering import MOST_BYTES, Gathering, why_never, why_not
from service.domain.schema import Column, Kind, Role, Schema
from service.domain.sent_columns import code_of
from service.domain.windows import RecentIdentifiers

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NUMBERS = Schema.of_numbers(("a", "b"))
PLAN = Plan(WindowPlan(20), (DetectorPlan("kolmogorov_smirnov"),), DecisionPlan(0.05))
BEGINS = BatchPosition("9-0")


def registration(schema: Schema = NUMBERS, plan: Plan = PLAN) -> Registration:
    return Registration(3, ModelName("m"), schema.features, "sha256:a", 1000, plan, LOG_START, NOON, schema)


def gathering(wanted: int, under: Registration | None = None, *seen: str) -> Gathering:
    return Gathering(under or registration(), wanted, BEGINS, RecentIdentifiers(1000, seen))


def rows(first: int, count: int, columns: int = 2) -> NDArray[np.float64]:
    return np.arange(first * columns, (first + count) * columns, dtype=np.float64).reshape(count, columns)


def logged(number: int, values: NDArray[np.float64], sender: bytes | None = None, **said: object) -> LoggedBatch:
    batch = Batch(f"batch {number}", values, NOON, sender=sender)
    return LoggedBatch(BatchPosition(f"{number + 10}-0"), replace(batch, **said))  # type: ignore[arg-type]


def labels(*each: int) -> RowLabels:
    count = len(each)
    return RowLabels(np.array(each, np.int8), np.zeros(count), np.zeros(count, np.uint64), np.zeros(count, np.bool_))


def test_it_takes_the_first_rows_behind_its_beginning_in_the_order_of_the_log_and_no_more() -> None:
    gathered = gathering(25)
    for number in range(3):
        gathered.take(logged(number, rows(10 * number, 10)), None)
    assert gathered.lacking == 0
    assert gathered.described().reference.rows.tolist() == rows(0, 25).tolist()
    assert gathered.told(BEGINS) == "25 rows behind 9-0"


def test_a_batch_that_was_seen_before_or_does_not_fit_counts_for_nothing() -> None:
    gathered = gathering(100, None, "batch 0")
    for number, values in enumerate([rows(0, 5), rows(5, 5), rows(0, 5, columns=3)]):
        gathered.take(logged(number, values), None)
    gathered.take(logged(1, rows(5, 5)), None)
    assert (gathered.lacking, gathered.position) == (95, "11-0")


def test_flagged_rows_rows_with_holes_and_rows_outside_the_schema_are_left_out_and_told() -> None:
    colour = Column("b", Kind.CATEGORICAL, binding=True, categories=("blue", "red"))
    whole = Column("c", Kind.INTEGER, binding=True)
    under = registration(Schema((Column("a"), colour, whole, Column("y", role=Role.LABEL))))
    red, nan = code_of("red"), float("nan")
    values = [[1, red, 3, nan], [2, red, 3, 1], [nan, red, 3, 1], [4, code_of("green"), 3, 1], [5, red, 3.5, 1]]
    gathered = gathering(40, under)
    gathered.take(logged(0, np.array(values)), labels(OK, OUTLIER, OK, OK, OK))
    assert gathered.left_out == {"flagged": 1, "with a missing value": 1, "that do not match the schema": 2}
    gathered.take(logged(1, np.array([values[0]] * 39)), labels(*[OK] * 39))
    assert (gathered.lacking, gathered.impossible()) == (0, "")
    made = gathered.described()
    assert made.reference.rows[:, 0].tolist() == [1.0] * 40
    assert made.reference.labels == ("y",)
    assert made.schema.columns[1] == colour, "all categories stay, whether they came or not"
    told = "40 rows behind 9-0; those behind 5-0 were dropped from the log before they were gathered; left out were "
    wanted = f"{told}1 flagged, 1 with a missing value, 2 that do not match the schema"
    assert gathered.told(BatchPosition("5-0")) == wanted


def test_where_too_many_rows_are_left_out_the_rest_is_no_reference() -> None:
    gathered = gathering(100)
    holes = np.full((11, 2), np.nan)
    gathered.take(logged(0, holes[:10]), None)
    assert gathered.impossible() == ""
    gathered.take(logged(1, holes[:1]), None)
    assert "11 with a missing value have to be left out" in gathered.impossible()


def test_rows_that_the_plan_flags_of_ordinary_ones_are_not_too_many() -> None:
    under = registration(plan=replace(PLAN, anomalies=AnomalyPlan(outlier_rate=0.05, typical_rate=0.05)))
    gathered = gathering(100, under)
    gathered.take(logged(0, rows(0, 20)), labels(*[OUTLIER] * 20))
    assert gathered.impossible() == ""
    gathered.take(logged(1, rows(20, 1)), labels(OUTLIER))
    assert "flagged" in gathered.impossible()


def test_no_client_gives_more_than_its_share() -> None:
    under = registration(plan=replace(PLAN, anomalies=AnomalyPlan(largest_client_share=0.25)))
    gathered = gathering(200, under)
    for number in range(100):
        gathered.take(logged(2 * number, rows(1000 * number, 5), bytes([number % 5])), None)
        gathered.take(logged(2 * number + 1, rows(1000 * number + 500, 20), b"loud"), None)
    assert gathered.lacking == 0
    kept = gathered.described().reference.rows[:, 0] // 2 % 1000
    assert 200 <= len(kept) <= 210
    assert (kept >= 500).mean() <= 0.25


def test_a_client_that_is_nearly_alone_is_told() -> None:
    under = registration(plan=replace(PLAN, anomalies=AnomalyPlan(largest_client_share=0.25)))
    gathered = gathering(100, under)
    for sender in range(4):
        gathered.take(logged(sender, rows(sender, 1), bytes([sender])), None)
    gathered.take(logged(9, rows(10, 500), b"loud"), None)
    assert "largest_client_share" in gathered.impossible()


def test_rows_with_times_are_brought_into_their_order() -> None:
    gathered = gathering(4, registration(Schema((Column("when", role=Role.TIME), Column("a"), Column("b")))))
    gathered.take(logged(0, rows(0, 2), times=np.array([7, 5])), None)
    gathered.take(logged(1, rows(2, 2), times=np.array([6, 5])), None)
    reference = gathered.described().reference
    assert reference.times is not None
    assert reference.times.tolist() == [5, 5, 6, 7]
    assert reference.rows[:, 0].tolist() == [2, 6, 4, 0]


def test_a_plan_that_is_calibrated_asks_for_as_many_rows_as_calibrate_it() -> None:
    random = np.random.default_rng(1)
    under, long, short = registration(), random.normal(size=(1000, 2)), random.normal(size=(200, 2))
    calibrated, too_short = (fit(PLAN, Reference(("a", "b"), each)) for each in (long, short))
    needed = calibrated.blocks_needed * 20
    assert calibrated.calibration is not None
    assert why_never(under, needed, calibrated) == ""
    assert f"must be at least {needed}" in why_never(under, needed - 1, calibrated)
    assert why_never(under, needed - 1, too_short) == "", "what is not calibrated today may stay so"
    assert "must be at most" in why_never(under, MOST_BYTES // 16 + 1, calibrated)
    assert why_not(calibrated, too_short, "200 rows") == (
        "the new rows do not calibrate the plan, which the reference of now does: 200 rows"
    )
    assert why_not(too_short, too_short, "") == why_not(too_short, calibrated, "") == ""


@pytest.mark.parametrize("wanted", [7, 100])
def test_a_million_rows_in_a_batch_are_no_more_than_are_wanted(wanted: int) -> None:
    gathered = gathering(wanted)
    gathered.take(logged(0, rows(0, 1_000_000)), None)
    assert gathered.described().reference.rows.tolist() == rows(0, wanted).tolist()
