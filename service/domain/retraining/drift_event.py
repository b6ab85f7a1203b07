"""A drift event, which is a verdict's action: whether it is one, and what the record keeps of its verdict."""

import hashlib

import msgspec

from service.domain.models import Verdict
from service.domain.registration import Registration
from service.domain.response import left_by, respond
from service.domain.retraining.gate import Check, Refusal
from service.domain.retraining.record import Alarm

_encode = msgspec.json.Encoder().encode


def not_to_follow(verdict: Verdict, current: Registration) -> Refusal | None:
    """Why nothing follows from the verdict's action under the registration that is in force; None: something may."""
    if not current.plan.response.retrain:
        return _refusal("switched_off", "the plan says by now that nothing is to be started")
    if verdict.reference_digest != current.reference_digest:
        return _refusal("reference_replaced", "the model is compared with another reference by now")
    if not _is_its_own(verdict):
        return _refusal("not_its_own", f"the action of verdict {verdict.number} does not say what the verdict says")
    return None


def not_confirmed(verdict: Verdict, before: Verdict | None, judged_by: Registration | None) -> Refusal | None:
    """Why the verdict, with the one in front of it, is no reason to act by the plan that it was judged by; None: it is.

    None for either: it is not kept any more.
    """
    if judged_by is None or (before is None and verdict.number > 1):
        return _refusal("not_kept", "the plan that the verdict goes by, or the verdict before, is not kept any more")
    plan = judged_by.plan.response
    state = left_by(before, verdict.reference_digest)
    if respond(plan, state, verdict.number, verdict.decision) != (verdict.response, True):
        return _refusal(
            "not_confirmed", f"by the verdicts themselves, {plan.confirm} of {plan.out_of} have not drifted"
        )
    return None


def alarm_of(verdict: Verdict) -> Alarm:
    """What an entry says of it."""
    return Alarm(
        verdict_number=verdict.number,
        digest="sha256:" + hashlib.sha256(_encode(verdict)).hexdigest(),
        p_value=verdict.decision.p_value,
        window_start=verdict.started_at,
        window_end=verdict.ended_at,
        rows=verdict.rows,
        reference_digest=verdict.reference_digest,
        plan_digest=verdict.plan_digest,
    )


def _is_its_own(verdict: Verdict) -> bool:
    action = verdict.action
    return action is not None and (
        (action.model, action.verdict_number) == (verdict.model, verdict.number)
        and (action.reference_digest, action.plan_digest) == (verdict.reference_digest, verdict.plan_digest)
    )


def _refusal(reason: str, detail: str) -> Refusal:
    return Refusal(Check.EVENT, reason, detail)
