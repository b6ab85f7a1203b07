"""A permission is the service's own, to the letter, or nothing is started by it."""

from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from service.adapters.artifacts.elliptic_keys import EllipticKey, signature_holds
from service.domain.retraining.gate import Check, Evidence, Refusal
from service.domain.retraining.record import Underway, read, written
from service.domain.retraining.transitions import permitted
from service.usecases.sign_events import SignEvents
from service.usecases.sign_permissions import SignPermissions
from tests.unit.service.adapters.trigger.requests import retrain_request

KEY = EllipticKey.new("P-256")
BY_US = SignPermissions(KEY, signature_holds)
ADVISORY = Refusal(Check.VETTING, "not_vetted", "nobody has")
EVIDENCE = Evidence(
    "sha256:" + "a" * 64, ("x@sha256:" + "b" * 64,), "sha256:" + "c" * 64, 3, "f" * 64, None, (ADVISORY,)
)
ENTRY = BY_US(permitted(None, retrain_request(), EVIDENCE, datetime(2026, 3, 1, tzinfo=UTC)))
CHANGES: dict[str, Any] = {
    "template_digest": "sha256:" + "d" * 64,
    "images": (),
    "dataset_digest": "sha256:" + "d" * 64,
    "dataset_version": 2,
    "approver": "e" * 64,
    "base_model_digest": "sha256:" + "d" * 64,
    "advisories": (),
}


def run() -> Underway:
    assert ENTRY.state.underway is not None
    return ENTRY.state.underway


def test_what_was_signed_is_ours_also_after_it_was_stored() -> None:
    stored = read(written(ENTRY).text).entry.state.underway
    assert stored is not None
    assert BY_US.is_ours(run())
    assert BY_US.is_ours(stored)


@pytest.mark.parametrize("name", [each.name for each in fields(Evidence)])
def test_one_that_rests_on_anything_else_is_not(name: str) -> None:
    assert not BY_US.is_ours(replace(run(), evidence=replace(EVIDENCE, **{name: CHANGES[name]})))


@pytest.mark.parametrize("change", [{"suspended": True}, {"dry_run": True}, {"signature": None}, {"signature": "AAAA"}])
def test_one_that_is_to_be_started_otherwise_is_not(change: dict[str, Any]) -> None:
    assert not BY_US.is_ours(replace(run(), **change))


def test_neither_is_one_for_another_request_nor_by_another_key() -> None:
    assert not BY_US.is_ours(replace(run(), request=replace(run().request, traceparent="00-0-0-01")))
    assert not SignPermissions(EllipticKey.new("P-256"), signature_holds).is_ours(run())


def test_the_signature_of_an_event_permits_nothing() -> None:
    event = SignEvents(KEY, signature_holds)(retrain_request())
    assert not BY_US.is_ours(replace(run(), request=event, signature=event.signature))


def test_a_record_of_before_has_none() -> None:
    document = msgspec.json.decode(written(ENTRY).text)
    del document["state"]["underway"]["signature"]
    before = read(msgspec.json.encode(document)).entry.state.underway
    assert before is not None
    assert before.signature is None
