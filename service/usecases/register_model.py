"""Put a model under watch: register its reference, change its plan."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from anyio import to_thread

from detectors import codec
from service.domain.companion import companion_of, companion_plan, is_companion, reference_of_outcomes
from service.domain.described_reference import Described, described
from service.domain.errors import ConcurrentChange, Fault, InvalidPlan, UnknownModel, UnknownRevision
from service.domain.fitted_plan import FittedPlan
from service.domain.models import LOG_START, ModelName, Reference
from service.domain.performance import PerformancePlan
from service.domain.plan import Plan, check, default_plan, with_columns
from service.domain.registration import Registration, check_reference, encode_reference
from service.domain.retraining.gathering import why_never
from service.domain.schema import DeclaredColumn, Schema
from service.domain.sent_columns import SentColumns
from service.ports import Clock, ObservationLog, Registrations
from service.usecases.fitted_models import FittedModels, Readiness, readiness
from service.usecases.registered_models import RegisteredModels

_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Registered:
    """What a registration answers."""

    registration: Registration
    readiness: Readiness
    changed: bool
    """False: exactly this was registered already."""


@dataclass(frozen=True, slots=True)
class _Companion:
    """What is registered beside a model."""

    registration: Registration
    outcomes: Reference


def _refuse_nothing(_: Registration, __: FittedPlan) -> None:
    """Where nobody asks for another plan."""


def _refuse_in_vain(registration: Registration, fitted: FittedPlan) -> None:
    """Raise `InvalidPlan` where no new reference could ever be what the plan needs."""
    wanted = registration.plan.response.new_reference
    if wanted is not None and (why := why_never(registration, wanted.rows, fitted)):
        raise InvalidPlan(Fault("response.new_reference.rows", why))


class RegisterModel:
    """Both verbs read the newest registration and add the next; another writer in between means reading again."""

    def __init__(
        self,
        registrations: Registrations,
        models: RegisteredModels,
        fitted: FittedModels,
        log: ObservationLog,
        clock: Clock,
        *,
        optional_engines: bool,
    ) -> None:
        self._registrations = registrations
        self._models = models
        self._fitted = fitted
        self._log = log
        self._clock = clock
        self._optional_engines = optional_engines

    async def reference(
        self, model: ModelName, sent: SentColumns, declared: Sequence[DeclaredColumn] | None = None
    ) -> Registered:
        """Replace the reference; windows begin anew after it. Raises `InvalidReference`, `StoreUnavailable`.

        `declared` None: what was declared before holds, of the columns that are still there.
        """
        await self._models.refuse_companion(model)
        strict = declared is not None
        if declared is None:
            before = await self._registrations.newest(model)
            declared = () if before is None else before.declared
        said = tuple(declared)
        made, digest = await to_thread.run_sync(partial(_described, sent, said, strict=strict))
        reference, schema = made.reference, made.schema

        def next_one(newest: Registration | None) -> Registration | None:
            found = None if newest is None else (newest.reference_digest, newest.schema, newest.declared)
            if found == (digest, schema, said):
                return None
            same_rows = newest is not None and newest.reference_digest == digest
            return Registration(
                revision=1 if newest is None else newest.revision + 1,
                model=model,
                features=reference.features,
                reference_digest=digest,
                reference_rows=len(reference.rows),
                plan=_plan(newest, schema),
                since=newest.since if newest is not None and same_rows else LOG_START,
                registered_at=self._clock(),
                schema=schema,
                declared=said,
            )

        return await self._change(model, next_one, reference)

    async def plan(self, model: ModelName, plan: Plan) -> Registered:
        """Replace the plan; rows not judged yet are judged by it. Raises `InvalidPlan`, `UnknownModel`."""
        check(plan, optional_engines=self._optional_engines)
        await self._models.refuse_companion(model)

        def next_one(newest: Registration | None) -> Registration | None:
            if newest is None:
                raise UnknownModel(
                    f"model {model!r} has no reference yet: PUT it to /v1/models/{model}/reference first"
                )
            if newest.plan == plan:
                return None
            return replace(newest, revision=newest.revision + 1, plan=plan, registered_at=self._clock())

        return await self._change(model, next_one, None, _refuse_in_vain)

    async def history(self, model: ModelName) -> Sequence[Registration]:
        """Those that are kept, newest first. Raises `UnknownModel`, `StoreUnavailable`, `CorruptedState`."""
        found = await self._registrations.revisions(model)
        if not found:
            raise UnknownModel.here(model)
        return found

    async def activate(self, model: ModelName, revision: int) -> Registered:
        """Go back to an earlier registration, as a new one: its reference, its plan.

        Windows begin anew where the reference is another. Raises `UnknownModel`, `UnknownRevision`, `CorruptedState`,
        `StoreUnavailable`, and `InvalidPlan` where the plan needs an engine that is switched off since.
        """
        await self._models.refuse_companion(model)
        earlier = await self._registrations.revision(model, revision)
        if earlier is None:
            await self._models.current(model)
            raise UnknownRevision(f"model {model!r} has no registration {revision}, or it is not kept any more")
        check(earlier.plan, optional_engines=self._optional_engines)
        reference = await self._registrations.reference(earlier)

        def next_one(newest: Registration | None) -> Registration | None:
            if newest is None:  # the store was emptied meanwhile
                raise UnknownModel(f"no model is registered as {model!r}")
            if replace(newest, revision=0, since=earlier.since, registered_at=earlier.registered_at) == replace(
                earlier, revision=0
            ):
                return None
            return replace(earlier, revision=newest.revision + 1, since=newest.since, registered_at=self._clock())

        return await self._change(model, next_one, reference)

    async def renewed(self, registration: Registration, reference: Reference) -> Registered:
        """Put a reference made of the model's own traffic in the place of the one before; windows begin anew.

        Raises `ConcurrentChange` if that one, under its plan, is not the newest any more; and as `reference` does.
        """

        def next_one(newest: Registration | None) -> Registration | None:
            if newest is None or newest.revision != registration.revision - 1:
                raise ConcurrentChange(f"model {registration.model!r} was registered by somebody else meanwhile")
            return registration

        return await self._change(registration.model, next_one, reference)

    async def _change(
        self,
        model: ModelName,
        next_one: Callable[[Registration | None], Registration | None],
        reference: Reference | None,
        refuse: Callable[[Registration, FittedPlan], None] = _refuse_nothing,
    ) -> Registered:
        for _ in range(_ATTEMPTS):
            newest = await self._registrations.newest(model)
            registration = next_one(newest)
            if registration is None:
                assert newest is not None  # noqa: S101 - nothing can be unchanged against nothing
                await self._register_beside(newest, await self._companion(newest, reference))
                if reference is not None:
                    # Nothing is added under a revision that is there, but a damaged reference is whole again.
                    await self._registrations.register(newest, reference)
                return Registered(newest, readiness(await self._fitted.fitted(newest, reference)), changed=False)
            # Fitted before anything is stored: what cannot be fitted must not be registered.
            fitted = await self._fitted.fitted(registration, reference)
            refuse(registration, fitted)
            companion = await self._companion(registration, reference)
            replaces = newest is None or newest.reference_digest != registration.reference_digest
            if replaces:  # only now: fitting takes a while, and batches come in meanwhile
                registration = replace(registration, since=await self._log.newest_position(model))
            if await self._registrations.register(registration, reference):
                self._models.remember(registration)
                await self._register_beside(registration, companion)
                return Registered(registration, readiness(fitted), changed=True)
        raise ConcurrentChange(f"model {model!r} is being registered by others at the same time")

    async def _companion(self, registration: Registration, reference: Reference | None) -> _Companion | None:
        """Of a model whose plan asks for performance, fitted. Raises `InvalidPlan`, `InvalidReference`."""
        asked = with_columns(registration.plan, registration.schema).performance
        if asked is None:
            return None
        name = companion_of(registration.model)
        _refuse_another(name, await self._registrations.newest(name))
        if reference is None:
            reference = await self._registrations.reference(registration)
        outcomes, digest = await to_thread.run_sync(_outcomes, asked, reference)
        made = Registration(
            revision=1,
            model=name,
            features=outcomes.features,
            reference_digest=digest,
            reference_rows=len(outcomes.rows),
            plan=companion_plan(registration.plan, asked),
            since=LOG_START,
            registered_at=self._clock(),
        )
        await self._fitted.fitted(made, outcomes)
        return _Companion(made, outcomes)

    async def _register_beside(self, registration: Registration, companion: _Companion | None) -> None:
        """Until it is the newest registration's: of two at the same time, the later one's may have come first.

        Also where nothing has changed: whoever registered its model may have been ended before this.
        """
        for _ in range(_ATTEMPTS):
            if companion is None:
                return
            await self._register(companion)
            newest = await self._registrations.newest(registration.model)
            if newest is None or newest.revision == registration.revision:
                return
            registration, companion = newest, await self._companion(newest, None)
        raise ConcurrentChange(f"model {registration.model!r} is being registered by others at the same time")

    async def _register(self, companion: _Companion) -> None:
        made = companion.registration

        def next_one(newest: Registration | None) -> Registration | None:
            if newest is None:
                return made
            _refuse_another(made.model, newest)
            if (newest.reference_digest, newest.plan) == (made.reference_digest, made.plan):
                return None
            return replace(made, revision=newest.revision + 1, since=newest.since)

        await self._change(made.model, next_one, companion.outcomes)


def _refuse_another(name: ModelName, newest: Registration | None) -> None:
    """Raise `InvalidPlan` if what is registered under a companion's name is no companion."""
    if newest is not None and not is_companion(newest):
        message = f"needs the name {name!r} for what labels say, and another model has it"
        raise InvalidPlan(Fault("performance", message))


def _plan(newest: Registration | None, schema: Schema) -> Plan:
    """What was planned holds for later references; what nobody planned follows from their columns."""
    if newest is None or newest.plan == default_plan(newest.schema):
        return default_plan(schema)
    return newest.plan


def _described(sent: SentColumns, declared: tuple[DeclaredColumn, ...], *, strict: bool) -> tuple[Described, str]:
    """With the reference's digest; on a thread, because it may be large."""
    made = described(sent, declared, strict=strict)
    check_reference(made.reference)
    return made, codec.digest(encode_reference(made.reference))


def _outcomes(asked: PerformancePlan, reference: Reference) -> tuple[Reference, str]:
    """Likewise."""
    made = reference_of_outcomes(asked, reference)
    return made, codec.digest(encode_reference(made))
