"""A run that somebody asks for: the request that goes through the gate, as a drift event's does."""

import hashlib
from datetime import datetime

from service.domain.models import RetrainRequest
from service.domain.registration import Registration
from service.domain.response import readable_part
from service.domain.retraining.record import Line

UNAUTHENTICATED = "(not authenticated)"
"""Who asks, where the service does not know its callers."""
MAXIMUM_BY = 253
"""Characters of a caller's name that the record keeps."""


def caller_named(name: str | None) -> str:
    """As the record keeps it; None or empty: nobody was asked who they are."""
    return name[:MAXIMUM_BY] if name else UNAUTHENTICATED


def request_by_hand(
    registration: Registration, newest: Line | None, at: datetime, traceparent: str | None
) -> RetrainRequest:
    """Of a name that no other request has: the entry that it follows is the only one of its digest and time."""
    previous = "" if newest is None else newest.digest
    identity = hashlib.sha256(f"{registration.model}\nby hand\n{previous}\n{at.isoformat()}".encode()).hexdigest()
    return RetrainRequest(
        name=f"retrain-{readable_part(registration.model)}-by-hand-{identity[:10]}",
        model=registration.model,
        verdict_number=0,
        window_start=at,
        window_end=at,
        reference_digest=registration.reference_digest,
        plan_digest=registration.plan.digest,
        drifted_features=(),
        traceparent=traceparent,
    )
