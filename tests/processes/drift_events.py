"""A model whose windows all drift: verdicts as an evaluator would commit them, without rows."""

from dataclasses import replace
from datetime import datetime

from service.domain.models import BatchPosition, Cursor, ModelName, RetrainRequest, Verdict
from service.domain.plan import Plan
from service.domain.registration import Registration
from service.domain.response import action_name, left_by, respond
from service.domain.retraining.gate import Evidence
from service.domain.retraining.response_plan import ResponsePlan
from tests.conformance.ports.documents import MODEL, NOON, registration, verdict

EVERY_WINDOW = ResponsePlan(confirm=1, out_of=1, cool_down=0, cool_down_seconds=0, at_most_per_day=100)
"""A plan by which every window that drifts sets something off."""


class NothingVetted:
    """A `service.ports.Vetting` that looks at nothing."""

    async def vet(self, _: RetrainRequest, __: int | None, /) -> Evidence:
        return Evidence("sha256:t")


def registered(response: ResponsePlan = EVERY_WINDOW, model: ModelName = MODEL, revision: int = 1) -> Registration:
    """What the model is watched by."""
    return registration(revision, model=model, plan=Plan(response=response))


def drifted(before: Verdict | None, watched: Registration, history: int = 1, at: datetime = NOON) -> Verdict:
    """The verdict that follows; of another history its place in the log is another."""
    number = 1 if before is None else before.number + 1
    made = verdict(number, model=watched.model, cursor=Cursor(BatchPosition(f"{history}-{number}")))
    state, acts = respond(watched.plan.response, left_by(before, watched.reference_digest), number, made.decision)
    made = replace(
        made,
        response=state,
        reference_digest=watched.reference_digest,
        plan_digest=watched.plan.digest,
        registration_revision=watched.revision,
        action=None,
        decided_at=at,
    )
    return replace(made, action=_action(made)) if acts else made


def _action(made: Verdict) -> RetrainRequest:
    name = action_name(made.model, made.number, made.reference_digest, made.cursor)
    return RetrainRequest(
        name,
        made.model,
        made.number,
        made.started_at,
        made.ended_at,
        made.reference_digest,
        made.plan_digest,
        ("a",),
        None,
    )
