"""Golden state of a model whose plan says when runs may start, and of what was decided about it.

python -m tests.conformance.ports.golden.retraining 5     writes retraining-5.json, and never over one that is there
"""

import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from datetime import time, timedelta
from pathlib import Path
from typing import Any

from service.adapters.embedded_store import embedded_store
from service.adapters.log import RedisRetrainingRecord
from service.adapters.reference_store import RedisRegistrations
from service.adapters.store import Keys, connection
from service.domain.models import LOG_START, BatchPosition, ModelName, RetrainRequest, TriggerOutcome, TriggerReceipt
from service.domain.plan import Plan
from service.domain.registration import Registration
from service.domain.retraining.gate import Check, Evidence, Refusal
from service.domain.retraining.record import Alarm, Asked, Entry, Phase, RetrainingState, Step, Underway
from service.domain.retraining.response_plan import NewReferencePlan, QuietHours, ResponsePlan
from service.domain.retraining.run import Progress
from tests.conformance.ports.golden.expected import NOON, REFERENCE, REFERENCE_DIGEST, TRACEPARENT
from tests.conformance.ports.golden.state_files import HERE, dump

RETRAINING_FILES = sorted(HERE.glob("retraining-*.json"))
RETRAINING_MODEL = ModelName("decided")
RETRAINING_REGISTRATION = Registration(
    revision=1,
    model=RETRAINING_MODEL,
    features=REFERENCE.features,
    reference_digest=REFERENCE_DIGEST,
    reference_rows=100,
    plan=Plan(
        response=ResponsePlan(
            cool_down_seconds=60,
            at_most_per_day=3,
            back_off_seconds=120,
            quiet_hours=(QuietHours(time(22), time(6, 30), "Europe/Berlin"),),
            approval="manual",
            dry_run=True,
            new_reference=NewReferencePlan(500, 3600),
        )
    ),
    since=LOG_START,
    registered_at=NOON,
)
_REQUEST = RetrainRequest(
    "retrain-decided-7", RETRAINING_MODEL, 7, NOON, NOON, "sha256:a", "sha256:b", ("größe",), TRACEPARENT, "c2ln"
)
_WISH = RetrainRequest("wish-2", RETRAINING_MODEL, 0, NOON, NOON, "sha256:a", "sha256:b", (), None)
_REFUSAL = Refusal(Check.VETTING, "vetting_expired", "größe\n")
_EVIDENCE = Evidence("sha256:t", ("train@sha256:i",), "sha256:d", 4, "key", "sha256:m", (_REFUSAL,))
_ALARM = Alarm(7, "sha256:v", 1e-300, NOON, NOON + timedelta(seconds=1), 64, "sha256:a", "sha256:b")
_RECEIPT = TriggerReceipt(TriggerOutcome.CREATED, "retrain-decided-7", "ml", "Job", "", "uid", "17", "sha256:j")
_PERMITTED = RetrainingState(
    7,
    "retrain-decided-7",
    Underway(_REQUEST, _EVIDENCE, Phase.PERMITTED, NOON, suspended=True),
    None,
    (NOON,),
    1,
    NOON,
    4,
)
_SERVED = RetrainingState(
    7,
    "retrain-decided-7",
    Underway(
        _REQUEST,
        _EVIDENCE,
        Phase.RENEWING,
        NOON,
        suspended=True,
        uid="uid",
        model_digest="sha256:n",
        served_from=BatchPosition("17-3"),
    ),
    Asked(_WISH, "ana", "größer", dry_run=True),
    (NOON,),
    dataset_version=4,
)
DIGESTS = (
    "sha256:d8e523d8bdc19a8de55feec7d3c3908250d57d2aa5c6eb22783e77b4e4390983",
    "sha256:c25faa1bda181abd67e8b6bfbd440f6139c9b9f8045427f1085da7e5a78e6ae4",
    "sha256:9ccfc757145698a6e2844228c3b2309873e7a214c261529b69fcacc2e537aed4",
    "sha256:fc1346944b500d1bb3d3cbaa43951c765846fdb85120f35ac688395b136c6dbb",
)
"""Of the lines as they were written."""


def _numbered(*entries: dict[str, Any]) -> Sequence[Entry]:
    before = ("", *DIGESTS)
    return [
        Entry(number, RETRAINING_MODEL, NOON, previous=previous, **said)
        for number, (previous, said) in enumerate(zip(before, entries, strict=False), 1)
    ]


ENTRIES = _numbered(
    {"step": Step.PERMITTED, "run": _REQUEST.name, "state": _PERMITTED, "alarm": _ALARM, "evidence": _EVIDENCE},
    {"step": Step.STARTED, "run": _REQUEST.name, "state": _PERMITTED, "receipt": _RECEIPT, "progress": Progress.GONE},
    {"step": Step.SERVED, "run": _REQUEST.name, "state": _SERVED, "by": "ana", "model_digest": "sha256:n"},
    {"step": Step.REFUSED, "run": _WISH.name, "state": _SERVED, "refusal": _REFUSAL, "reason": "größer", "by": "ana"},
)
"""Every member that an entry has, whether or not it would be there together with the others."""


async def _written(url: str) -> dict[str, Any]:
    async with connection(url, 10.0) as redis:
        keys = Keys("golden")
        await RedisRegistrations(redis, keys).register(RETRAINING_REGISTRATION, REFERENCE)
        for entry in ENTRIES:
            await RedisRetrainingRecord(redis, keys, 100).append(entry)
        return await dump(redis, "golden")


def main() -> None:
    file = HERE / f"retraining-{int(sys.argv[1])}.json"
    if file.exists():
        sys.exit(f"{file} is there already: what was once written is not rewritten")
    with tempfile.TemporaryDirectory() as directory, embedded_store(Path(directory)) as url:
        file.write_text(json.dumps(asyncio.run(_written(url)), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
