"""Test rows at once, as the plan would a window of them: for a batch job, a pull request, a look. Nothing is stored."""

from dataclasses import dataclass

from anyio import CapacityLimiter, to_thread

from service.domain.errors import Fault, InvalidBatch
from service.domain.judgement import judged_alone
from service.domain.models import Decision, ModelName
from service.domain.plan import DEFAULT_SAMPLE_ROWS
from service.domain.registration import Registration
from service.usecases.fitted_models import FittedModels
from service.usecases.observe_batch import Observations, matched_rows, row_times
from service.usecases.registered_models import RegisteredModels

MAXIMUM_ROWS = DEFAULT_SAMPLE_ROWS


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What was found, and by what."""

    registration: Registration
    rows: int
    decision: Decision


class EvaluateRows:
    """Reads only."""

    def __init__(self, models: RegisteredModels, fitted: FittedModels, limiter: CapacityLimiter) -> None:
        self._models = models
        self._fitted = fitted
        self._limiter = limiter

    async def keeps_text(self, model: ModelName) -> bool:
        """Whether text among rows of this model has to be read. Raises `UnknownModel`, `StoreUnavailable`."""
        return (await self._models.current(model)).keeps_text

    async def __call__(self, model: ModelName, observations: Observations) -> Evaluated:
        """Raises `UnknownModel`, `InvalidBatch`, `StoreUnavailable`, `CorruptedState`."""
        registration = await self._models.current(model)
        matched = await matched_rows(observations, registration, refuses=False)
        rows, times = matched.rows, row_times(observations, matched)
        if times is None and registration.plan.decision.season is not None:
            message = "is missing: the plan of this model compares rows by their times (decision.season)"
            raise InvalidBatch(Fault("observed_at", message))
        if len(rows) > MAXIMUM_ROWS:
            raise InvalidBatch(Fault("rows", f"are {len(rows)}, and at most {MAXIMUM_ROWS} are tested at once"))
        few = len(rows) < registration.plan.window.minimum_rows
        tested = None if few else len(rows)
        fitted = await self._fitted.fitted(registration, tested_rows=tested, of_any_size=True)
        decision = await to_thread.run_sync(
            judged_alone, fitted, rows, times, limiter=self._limiter, abandon_on_cancel=True
        )
        return Evaluated(registration, len(rows), decision)
