"""A drift event is the service's own, to the letter, or it is nobody's."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest

from service.adapters.artifacts.elliptic_keys import EllipticKey, signature_holds
from service.domain.models import ModelName, RetrainRequest
from service.usecases.sign_events import SignEvents

KEY = EllipticKey.new("P-256")
BY_US = SignEvents(KEY, signature_holds)
REQUEST = RetrainRequest(
    name="retrain-churn-3-0a1b2c3d4e",
    model=ModelName("churn"),
    verdict_number=3,
    window_start=datetime(2026, 1, 31, 12, tzinfo=UTC),
    window_end=datetime(2026, 1, 31, 13, 0, 0, 1000, tzinfo=UTC),
    reference_digest="sha256:" + "a" * 64,
    plan_digest="sha256:" + "b" * 64,
    drifted_features=("age", "Größe"),
    traceparent=None,
)
CHANGES: dict[str, Any] = {
    "name": "retrain-churn-4-0a1b2c3d4e",
    "model": "fraud",
    "verdict_number": 4,
    "window_start": REQUEST.window_start - timedelta(microseconds=1),
    "window_end": REQUEST.window_end + timedelta(days=1),
    "reference_digest": "sha256:" + "c" * 64,
    "plan_digest": "sha256:" + "c" * 64,
    "drifted_features": ("Größe", "age"),
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
}


def test_what_was_signed_is_ours_also_after_it_was_stored() -> None:
    request = BY_US(REQUEST)
    stored = msgspec.json.decode(msgspec.json.encode(request), type=RetrainRequest)
    elsewhere = replace(request, window_start=request.window_start.astimezone(timezone(timedelta(hours=2))))
    assert BY_US.is_ours(request)
    assert BY_US.is_ours(stored)
    assert BY_US.is_ours(elsewhere)  # the same moment


@pytest.mark.parametrize("name", [each.name for each in fields(RetrainRequest) if each.name != "signature"])
def test_a_request_that_says_anything_else_is_not(name: str) -> None:
    assert not BY_US.is_ours(replace(BY_US(REQUEST), **{name: CHANGES[name]}))


@pytest.mark.parametrize("signature", [None, "", "no base64", "AAAA", "A" * 100_000])
def test_a_request_without_a_signature_is_not(signature: str | None) -> None:
    assert not BY_US.is_ours(replace(REQUEST, signature=signature))


def test_a_request_by_another_key_is_not() -> None:
    assert not BY_US.is_ours(SignEvents(EllipticKey.new("P-256"), signature_holds)(REQUEST))
