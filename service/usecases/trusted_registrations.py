"""Registrations and references of models that are in use here, and that must stay what they were when they came.

Both are immutable: a revision is registered once, a reference is named by its digest. So whatever is in their place and
is not the same was put there past the service. Each is read again now and then while it is in use, though what was
fitted on it is in memory; and nothing is judged by what is no longer there.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import anyio

from service.domain.errors import CorruptedState, ReferenceNotTrusted, StoreUnavailable
from service.domain.models import ModelName, Reference
from service.domain.registration import Registration
from service.ports import Registrations
from service.telemetry.metrics import Metrics

_log = logging.getLogger(__name__)
RETRY_SECONDS = 10.0
"""What is not trusted is looked at so often: registered again, it is at once what it should be."""
_ONE_OF = 10
"""Seconds, one at the most is spent on it: where there are many references, their turns come later."""


@dataclass(slots=True)
class _Known:
    registration: Registration
    due: float
    """When it is to be read again."""
    verified_at: float | None = None
    fault: str = ""
    """Why it is not trusted; empty if it is."""


@dataclass(frozen=True, slots=True)
class ShownReference:
    """How a model's registration and reference are."""

    model: ModelName
    reference_digest: str
    revision: int
    fault: str
    age_seconds: float | None
    """Since the stored reference was verified last; None: it was not read here yet."""


class TrustedRegistrations:
    """`service.ports.Registrations` that remembers what it gave, and notices where that has changed."""

    def __init__(
        self, registrations: Registrations, interval_seconds: float, monotonic: Callable[[], float], metrics: Metrics
    ) -> None:
        self._registrations = registrations
        self._interval_seconds = interval_seconds
        self._monotonic = monotonic
        self._metrics = metrics
        self._known: dict[ModelName, _Known] = {}

    async def run(self) -> None:
        """Until cancelled: read again what is due, one after the other."""
        while True:
            await anyio.sleep(min(1.0, self._interval_seconds))
            for model, known in list(self._known.items()):
                begun = self._monotonic()
                if begun >= known.due:
                    await self._look(model, known)
                    await anyio.sleep((_ONE_OF - 1) * (self._monotonic() - begun))

    def shown(self) -> Sequence[ShownReference]:
        """What is in use here."""
        return [
            ShownReference(
                model,
                known.registration.reference_digest,
                known.registration.revision,
                known.fault,
                None if known.verified_at is None else self._monotonic() - known.verified_at,
            )
            for model, known in sorted(self._known.items())
        ]

    async def newest(self, model: ModelName, /) -> Registration | None:
        registration = await self._registrations.newest(model)
        if registration is None:
            self._drop(model)
            return None
        known = self._known.get(model)
        if known is None or not known.registration.is_same_as(registration):
            self._known[model] = known = _Known(registration, self._monotonic() + self._interval_seconds)
            self._show(model, known)
        elif edited := _edited(registration, known.registration):
            self._distrust(model, known, edited)
        return registration

    def refuse_untrusted(self, registration: Registration) -> None:
        """Before anything is judged by it. Raises `ReferenceNotTrusted`."""
        known = self._known.get(registration.model)
        if known is not None and known.fault and known.registration.is_same_as(registration):
            raise ReferenceNotTrusted(f"the reference of model {registration.model} is not trusted: {known.fault}")

    async def reference(self, registration: Registration, /) -> Reference:
        known = self._known.get(registration.model)
        try:
            reference = await self._registrations.reference(registration)
        except CorruptedState as error:
            in_use = known is not None and known.registration == registration
            passed = not in_use or await self._is_passed(registration)
            if known is not None and not passed and self._known.get(registration.model) is known:
                self._distrust(registration.model, known, str(error))
            raise ReferenceNotTrusted(f"the reference of model {registration.model} is not trusted: {error}") from error
        if known is not None and known.registration == registration:
            known.verified_at = self._monotonic()
        return reference

    async def models(self) -> Sequence[ModelName]:
        return await self._registrations.models()

    async def revision(self, model: ModelName, revision: int, /) -> Registration | None:
        return await self._registrations.revision(model, revision)

    async def revisions(self, model: ModelName, /) -> Sequence[Registration]:
        return await self._registrations.revisions(model)

    async def register(self, registration: Registration, reference: Reference | None, /) -> bool:
        return await self._registrations.register(registration, reference)

    async def forget(self, model: ModelName, /) -> bool:
        self._drop(model)
        return await self._registrations.forget(model)

    def _drop(self, model: ModelName) -> None:
        """It is not in use here any more."""
        if self._known.pop(model, None) is not None:
            self._metrics.reference_trusted.remove_by_labels({"model": model})

    async def _look(self, model: ModelName, known: _Known) -> None:
        """The whole of it, as if it were needed now."""
        known.due = self._monotonic() + self._interval_seconds
        try:
            fault = await self._fault_of(known.registration)
        except StoreUnavailable:
            return  # nothing is judged without it either, and that is told elsewhere
        if self._known.get(model) is not known:
            return  # registered anew meanwhile
        if fault is None:
            self._drop(model)  # another one is known when somebody needs it
        elif fault:
            self._distrust(model, known, fault)
        else:
            self._trust(model, known)

    async def _fault_of(self, registration: Registration) -> str | None:
        """Why it is not what it was, empty if it is; None if it is the model's newest no more."""
        try:
            stored = await self._registrations.newest(registration.model)
            if stored is None or not stored.is_same_as(registration):
                return None
            fault = _edited(stored, registration)
            await self._registrations.reference(stored)
        except CorruptedState as error:
            return None if await self._is_passed(registration) else str(error)
        return fault

    async def _is_passed(self, registration: Registration) -> bool:
        """Whether it was deleted while it was read, or one came after it: of a newer release, unreadable here."""
        model = registration.model
        with suppress(CorruptedState):
            newest = await self._registrations.newest(model)
            return newest is None or not newest.is_same_as(registration)
        with suppress(CorruptedState):
            return await self._registrations.revision(model, registration.revision) == registration
        return False

    def _trust(self, model: ModelName, known: _Known) -> None:
        known.verified_at = self._monotonic()
        if known.fault:
            _log.warning("the reference is what it was again", extra={"model": model})
        known.fault = ""
        self._show(model, known)

    def _distrust(self, model: ModelName, known: _Known, fault: str) -> None:
        if not known.fault:
            _log.error("the reference is not trusted, and nothing is judged by it: %s", fault, extra={"model": model})
        known.due = min(known.due, self._monotonic() + RETRY_SECONDS)
        known.fault = fault
        self._show(model, known)

    def _show(self, model: ModelName, known: _Known) -> None:
        if self._metrics.model(model) == model:
            self._metrics.reference_trusted.labels(model).set(not known.fault)


def _edited(stored: Registration, known: Registration) -> str:
    """Why it is not what was registered under that revision, if it is not: plan, schema and digest never change."""
    if stored == known:
        return ""
    return f"registration {stored.revision} has another plan, schema or reference than it had"
