"""The gate in front of retraining: what is to be decided, with what is known of it, and the checks in their order."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from service.domain.errors import TriggerRejected
from service.domain.models import ModelName, RetrainRequest, Verdict
from service.domain.retraining.drift_event import not_confirmed, not_to_follow
from service.domain.retraining.gate import Check, Evidence, Refusal
from service.domain.retraining.pace import quiet_until, too_soon
from service.domain.retraining.record import Asked, Entry, RetrainingState, Underway
from service.domain.retraining.response_plan import ResponsePlan
from service.ports import Registrations, VerdictLog, Vetting
from service.usecases.sign_permissions import SignPermissions

_NOT_OURS = Refusal(Check.EVENT, "event_not_ours", "the service has not signed it, or it was changed since")


@dataclass(frozen=True, slots=True)
class Case:
    """A request that is to be decided."""

    request: RetrainRequest
    plan: ResponsePlan
    verdict: Verdict | None
    """Whose action it is; None: somebody asked for it."""
    refusal: Refusal | None
    """By the check of the event."""
    dry_run: bool

    def is_waiting(self, now: datetime) -> bool:
        """Whether it is to be decided later: of drift, in quiet hours. Who asks for a run has it at once."""
        return self.verdict is not None and quiet_until(self.plan, now) is not None


class RetrainingGate:
    """Looks, and writes nothing down."""

    def __init__(
        self,
        registrations: Registrations,
        verdicts: VerdictLog,
        vetting: Vetting,
        is_ours: Callable[[RetrainRequest], bool] = lambda _: True,
        permissions: SignPermissions | None = None,
    ) -> None:
        """`is_ours`: whether the service itself made a request. `permissions` None: nobody signs them."""
        self._registrations = registrations
        self._verdicts = verdicts
        self._vetting = vetting
        self._is_ours = is_ours
        self._permissions = permissions

    async def plan(self, model: ModelName) -> ResponsePlan | None:
        """What is in force; None: the model is not registered any more."""
        registration = await self._registrations.newest(model)
        return None if registration is None else registration.plan.response

    def asked(self, asked: Asked, plan: ResponsePlan) -> Case:
        """For by somebody."""
        refusal = None if self._is_ours(asked.request) else _NOT_OURS
        return Case(asked.request, plan, None, refusal, asked.dry_run or plan.dry_run)

    async def event(self, verdict: Verdict, action: RetrainRequest) -> Case | None:
        """A verdict's action; None: the verdict, or its model, is not there any more."""
        kept = await self._verdicts.page(verdict.model, max(0, verdict.number - 2), 2)
        current = await self._registrations.newest(verdict.model)
        if current is None or verdict.cursor not in {each.cursor for each in kept if each.number == verdict.number}:
            return None
        before = next((each for each in kept if each.number == verdict.number - 1), None)
        judged_by = await self._registrations.revision(verdict.model, verdict.registration_revision)
        refusal = not_to_follow(verdict, current) or not_confirmed(verdict, before, judged_by)
        if refusal is None and not self._is_ours(action):
            refusal = _NOT_OURS
        request = replace(action, model=verdict.model, verdict_number=verdict.number)  # whatever one not its own says
        return Case(request, current.plan.response, verdict, refusal, current.plan.response.dry_run)

    def refusal(self, case: Case, state: RetrainingState, now: datetime) -> Refusal | None:
        """Of the checks that need nothing but the record: the event, and the pace."""
        return case.refusal or too_soon(case.plan, state, now)

    async def vet(self, case: Case, state: RetrainingState) -> Evidence | Refusal:
        """All others. Raises `VettingUnavailable`."""
        return await self._vetting.vet(case.request, state.dataset_version)

    def signed(self, entry: Entry) -> Entry:
        """A permission, with the service's signature if it has a key."""
        return entry if self._permissions is None else self._permissions(entry)

    def refuse_foreign(self, run: Underway) -> None:
        """Raise `TriggerRejected` for a permission that this gate, or a replica's, has not given."""
        if self._permissions is not None and not self._permissions.is_ours(run):
            raise TriggerRejected("the service has not signed this permission, or it was changed in the store since")
