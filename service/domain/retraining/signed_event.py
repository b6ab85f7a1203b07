"""What this service signs of a drift event, or of a run that somebody asked it for, so that nobody else can ask.

An in-toto Statement v1 under DSSE, of which the request carries the signature alone: the statement is made of the
request, and so says what it says.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from service.domain.integrity.statement import STATEMENT_TYPE
from service.domain.models import RetrainRequest
from service.domain.retraining.carried_signature import carried, is_carried

PREDICATE_TYPE = "https://driftwarden.io/predicates/drift-event/v1"


def statement_of(request: RetrainRequest) -> bytes:
    """All that the request says but for its signature; the same request is the same bytes."""
    document = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": request.name, "digest": {"sha256": request.reference_digest.removeprefix("sha256:")}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "run": request.name,
            "model": request.model,
            "verdict": request.verdict_number,
            "windowStart": _moment(request.window_start),
            "windowEnd": _moment(request.window_end),
            "referenceDigest": request.reference_digest,
            "planDigest": request.plan_digest,
            "driftedFeatures": list(request.drifted_features),
            "traceparent": request.traceparent,
        },
    }
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode("ascii")


def signed(request: RetrainRequest, sign: Callable[[bytes], bytes]) -> RetrainRequest:
    """The request with its signature."""
    return replace(request, signature=carried(statement_of(request), sign))


def is_signed(request: RetrainRequest, holds: Callable[[bytes, bytes], bool]) -> bool:
    """Whether it has a signature that `holds`, given that and the message, says is ours."""
    return is_carried(request.signature, statement_of(request), holds)


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()
