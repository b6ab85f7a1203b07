"""Ask for a run that retrains a model: through the same gate that drift events go through."""

from collections.abc import Callable
from dataclasses import dataclass

from service.domain.errors import RetrainingRefused, WrongMoment
from service.domain.models import ModelName, RetrainRequest
from service.domain.retraining.by_hand import request_by_hand
from service.domain.retraining.gate import Evidence, Refusal
from service.domain.retraining.pace import too_soon
from service.domain.retraining.record import Asked, Entry, Line
from service.domain.retraining.transitions import asked, refused, state_of
from service.ports import Clock, RetrainingRecord, Vetting
from service.telemetry.tracing import current_traceparent
from service.usecases.record_entries import add
from service.usecases.registered_models import RegisteredModels


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What the gate would say now. Neither: this process cannot look at the dataset, which another one would."""

    refusal: Refusal | None = None
    evidence: Evidence | None = None


class RetrainByHand:
    """Takes what is asked for; whoever starts runs decides it."""

    def __init__(
        self,
        models: RegisteredModels,
        record: RetrainingRecord,
        clock: Clock,
        vetting: Vetting | None,
        sign: Callable[[RetrainRequest], RetrainRequest] | None,
    ) -> None:
        """`vetting` None: runs are not started by this process. `sign` None: nothing is signed."""
        self._models = models
        self._record = record
        self._clock = clock
        self._vetting = vetting
        self._sign = sign

    async def foresee(self, model: ModelName) -> Foreseen:
        """Nothing is written. Raises `UnknownModel`, `WrongMoment`, `VettingUnavailable`, and errors of the store."""
        registration = await self._models.current(model)
        newest, now = await self._record.newest(model), self._clock()
        request = request_by_hand(registration, newest, now, None)
        asked(newest, Asked(request, "", ""), now)  # raises what asking would
        state = state_of(newest)
        refusal = too_soon(registration.plan.response, state, now)
        if refusal is not None or self._vetting is None:
            return Foreseen(refusal)
        found = await self._vetting.vet(request, state.dataset_version)
        return Foreseen(found) if isinstance(found, Refusal) else Foreseen(evidence=found)

    async def __call__(self, model: ModelName, by: str, reason: str, *, rehearsal: bool = False) -> Entry:
        """Write down that it is asked for; `rehearsal`: only to be shown what would be started.

        Raises `UnknownModel`, `WrongMoment`, `RetrainingRefused`, `ConcurrentChange`, and errors of the store.
        """
        registration = await self._models.current(model)
        traceparent = current_traceparent()

        async def ask(newest: Line | None) -> Entry:
            now = self._clock()
            request = request_by_hand(registration, newest, now, traceparent)
            signed = request if self._sign is None else self._sign(request)
            return asked(newest, Asked(signed, by, reason, rehearsal), now)

        entry = await add(self._record, model, ask)
        refusal = too_soon(registration.plan.response, entry.state, entry.at)
        if refusal is not None and await self._is_refused(entry, refusal):
            raise RetrainingRefused(f"{entry.run}: {refusal.detail}", refusal.check, refusal.reason)
        return entry

    async def _is_refused(self, entry: Entry, refusal: Refusal) -> bool:
        """False: somebody else was here first, and has decided it."""
        assert entry.state.asked is not None  # noqa: S101 - it is what the entry says
        request = entry.state.asked.request

        async def refuse(newest: Line | None) -> Entry:
            return refused(newest, request, refusal, self._clock())

        try:
            await add(self._record, entry.model, refuse)
        except WrongMoment:
            return False
        return True
