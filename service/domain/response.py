"""What follows from findings over time: confirm k of n, cool down, one action at most a verdict."""

import hashlib
from dataclasses import replace

from service.domain.models import Cursor, Decision, Finding, ModelName, ResponseState, Verdict
from service.domain.retraining.response_plan import ResponsePlan


def left_by(before: Verdict | None, reference_digest: str) -> ResponseState:
    """What a verdict leaves for the next one, under that reference; windows under another one confirm nothing."""
    if before is None:
        return ResponseState()
    return before.response if before.reference_digest == reference_digest else replace(before.response, recent=())


def respond(plan: ResponsePlan, state: ResponseState, number: int, decision: Decision) -> tuple[ResponseState, bool]:
    """The state after verdict `number`, and whether it starts retraining.

    `UNDECIDED` says nothing either way: it neither confirms nor breaks a run of drifted windows.
    """
    drifted = decision.finding is Finding.DRIFT and not (plan.only_if_it_matters and decision.matters is False)
    if decision.finding is not Finding.UNDECIDED:
        recent = (*state.recent, drifted)[-plan.out_of :]
        state = replace(state, recent=recent)
    confirmed = drifted and sum(state.recent) >= plan.confirm
    if not (plan.retrain and confirmed and number >= state.silent_until):
        return state, False
    return ResponseState(recent=(), silent_until=number + 1 + plan.cool_down), True


def action_name(model: ModelName, number: int, reference_digest: str, end: Cursor) -> str:
    """A DNS-1123 label of at most 63 characters that is the same for the same verdict, and for no other.

    The readable part may collide (names differ in case or in '_' and '.'); the digest does not. `end`, the verdict's
    own cursor, is a place in time of one store's log: a store that was emptied counts from 1 again, and what it starts
    must not go by a name that is taken.
    """
    identity = f"{model}\n{number}\n{reference_digest}\n{end.position}\n{end.offset}\n{end.read}".encode()
    return f"retrain-{readable_part(model)}-{number}-{hashlib.sha256(identity).hexdigest()[:10]}"


def readable_part(model: ModelName) -> str:
    """What a label says of the model: at most 32 characters that a label may have."""
    return "".join(letter if letter.isalnum() else "-" for letter in model.lower())[:32].strip("-")
