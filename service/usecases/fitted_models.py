"""Fitted plans, each made once for a reference and a plan, off the event loop, and kept while in use."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import anyio
from anyio import CapacityLimiter, to_thread

from detectors.arrays import Backend
from service.domain.fitted_plan import FittedPlan, Sensitivity, block_size, calibrated_at, fit
from service.domain.models import Reference
from service.domain.plan import with_columns
from service.domain.registration import Registration
from service.domain.season import FittedSeasons
from service.ports import Registrations

KEPT = 64
"""Fitted plans kept in memory; the least recently used goes first and is fitted again when needed."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """What a reference and a plan can do together."""

    calibrated: bool
    window_rows: int
    """Rows of a window that is judged so; where windows vary, of the largest that the reference is long enough for."""
    blocks: int
    """Contiguous blocks of that size that the reference has."""
    blocks_needed: int
    """How many the plan's false-alarm rate needs."""
    reference_rows_needed: int
    false_alarm_rate: float | None
    """Share of the reference's own blocks that would have alarmed, each judged by the others."""
    false_alarm_interval: tuple[float, float] | None
    """Its 95 % confidence interval."""
    effective_blocks: float | None
    """Independent blocks that say as much as these, which follow one another."""
    sensitivities: tuple[Sensitivity, ...]
    """What each detector sees."""
    seasons: FittedSeasons | None
    """What the reference has of them; None where the plan has none."""
    shortfall: str
    """Why this reference does not calibrate this plan, and what would; empty if it does."""


@dataclass(frozen=True, slots=True)
class _Sizes:
    """A fitted plan, and the same calibrated for windows of other sizes."""

    first: FittedPlan
    by_block_rows: dict[int, FittedPlan]


def _trusts_everything(_: Registration) -> None:
    """Where nothing is read again."""


class FittedModels:
    """Shared by registration (which wants to know whether it calibrates) and evaluation (which uses it)."""

    def __init__(
        self,
        registrations: Registrations,
        limiter: CapacityLimiter,
        backend: Backend,
        refuse_untrusted: Callable[[Registration], None] = _trusts_everything,
    ) -> None:
        """`refuse_untrusted` raises where the store no longer has what was fitted, though it is in memory."""
        self._registrations = registrations
        self._refuse_untrusted = refuse_untrusted
        self._backend = backend
        self._limiter = limiter
        self._kept: OrderedDict[tuple[str, str], _Sizes] = OrderedDict()
        self._fitting: dict[tuple[str, str], anyio.Lock] = {}

    async def fitted(
        self,
        registration: Registration,
        reference: Reference | None = None,
        *,
        tested_rows: int | None = None,
        of_any_size: bool = False,
    ) -> FittedPlan:
        """The plan fitted on `reference`, or on the stored one, and calibrated for a window of so many tested rows.

        `of_any_size`: also where the plan's windows are all of another size.

        Raises `CorruptedState` if the stored registration or reference is not what it was, `StoreUnavailable`,
        `InvalidReference` if a detector cannot be fitted on it, and `InvalidPlan` if the plan looks at columns that it
        does not have.
        """
        if reference is None:
            self._refuse_untrusted(registration)
        plan = with_columns(registration.plan, registration.schema)
        key = (registration.reference_digest, plan.digest)
        lock = self._fitting.setdefault(key, anyio.Lock())
        try:
            async with lock:
                if key in self._kept:
                    self._kept.move_to_end(key)
                else:
                    if reference is None:
                        reference = await self._registrations.reference(registration)
                    made = await self._on_a_thread(fit, plan, reference, self._backend)
                    self._kept[key] = _Sizes(made, {made.block_rows: made})
                    if len(self._kept) > KEPT:
                        self._kept.popitem(last=False)
                return await self._sized(self._kept[key], registration, tested_rows, of_any_size=of_any_size)
        finally:
            if not lock.statistics().tasks_waiting:
                self._fitting.pop(key, None)

    async def _sized(
        self, kept: _Sizes, registration: Registration, tested_rows: int | None, *, of_any_size: bool
    ) -> FittedPlan:
        first, window = kept.first, registration.plan.window
        if tested_rows is None or not (window.varies or of_any_size):
            return first
        rows = block_size(window, tested_rows, first.reference_rows, first.blocks_needed, of_any_size=of_any_size)
        if rows not in kept.by_block_rows:
            reference = await self._registrations.reference(registration)
            kept.by_block_rows[rows] = await self._on_a_thread(calibrated_at, first, rows, reference, self._backend)
        return kept.by_block_rows[rows]

    async def _on_a_thread(self, make: Callable[..., FittedPlan], *arguments: Any) -> FittedPlan:
        return await to_thread.run_sync(make, *arguments, limiter=self._limiter, abandon_on_cancel=True)


def readiness(fitted: FittedPlan) -> Readiness:
    """What the API answers to a registration."""
    alarms = fitted.calibration.false_alarms if fitted.calibration is not None else None
    return Readiness(
        calibrated=fitted.calibration is not None,
        window_rows=fitted.block_rows,
        blocks=fitted.blocks,
        blocks_needed=fitted.blocks_needed,
        reference_rows_needed=fitted.blocks_needed * fitted.block_rows,
        false_alarm_rate=None if alarms is None else alarms.rate,
        false_alarm_interval=None if alarms is None else (alarms.lower, alarms.upper),
        effective_blocks=None if fitted.calibration is None else fitted.calibration.effective_blocks,
        sensitivities=() if fitted.calibration is None else fitted.calibration.sensitivities,
        seasons=fitted.seasons,
        shortfall=_shortfall(fitted),
    )


def _shortfall(fitted: FittedPlan) -> str:
    if fitted.calibration is not None:
        return ""
    if fitted.blocks >= fitted.blocks_needed:
        return "some block of the reference has too many missing values to be measured: larger windows would help"
    have = f"{fitted.reference_rows} rows make {fitted.blocks} blocks of {fitted.block_rows}"
    needed = (
        f"{fitted.blocks_needed} are needed, which are {fitted.blocks_needed * fitted.block_rows} rows in time order"
    )
    return f"{have}, and {needed}"
