"""What the golden state files hold, written out: builders that other tests share may change, this must not.

New fields of a document are absent here, so that reading an old file shows their defaults.
"""

from datetime import UTC, datetime, timedelta

import numpy as np

from service.domain.models import (
    Batch,
    BatchPosition,
    Cursor,
    Decision,
    Delivery,
    DetectorMeasurement,
    FeatureMeasurement,
    Finding,
    ModelName,
    Reference,
    ResponseState,
    RetrainRequest,
    TriggerOutcome,
    TriggerReceipt,
    Verdict,
)
from service.domain.plan import DecisionPlan, DetectorPlan, Plan, WindowPlan
from service.domain.registration import Registration
from service.domain.retraining.response_plan import ResponsePlan

MODEL = ModelName("churn.v2")
NOON = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

BATCH = Batch("größe 1", np.array([[1.0, -0.0, 2.5e-309], [float("nan"), 1e308, -7.0]]), NOON, TRACEPARENT)
UNTRACED = Batch("2", np.array([[1.0, 2.0, 3.0]]), NOON + timedelta(milliseconds=1))
REFERENCE = Reference(("a", "größe", "c"), np.arange(300.0).reshape(100, 3))
REFERENCE_DIGEST = "sha256:1b08bad0f1ce41395cf8e3d31cfe4d65e53970622477d5bb7c7fbe87507a6818"
REGISTRATION = Registration(
    revision=3,
    model=MODEL,
    features=REFERENCE.features,
    reference_digest=REFERENCE_DIGEST,
    reference_rows=100,
    plan=Plan(
        WindowPlan(rows=64),
        (
            DetectorPlan("kolmogorov_smirnov", {"alternative": "greater"}, ("a", "c"), 0.1),
            DetectorPlan("maximum_mean_discrepancy", {"permutations": 50, "bandwidth": None}, None, 0.0),
        ),
        DecisionPlan(0.01),
        ResponsePlan(retrain=True, confirm=2, out_of=4, cool_down=7),
    ),
    since=BatchPosition("1772366400000-3"),
    registered_at=NOON,
)
ACTION = RetrainRequest(
    "retrain-churn-v2-5",
    MODEL,
    5,
    NOON,
    NOON + timedelta(seconds=1),
    "sha256:a",
    "sha256:b",
    ("größe", "c"),
    TRACEPARENT,
)
VERDICT = Verdict(
    number=5,
    model=MODEL,
    cursor=Cursor(BatchPosition("1772366400250-1"), 7),
    first_row=256,
    rows=64,
    batches=3,
    duplicates=1,
    misfits=2,
    started_at=NOON,
    ended_at=NOON + timedelta(seconds=1),
    decided_at=NOON + timedelta(seconds=2),
    reference_digest="sha256:a",
    plan_digest="sha256:b",
    registration_revision=3,
    decision=Decision(
        Finding.DRIFT,
        "why",
        True,
        0.05,
        1e-300,
        (
            DetectorMeasurement(
                "kolmogorov_smirnov",
                "kstwo",
                2**62,
                1000,
                64,
                (
                    FeatureMeasurement("größe", 0.1 + 0.2, 5e-324, 1e-300, None, 3, drifted=True),
                    FeatureMeasurement(None, None, None, None, None, 64, drifted=False),
                ),
            ),
        ),
    ),
    response=ResponseState((True, False), 23),
    action=ACTION,
)
DELIVERY = Delivery(5, TriggerReceipt(TriggerOutcome.CREATED, "retrain-churn-v2-5", "ml", "Job", "größe\n"), NOON)
