"""Models whose reference is renewed get their turns, whatever becomes of the others."""

from collections import defaultdict
from collections.abc import Awaitable, Callable

import anyio
import anyio.lowlevel
import pytest

from service.domain.errors import StoreUnavailable
from service.domain.models import ModelName
from service.domain.sharing import Outlook
from service.telemetry.metrics import Metrics
from service.usecases.attempts import Attempts
from service.usecases.keep_renewing import KeepRenewing
from tests.processes.waiting import eventually_async

pytestmark = pytest.mark.anyio
A, B, C = (ModelName(name) for name in "abc")


async def run_until(
    done: Callable[[], bool], renew: Callable[[ModelName], Awaitable[Outlook]], *models: ModelName, poll: float = 0.001
) -> Metrics:
    metrics = Metrics(10, 10)
    keep = KeepRenewing(renew, Attempts(metrics), poll)

    async def is_done() -> bool:
        return done()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keep.run)
        for model in models:
            await anyio.lowlevel.checkpoint()  # some while it waits, others while it is at it
            keep.came(model)
        await eventually_async(is_done, "the models had their turns")
        tasks.cancel_scope.cancel()
    return metrics


async def test_a_model_has_its_turns_until_there_is_nothing_to_do_and_one_that_fails_holds_up_none() -> None:
    turns: defaultdict[ModelName, int] = defaultdict(int)

    async def renew(model: ModelName) -> Outlook:
        turns[model] += 1
        if model == B:
            raise StoreUnavailable("away")
        return Outlook.NOTHING if turns[model] >= 5 else Outlook.MORE

    metrics = await run_until(lambda: turns[B] >= 10 and turns[C] >= 5, renew, A, B, C)
    assert (turns[A], turns[C]) == (5, 5)
    assert metrics.evaluation_failures.labels(B, "StoreUnavailable")._value.get() >= 10


async def test_what_waits_is_looked_at_again_in_the_next_round_and_what_comes_at_once() -> None:
    turns: defaultdict[ModelName, int] = defaultdict(int)

    async def renew(model: ModelName) -> Outlook:
        turns[model] += 1
        return Outlook.LATER if turns[model] == 1 else Outlook.NOTHING

    await run_until(lambda: turns[A] >= 2, renew, A)
    turns.clear()
    await run_until(lambda: len(turns) == 3, renew, A, B, C, poll=3600)
    assert set(turns.values()) <= {1, 2}
