"""Batches, verdicts, deliveries and registrations to store."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from detectors import codec
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
from service.domain.plan import DetectorPlan, Plan
from service.domain.registration import Registration, encode_reference
from service.domain.retraining.drift_event import alarm_of
from service.domain.retraining.gate import Check, Evidence, Refusal
from service.domain.retraining.record import Asked, Entry, Line, written
from service.domain.retraining.run import Progress, RunSeen
from service.domain.retraining.transitions import asked, ended, permitted, refused, released, started
from service.domain.schema import Schema

MODEL = ModelName("churn.v2")
OTHER_MODEL = ModelName("fraud")
NOON = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def batch(number: int = 0, count: int = 2, **changes: Any) -> Batch:
    """Rows with extreme values among them: what comes back must be the very bits."""
    rows = np.full((count, 3), float(number))
    rows[0] = [number, -0.0, np.finfo(float).tiny / 8]
    return replace(Batch(f"batch {number}", rows, NOON + timedelta(milliseconds=number), TRACEPARENT), **changes)


def request(number: int = 1) -> RetrainRequest:
    return RetrainRequest(f"retrain-{number}", MODEL, number, NOON, NOON, "sha256:a", "sha256:b", ("ä", "b"), None)


def verdict(number: int = 1, **changes: Any) -> Verdict:
    measured = FeatureMeasurement("ä", 0.1 + 0.2, 5e-324, 1e-300, None, 3, drifted=True)
    detector = DetectorMeasurement("kolmogorov_smirnov", "kstwo", 2**62, 1000, 50, (measured,))
    made = Verdict(
        number=number,
        model=MODEL,
        cursor=Cursor(BatchPosition(f"1772366400250-{number}"), 7),
        first_row=(number - 1) * 50,
        rows=50,
        batches=3,
        duplicates=1,
        misfits=2,
        started_at=NOON,
        ended_at=NOON + timedelta(seconds=1),
        decided_at=NOON + timedelta(seconds=2),
        reference_digest="sha256:a",
        plan_digest="sha256:b",
        registration_revision=4,
        decision=Decision(Finding.DRIFT, "why", True, 0.05, 0.01, (detector,)),
        response=ResponseState((True, False), 23),
        action=request(number),
    )
    return replace(made, **changes)


def delivery(number: int = 1) -> Delivery:
    return Delivery(number, TriggerReceipt(TriggerOutcome.DRY_RUN, f"retrain-{number}", None, "Job", "a: ä\n"), NOON)


def entries(model: ModelName = MODEL) -> list[Entry]:
    """A chain: a drift event with its run up to the end, and a run that somebody asked for and that is refused."""
    event = replace(request(3), model=model)
    by_hand = replace(event, name="retrain-ä", verdict_number=0)
    advisory = Refusal(Check.VETTING, "vetting_expired", "ä\n")
    evidence = Evidence("sha256:t", ("registry/train@sha256:i",), "sha256:d", 4, "approver", "sha256:m", (advisory,))
    receipt = TriggerReceipt(TriggerOutcome.CREATED, event.name, "ml", "Job", "ä", "uid", "17", "sha256:j")
    over = RunSeen(model, event.name, Progress.FAILED, "uid", NOON, "ä\n")
    steps: list[Callable[[Line | None], Entry]] = [
        lambda line: permitted(line, event, evidence, NOON, alarm=alarm_of(verdict(3, model=model)), suspended=True),
        lambda line: started(line, receipt, NOON),
        lambda line: asked(line, Asked(by_hand, "ops", "größer"), NOON),
        lambda line: refused(line, by_hand, Refusal(Check.PACE, "under_way", "why"), NOON, evidence=evidence),
        lambda line: released(line, event.name, NOON, "ops"),
        lambda line: ended(line, over, NOON, renews=False),
    ]
    made: list[Entry] = []
    line: Line | None = None
    for step in steps:
        line = written(step(line))
        made.append(line.entry)
    return made


def reference(seed: int = 0) -> Reference:
    return Reference(("a", "größe", "c"), np.random.default_rng(seed).normal(size=(150, 3)))


def registration(revision: int = 1, seed: int = 0, **changes: Any) -> Registration:
    rows = reference(seed)
    parameters = {"permutations": 50, "bandwidth": None}
    plan = Plan(detectors=(DetectorPlan("maximum_mean_discrepancy", parameters, minimum_effect=0.5),))
    made = Registration(
        revision=revision,
        model=MODEL,
        features=rows.features,
        reference_digest=codec.digest(encode_reference(rows)),
        reference_rows=len(rows.rows),
        plan=plan,
        since=BatchPosition("17-3"),
        registered_at=NOON,
    )
    return replace(made, **{"schema": Schema(), **changes})
