"""Make a reference of what a retrained model sees, and put it in the place of the old one.

Rows are gathered behind the place in the log where that model's traffic begins. What is made of them is fitted and
calibrated before anything is registered, and written down before it is: whoever goes on after a crash finds in the
record which reference is ours. Several replicas may do this at the same time: registrations and entries are numbered,
so one of them comes through.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from anyio import to_thread

from detectors import codec
from detectors.anomaly.labels import RowLabels
from service.domain.described_reference import Described
from service.domain.errors import ConcurrentChange, InvalidPlan, InvalidReference, UnknownRun, WrongMoment
from service.domain.labelling import LabelledLog
from service.domain.models import BatchPosition, ModelName, Reference, is_after
from service.domain.registration import Registration, check_reference, encode_reference
from service.domain.retraining import transitions
from service.domain.retraining.gathering import Gathering, why_never, why_not
from service.domain.retraining.record import Line, Phase, Underway
from service.domain.retraining.response_plan import NewReferencePlan
from service.domain.sharing import Outlook
from service.domain.windows import RecentIdentifiers
from service.ports import Clock, JudgedBatches, ObservationLog, Registrations, RetrainingRecord
from service.usecases.column_order import ColumnOrder
from service.usecases.fitted_models import FittedModels, readiness
from service.usecases.label_rows import labelled_log
from service.usecases.register_model import RegisterModel

READ_BATCHES = 256
MOST_GAPS = 10
"""Times in a row that rows may be dropped from the log before they were gathered."""


@dataclass(slots=True)
class _Progress:
    """What is gathered for one run's model under one registration."""

    run: str
    registration: Registration
    order: ColumnOrder
    gathering: Gathering
    labels: LabelledLog | None
    """None where the plan keeps no flagged rows apart."""
    gaps: int


@dataclass(frozen=True, slots=True)
class _Candidate:
    """The next registration, not registered yet."""

    registration: Registration
    reference: Reference


class _NotRenewed(Exception):
    """No reference can be made; says why, and what to do."""


