"""A record of one run, from what somebody asked for to the model that it made."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from service.adapters.artifacts.elliptic_keys import EllipticKey, signature_holds
from service.domain.integrity.envelope import Bundle, signed_bytes
from service.domain.integrity.trust import Trust, TrustedKey
from service.domain.models import ModelName, RetrainRequest, TriggerOutcome, TriggerReceipt
from service.domain.retraining import transitions
from service.domain.retraining.gate import Check, Evidence, Refusal
from service.domain.retraining.record import Asked, Line, written
from service.domain.retraining.run import Progress, RunSeen
from service.domain.retraining.signed_head import NOTHING, Head
from service.usecases.verify_record import VerifiedRecord, verify_record

CHURN = ModelName("churn")
BEGIN = datetime(2026, 1, 31, 12, tzinfo=UTC)
KEY = EllipticKey.new("P-256")
REASON = "quarterly \u202e\x1b[31m"
EVIDENCE = Evidence(
    template_digest="sha256:" + "1" * 64,
    images=("registry.example/train@sha256:" + "2" * 64,),
    dataset_digest="sha256:" + "3" * 64,
    dataset_version=7,
    approver="4" * 64,
    base_model_digest="sha256:" + "5" * 64,
)
MANIFEST, MADE = "sha256:" + "6" * 64, "sha256:" + "7" * 64


def request(name: str = "retrain-churn-1", model: ModelName = CHURN, verdict: int = 0) -> RetrainRequest:
    digest = "sha256:" + "8" * 64
    return RetrainRequest(name, model, verdict, BEGIN, BEGIN, digest, "sha256:" + "9" * 64, ("age",), None)


def receipt_of(asked_for: RetrainRequest) -> TriggerReceipt:
    return TriggerReceipt(
        TriggerOutcome.CREATED, asked_for.name, "training", "Job", uid="u-1", version="17", manifest_digest=MANIFEST
    )


def record(model: ModelName = CHURN) -> list[Line]:
    """Five lines; a refused request is the sixth and the seventh."""
    times = (BEGIN + timedelta(minutes=minute) for minute in range(100))
    asked_for = request(model=model)
    lines = [written(transitions.asked(None, Asked(asked_for, "ana", REASON), next(times)))]
    lines.append(written(transitions.permitted(lines[-1], asked_for, EVIDENCE, next(times))))
    lines.append(written(transitions.started(lines[-1], receipt_of(asked_for), next(times))))
    seen = RunSeen(model, asked_for.name, Progress.SUCCEEDED)
    lines.append(written(transitions.ended(lines[-1], seen, next(times), renews=False)))
    lines.append(written(transitions.told(lines[-1], model, asked_for.name, MADE, next(times), "trainer")))
    again = request("retrain-churn-2", model)
    lines.append(written(transitions.asked(lines[-1], Asked(again, "ana", "once more"), next(times))))
    refusal = Refusal(Check.PACE, "cool_down", "the next may start later")
    lines.append(written(transitions.refused(lines[-1], again, refusal, next(times))))
    return lines


def head(lines: Sequence[Line], key: EllipticKey = KEY, model: str = CHURN) -> bytes:
    first, newest = (lines[0].entry.number, lines[-1].entry.number) if lines else (1, 0)
    payload = Head(model, first, newest, lines[-1].digest if lines else NOTHING, BEGIN).encode()
    return Bundle(payload, key.sign(signed_bytes(payload)), key.fingerprint).encode()


def handed_out(lines: Sequence[Line], end: bytes) -> bytes:
    return b"".join(line.text + b"\n" for line in lines) + end + b"\n"


def verified(text: bytes, key: EllipticKey = KEY) -> VerifiedRecord:
    trust = Trust((TrustedKey("service", key.public_key, key.fingerprint),))
    return verify_record(text, trust, BEGIN, signature_holds)


def public(folder: Path, key: EllipticKey = KEY) -> Path:
    file = folder / "service.pub"
    file.write_bytes(key.public_key)
    return file
