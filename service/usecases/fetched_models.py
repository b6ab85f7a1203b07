"""What a sidecar knows of the central service's registrations: fetched when asked for first, kept in its own store."""

import logging
from collections.abc import Callable
from dataclasses import replace

import anyio
from anyio import CapacityLimiter, to_thread

from service.domain.errors import (
    CentralRefused,
    CentralUnavailable,
    CorruptedState,
    InvalidPlan,
    UnknownModel,
)
from service.domain.models import LOG_START, ModelName, Reference
from service.domain.plan import check
from service.domain.registration import Registration, decode_reference
from service.ports import Central, Registrations
from service.usecases.registered_models import RegisteredModels

ASKED_AT_ONCE = 8
_SILENT_SECONDS = 60.0
_log = logging.getLogger(__name__)


class FetchedModels(RegisteredModels):
    """Registrations in the sidecar's own store are numbered by itself: the central service's numbers may begin anew."""

    def __init__(
        self,
        registrations: Registrations,
        central: Central,
        monotonic: Callable[[], float],
        *,
        optional_engines: bool,
    ) -> None:
        super().__init__(registrations, monotonic)
        self._registrations = registrations
        self._central = central
        self._optional_engines = optional_engines
        self._silent_until = 0.0
        self._asking = CapacityLimiter(ASKED_AT_ONCE)
        self._under_way: dict[ModelName, anyio.Lock] = {}
        self._tags: dict[ModelName, str] = {}
        self._gone: set[ModelName] = set()
        """Known here, and no longer to the central service when it was asked last."""

    async def current(self, model: ModelName) -> Registration:
        """The one kept here, however long the central service has been away, for rows that come in.

        These are kept as rows until they are forwarded, whatever the plan keeps of them in the end: should it change
        meanwhile, they are summarised anew. Raises `UnknownModel` once the central service has been asked,
        `CentralUnavailable` where it cannot be.
        """
        if model in self._gone:
            raise _unknown(model)
        try:
            registration = await super().current(model)
        except UnknownModel:
            registration = await self.refresh(model)
        plan = registration.plan
        return replace(registration, plan=replace(plan, window=replace(plan.window, keep="rows")))

    async def refresh(self, model: ModelName) -> Registration:
        """Ask the central service; what has changed is kept. Raises `UnknownModel`, `CentralUnavailable`."""
        lock = self._under_way.setdefault(model, anyio.Lock())
        try:
            async with lock, self._asking:
                return await self._refreshed(model)
        except CentralRefused as error:
            self._say(error)
            raise
        finally:
            if not lock.statistics().tasks_waiting:
                self._under_way.pop(model, None)

    def _say(self, error: CentralRefused) -> None:
        """Callers are told each time, and cannot do anything about it; who runs the sidecar is told now and then."""
        if self._monotonic() >= self._silent_until:
            self._silent_until = self._monotonic() + _SILENT_SECONDS
            _log.warning("no registration can be fetched: %s (DRIFT_FORWARD__TOKEN_FILE: verbs read and ingest)", error)

    async def _refreshed(self, model: ModelName) -> Registration:
        kept = await self._registrations.newest(model)
        try:
            told = await self._central.registration(model, self._tags.get(model) if kept is not None else None)
        except UnknownModel:
            if kept is not None:
                self._gone.add(model)
            raise _unknown(model) from None
        self._gone.discard(model)
        if told is None:
            assert kept is not None  # noqa: S101 - without one no tag was sent
            return kept
        if kept is None or not _says_the_same(kept, told.registration):
            kept = await self._keep(kept, told.registration)
        self._tags[model] = told.tag
        return kept

    async def _keep(self, before: Registration | None, told: Registration) -> Registration:
        try:
            check(told.plan, optional_engines=self._optional_engines)
        except InvalidPlan as error:
            message = f"the plan of model {told.model} cannot be carried out by this release: {error}"
            raise CentralRefused(message) from error
        same = before is not None and before.reference_digest == told.reference_digest
        reference = None if same else await self._reference(told)
        registration = Registration(
            revision=1 if before is None else before.revision + 1,
            model=told.model,
            features=told.features,
            reference_digest=told.reference_digest,
            reference_rows=told.reference_rows,
            plan=told.plan,
            since=LOG_START,  # whatever is not forwarded yet goes out under this one
            registered_at=told.registered_at,
            schema=told.schema,
        )
        await self._registrations.register(registration, reference)
        self.remember(registration)
        _log.info("registration fetched", extra={"model": told.model, "revision": told.revision})
        return registration

    async def _reference(self, told: Registration) -> Reference:
        blob = await self._central.reference(told.model)
        try:
            reference = await to_thread.run_sync(decode_reference, blob, told.reference_digest)
        except CorruptedState as error:
            # Replaced between two questions, or damaged on its way: asked again, it may be right.
            message = f"the reference of model {told.model} that came is not the one that was announced"
            raise CentralUnavailable(message) from error
        if reference.features != told.features:
            raise CentralUnavailable(f"the reference of model {told.model} has other features than were announced")
        return reference


def _says_the_same(kept: Registration, told: Registration) -> bool:
    return (kept.reference_digest, kept.plan, kept.schema, kept.registered_at) == (
        told.reference_digest,
        told.plan,
        told.schema,
        told.registered_at,
    )


def _unknown(model: ModelName) -> UnknownModel:
    return UnknownModel(f"the central service knows no model {model!r}: PUT its reference there first")
