"""The provenance of a model says who made it from what, in SLSA's words."""

import json
from dataclasses import replace
from typing import Any

import pytest

from service.adapters.artifacts.elliptic_keys import read_public_key
from service.domain.errors import WrongMoment
from service.domain.integrity.envelope import Bundle, signed_bytes
from service.domain.models import TriggerOutcome
from service.domain.retraining.gate import Evidence
from service.domain.retraining.provenance import provenance
from service.domain.retraining.record import Alarm, Line, written
from service.domain.retraining.transitions import permitted, started
from tests.unit.service.domain.retraining.records import (
    BEGIN,
    KEY,
    MADE,
    MANIFEST,
    REASON,
    receipt_of,
    record,
    request,
)

LINES = record()
BUILDER = "urn:driftwarden:service:0123"


def told(lines: list[Line]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(provenance(lines, BUILDER))
    return document


def sha256(digest: str) -> dict[str, str]:
    return {"sha256": digest.removeprefix("sha256:")}


def test_of_a_run_whose_model_is_told_it_is_of_that_model() -> None:
    document = told(LINES[:5])
    assert document["_type"] == "https://in-toto.io/Statement/v1"
    assert document["predicateType"] == "https://slsa.dev/provenance/v1"
    assert document["subject"] == [{"name": "churn", "digest": sha256(MADE)}]
    definition, details = (document["predicate"][name] for name in ("buildDefinition", "runDetails"))
    assert definition["externalParameters"] == {
        "model": "churn",
        "run": "retrain-churn-1",
        "trigger": "request",
        "request": {"by": "ana", "reason": REASON, "at": "2026-01-31T12:00:00Z"},
    }
    assert definition["resolvedDependencies"] == [
        {"name": "dataset", "digest": sha256("3" * 64), "annotations": {"version": 7, "approver": "4" * 64}},
        {"name": "base model", "digest": sha256("5" * 64)},
        {"name": "reference", "digest": sha256("8" * 64)},
        {"name": "template", "digest": sha256("1" * 64)},
        {"name": "registry.example/train@sha256:" + "2" * 64, "digest": sha256("2" * 64)},
    ]
    assert details["builder"] == {"id": BUILDER}
    assert details["metadata"] == {
        "invocationId": "u-1",
        "startedOn": "2026-01-31T12:02:00Z",
        "finishedOn": "2026-01-31T12:03:00Z",
    }
    assert [each["digest"] for each in details["byproducts"]] == [sha256(line.digest) for line in LINES[:5]]


def test_until_then_it_is_of_what_the_target_was_asked_to_make() -> None:
    document = told(LINES[:3])
    assert document["subject"] == [{"name": "Job/training/retrain-churn-1", "digest": sha256(MANIFEST)}]
    assert "finishedOn" not in document["predicate"]["runDetails"]["metadata"]


def test_a_drift_event_is_what_a_run_goes_back_to() -> None:
    event = request("retrain-churn-3-ab", verdict=3)
    alarm = Alarm(3, "sha256:" + "e" * 64, 0.001, BEGIN, BEGIN, 500, event.reference_digest, event.plan_digest)
    lines = [written(permitted(None, event, Evidence(template_digest=""), BEGIN, alarm=alarm))]
    lines.append(written(started(lines[-1], receipt_of(event), BEGIN)))
    definition = told(lines)["predicate"]["buildDefinition"]
    assert definition["externalParameters"]["driftEvent"] == {
        "verdict": 3,
        "verdictDigest": "sha256:" + "e" * 64,
        "pValue": 0.001,
        "rows": 500,
        "windowStart": "2026-01-31T12:00:00Z",
        "windowEnd": "2026-01-31T12:00:00Z",
    }
    assert [each["name"] for each in definition["resolvedDependencies"]] == ["reference"]  # nothing else was verified


@pytest.mark.parametrize("lines", [LINES[:1], LINES[:2], LINES[5:]], ids=["asked for", "permitted", "refused"])
def test_there_is_none_of_a_run_that_was_not_started(lines: list[Line]) -> None:
    with pytest.raises(WrongMoment, match="not started"):
        provenance(lines, BUILDER)


def test_there_is_none_of_a_run_that_was_only_shown() -> None:
    event = request("retrain-churn-3-ab", verdict=3)
    shown = replace(receipt_of(event), outcome=TriggerOutcome.DRY_RUN)
    lines = [written(permitted(None, event, Evidence(template_digest=""), BEGIN, dry_run=True))]
    lines.append(written(started(lines[-1], shown, BEGIN)))
    with pytest.raises(WrongMoment, match="only shown"):
        provenance(lines, BUILDER)


def test_other_readers_of_dsse_find_the_signature_good() -> None:
    dsse = pytest.importorskip("securesystemslib.dsse")
    signers = pytest.importorskip("securesystemslib.signer")
    payload = provenance(LINES[:5], BUILDER)
    bundle = Bundle(payload, KEY.sign(signed_bytes(payload)), KEY.fingerprint)
    pem, _ = read_public_key(KEY.public_key, "key")
    key = signers.SSlibKey("", "ecdsa", "ecdsa-sha2-nistp256", {"public": pem.decode()})
    envelope = dsse.Envelope.from_dict(json.loads(bundle.encode())["dsseEnvelope"])
    assert envelope.verify([key], 1)
    envelope.payload = envelope.payload.replace(b"ana", b"bob")
    with pytest.raises(Exception, match="threshold"):
        envelope.verify([key], 1)