class RenewReference:
    """One instance a process; not to be called for the same model twice at the same time."""

    def __init__(
        self,
        record: RetrainingRecord,
        registrations: Registrations,
        log: ObservationLog,
        judged: JudgedBatches,
        fitted: FittedModels,
        register: RegisterModel,
        clock: Clock,
        horizon: int,
    ) -> None:
        """`horizon`: the evaluators' own, within which a repeated batch counts once."""
        self._record = record
        self._registrations = registrations
        self._log = log
        self._judged = judged
        self._fitted = fitted
        self._register = register
        self._clock = clock
        self._horizon = horizon
        self._progress: dict[ModelName, _Progress] = {}

    async def __call__(self, model: ModelName) -> Outlook:
        """Take one step for one model. Raises `StoreUnavailable`, `CorruptedState`."""
        newest = await self._record.newest(model)
        run = transitions.state_of(newest).underway
        registration = await self._registrations.newest(model)
        if registration is None or run is None or run.phase not in {Phase.AWAITED, Phase.RENEWING}:
            self.forget(model)
            return Outlook.NOTHING
        try:
            return await self._step(newest, run, registration)
        except (_NotRenewed, InvalidReference, InvalidPlan) as outcome:
            why = str(outcome) if isinstance(outcome, _NotRenewed) else f"the rows make no reference: {outcome}"
            reason = why[: transitions.MAXIMUM_REASON]
            await self._record.append(transitions.not_renewed(newest, run.request.name, self._clock(), reason))
        except (ConcurrentChange, WrongMoment, UnknownRun):
            self.forget(model)  # somebody else was here: what it means is decided anew
        return Outlook.MORE

    def forget(self, model: ModelName) -> None:
        """Give up the rows that were gathered."""
        self._progress.pop(model, None)

    async def _step(self, newest: Line | None, run: Underway, registration: Registration) -> Outlook:
        wanted = registration.plan.response.new_reference
        if wanted is None:
            raise _NotRenewed("the plan asks for no new reference any more: the old one stays")
        if run.phase is Phase.AWAITED:
            return await self._await(newest, run, wanted)
        return await self._renew(newest, run, registration, wanted)

    async def _await(self, newest: Line | None, run: Underway, wanted: NewReferencePlan) -> Outlook:
        now = self._clock()
        if wanted.after_seconds is None or now < run.since + timedelta(seconds=wanted.after_seconds):
            return Outlook.LATER
        position = await self._log.newest_position(run.request.model)
        await self._record.append(transitions.served(newest, run.request.name, position, now, by=""))
        return Outlook.MORE

    async def _renew(
        self, newest: Line | None, run: Underway, registration: Registration, wanted: NewReferencePlan
    ) -> Outlook:
        assert run.served_from is not None  # noqa: S101 - it is being renewed
        if is_after(registration.since, run.served_from):  # the reference was replaced since
            if registration.reference_digest not in run.gathered:
                raise _NotRenewed("another reference was registered meanwhile: that one stays")
            digest = registration.reference_digest
            await self._record.append(transitions.renewed(newest, run.request.name, digest, self._clock()))
            return Outlook.MORE
        progress = await self._gathered(run, run.served_from, registration, wanted)
        more = await self._read(progress)
        if reason := progress.gathering.impossible():
            raise _NotRenewed(reason)
        if progress.gathering.lacking:
            return Outlook.MORE if more else Outlook.LATER
        candidate = await self._candidate(progress)
        digest = candidate.registration.reference_digest
        if digest not in run.gathered:
            told, now = progress.gathering.told(run.served_from), self._clock()
            if not await self._record.append(transitions.gathered(newest, run.request.name, digest, now, told)):
                return Outlook.MORE
        await self._register.renewed(candidate.registration, candidate.reference)
        return Outlook.MORE  # and see what is registered now

    async def _gathered(
        self, run: Underway, served_from: BatchPosition, registration: Registration, wanted: NewReferencePlan
    ) -> _Progress:
        """What was gathered so far; begun anew where rows are gone that should have followed."""
        model, name = registration.model, run.request.name
        known = self._progress.get(model)
        if known is None or known.run != name or not known.registration.is_same_as(registration):
            if reason := why_never(registration, wanted.rows, await self._fitted.fitted(registration)):
                raise _NotRenewed(f"response.new_reference.rows {reason}")
            known = None
        if known is not None and not known.gathering.lacking:
            return known
        dropped_until = await self._judged.dropped_until(model)
        position = served_from if known is None else known.gathering.position
        if known is not None and not is_after(dropped_until, position):
            return known
        gaps = 0 if known is None else known.gaps + 1
        if gaps > MOST_GAPS:
            raise _NotRenewed(
                f"rows were dropped from the log {gaps} times before they were gathered: "
                "retain more of them (DRIFT_STORE__RETAINED_BYTES), or ask for fewer"
            )
        begins = dropped_until if is_after(dropped_until, position) else position
        progress = self._progress[model] = await self._begun(name, registration, wanted.rows, begins, gaps)
        return progress

    async def _begun(
        self, run: str, registration: Registration, rows: int, begins: BatchPosition, gaps: int
    ) -> _Progress:
        order = ColumnOrder(self._registrations, registration)
        seen = await self._judged.identifiers_until(registration.model, begins, self._horizon)
        gathering = Gathering(registration, rows, begins, RecentIdentifiers(self._horizon, seen))
        anomalies, labels = registration.plan.anomalies, None
        if anomalies is not None and anomalies.quarantine:
            labels = await labelled_log(registration, begins, order, self._fitted, self._judged)
        return _Progress(run, registration, order, gathering, labels, gaps)

    async def _read(self, progress: _Progress) -> bool:
        """The batches that follow; whether there may be more."""
        model, gathering = progress.registration.model, progress.gathering
        until = await self._log.newest_position(model)
        if not gathering.lacking or not is_after(until, gathering.position):
            return False
        read = await self._judged.read_again(model, gathering.position, until, READ_BATCHES)
        # Asked after reading: what was dropped before it was read is missing among these.
        if is_after(await self._judged.dropped_until(model), gathering.position):
            return True
        batches = [await progress.order.arranged(each) for each in read]
        labels: Sequence[RowLabels | None] = [None] * len(batches)
        if progress.labels is not None:
            labels = await to_thread.run_sync(progress.labels.label, batches)
        for batch, own in zip(batches, labels, strict=True):
            gathering.take(batch, own)
        progress.gaps = 0
        return bool(read)

    async def _candidate(self, progress: _Progress) -> _Candidate:
        """Fitted, and calibrated where the one before is. Raises `InvalidReference`, `InvalidPlan`."""
        before = progress.registration
        made, digest = await to_thread.run_sync(_made, progress.gathering)
        registration = replace(
            before,
            revision=before.revision + 1,
            reference_digest=digest,
            reference_rows=len(made.reference.rows),
            schema=made.schema,
            registered_at=self._clock(),
        )
        after = await self._fitted.fitted(registration, made.reference)
        reason = why_not(await self._fitted.fitted(before), after, readiness(after).shortfall)
        if reason:
            raise _NotRenewed(reason)
        return _Candidate(registration, made.reference)


def _made(gathering: Gathering) -> tuple[Described, str]:
    """With the reference's digest; on a thread, because it may be large."""
    made = gathering.described()
    check_reference(made.reference)
    return made, codec.digest(encode_reference(made.reference))
