"""A vetting statement says exactly what it may, and every way in which it is not enough has a name."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.domain.errors import UnusableSignature
from service.domain.retraining.vetting_statement import SignedDataset, VettingStatement, parse_vetting

NOW = datetime(2026, 6, 1, tzinfo=UTC)
SIGNER, APPROVER = "1" * 64, "2" * 64
DATASET = SignedDataset("sha256:" + "a" * 64, 3, SIGNER)
STATEMENT = VettingStatement(
    "fraud",
    DATASET.digest,
    frozenset({"labels", "privacy"}),
    APPROVER,
    SIGNER,
    NOW - timedelta(days=1),
    NOW + timedelta(days=1),
)


def test_what_is_written_is_read() -> None:
    assert parse_vetting(STATEMENT.encode()) == STATEMENT


@pytest.mark.parametrize(
    ("said", "approver", "reason"),
    [
        (STATEMENT, APPROVER, None),
        (replace(STATEMENT, approver=SIGNER), SIGNER, "approver_is_requester"),
        (replace(STATEMENT, dataset_digest="sha256:" + "b" * 64), APPROVER, "vetting_of_another_dataset"),
        (replace(STATEMENT, approver="3" * 64), APPROVER, "vetting_of_others"),
        (replace(STATEMENT, requester="3" * 64), APPROVER, "vetting_of_others"),
        (replace(STATEMENT, issued=NOW + timedelta(minutes=2)), APPROVER, "vetting_not_yet_valid"),
        (replace(STATEMENT, issued=NOW + timedelta(seconds=50)), APPROVER, None),
        (replace(STATEMENT, expires=NOW), APPROVER, "vetting_expired"),
        (replace(STATEMENT, expires=NOW + timedelta(seconds=1)), APPROVER, None),
        (replace(STATEMENT, checks=frozenset({"labels"})), APPROVER, "checks_missing"),
        (replace(STATEMENT, checks=frozenset({"labels", "privacy", "more"})), APPROVER, None),
    ],
)
def test_what_is_not_enough_has_a_name(said: VettingStatement, approver: str, reason: str | None) -> None:
    refusal = DATASET.refusal(said, approver, ["privacy", "labels"], NOW)
    assert (refusal and refusal.reason) == reason


def changed(**members: Any) -> bytes:
    document = json.loads(STATEMENT.encode())
    for name, value in members.items():
        of = document if name in document or name == "extra" else document["predicate"]
        of[name] = value
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        changed(_type="https://in-toto.io/Statement/v0.1"),
        changed(predicateType="https://model_signing/signature/v1.0"),
        changed(subject=[]),
        changed(subject=[{"name": "fraud", "digest": {"sha256": "A" * 64}}]),
        changed(subject=[{"name": "fraud", "digest": {"md5": "a" * 32}}]),
        changed(subject=[{"name": "fraud", "digest": {"sha256": "a" * 64}}] * 2),
        changed(extra=1),
        changed(checks="labels"),
        changed(checks=["labels", 3]),
        changed(checks=["La bels"]),
        changed(checks=["labels"] * 101),
        changed(approver="nobody"),
        changed(requester=None),
        changed(issued="yesterday"),
        changed(issued="2026-05-31T00:00:00"),
        changed(expires="0001-01-01T00:00:00+14:00"),
        changed(expires="2026-05-31T00:00:00Z"),
        changed(unknown=1),
    ],
)
def test_anything_else_is_no_vetting_statement(payload: bytes) -> None:
    with pytest.raises(UnusableSignature):
        parse_vetting(payload)
