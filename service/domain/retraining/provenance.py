"""Who made a model from what, as SLSA provenance v1: from the drift event over the dataset to the run and its model.

https://slsa.dev/spec/v1.0/provenance. Everything in it stands in the record; the entries that it was made of are named
by their digests.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from service.domain.errors import WrongMoment
from service.domain.integrity.statement import STATEMENT_TYPE
from service.domain.models import RetrainRequest, TriggerOutcome, TriggerReceipt
from service.domain.retraining.gate import Evidence
from service.domain.retraining.record import Entry, Line, Step

PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "https://driftwarden.io/retraining/v1"


def provenance(lines: Sequence[Line], builder: str) -> bytes:
    """The payload of the envelope, of one run's entries, oldest first; `builder` is a URI.

    It is of the model that the run made, once that is told, and before of what the target was asked to make. Raises
    `WrongMoment` for a run that was never started.
    """
    entries = [line.entry for line in lines]
    permitted, started = _of(entries, Step.PERMITTED), _of(entries, Step.STARTED)
    if permitted is None or started is None or started.receipt is None or permitted.state.underway is None:
        raise WrongMoment("the run was not started: there is nothing that it could have made")
    if started.receipt.outcome is TriggerOutcome.DRY_RUN:
        raise WrongMoment("the run was only shown, and not started")
    request, evidence = permitted.state.underway.request, permitted.state.underway.evidence
    ended, told = _of(entries, Step.ENDED), _of(entries, Step.TOLD)
    metadata = {
        "invocationId": started.receipt.uid or started.run,
        "startedOn": _moment(started.at),
        **({} if ended is None else {"finishedOn": _moment(ended.at)}),
    }
    document = {
        "_type": STATEMENT_TYPE,
        "subject": [_subject(started.receipt, told)],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {"model": request.model, "run": request.name, **_cause(entries, request)},
                "internalParameters": {
                    "planDigest": request.plan_digest,
                    "driftedFeatures": list(request.drifted_features),
                    "advisories": [f"{each.check}: {each.reason}" for each in evidence.advisories],
                },
                "resolvedDependencies": list(_dependencies(request, evidence)),
            },
            "runDetails": {
                "builder": {"id": builder},
                "metadata": metadata,
                "byproducts": [_named(f"entry {line.entry.number} of the record", line.digest) for line in lines],
            },
        },
    }
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode("ascii")


def _of(entries: Sequence[Entry], step: Step) -> Entry | None:
    return next((entry for entry in reversed(entries) if entry.step is step), None)


def _subject(receipt: TriggerReceipt, told: Entry | None) -> dict[str, Any]:
    if told is not None and told.model_digest is not None:
        return _named(told.model, told.model_digest)
    if not receipt.manifest_digest:
        raise WrongMoment("which model the run made is not told yet, nor what its target was asked to make")
    return _named("/".join(filter(None, (receipt.kind, receipt.namespace, receipt.name))), receipt.manifest_digest)


def _cause(entries: Sequence[Entry], request: RetrainRequest) -> dict[str, Any]:
    asked = _of(entries, Step.ASKED)
    if asked is not None:
        return {"trigger": "request", "request": {"by": asked.by, "reason": asked.reason, "at": _moment(asked.at)}}
    event: dict[str, Any] = {
        "verdict": request.verdict_number,
        "windowStart": _moment(request.window_start),
        "windowEnd": _moment(request.window_end),
    }
    alarm = next((entry.alarm for entry in entries if entry.alarm is not None), None)
    if alarm is not None:
        event |= {"verdictDigest": alarm.digest, "rows": alarm.rows, "pValue": alarm.p_value}
    return {"trigger": "drift_event", "driftEvent": event}


def _dependencies(request: RetrainRequest, evidence: Evidence) -> Iterator[dict[str, Any]]:
    if evidence.dataset_digest is not None:
        said = {"version": evidence.dataset_version, "approver": evidence.approver}
        known = {name: value for name, value in said.items() if value is not None}
        yield _named("dataset", evidence.dataset_digest) | ({"annotations": known} if known else {})
    if evidence.base_model_digest is not None:
        yield _named("base model", evidence.base_model_digest)
    yield _named("reference", request.reference_digest)
    if evidence.template_digest:
        yield _named("template", evidence.template_digest)
    for image in evidence.images:
        _, pinned, digest = image.partition("@sha256:")
        yield _named(image, digest) if pinned else {"name": image}


def _named(name: str, digest: str) -> dict[str, Any]:
    return {"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}}


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
