"""Windows that drift as fast as somebody can send rows, for a day: how many runs that starts, and how far apart."""

import asyncio
import secrets
import tempfile
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

from service.adapters.embedded_store import embedded_store
from service.adapters.store import connection
from service.domain.retraining.record import Phase
from service.domain.retraining.response_plan import ResponsePlan
from tests.integration.retraining.conftest import Retraining
from tests.soak.figures import Figure

DAY_SECONDS = 86_400
BURSTS = 100


async def force(retraining: Retraining, events: int) -> list[datetime]:
    """A day of them; runs end as soon as they are there, so that nothing but the pace holds the next one up."""
    starts = []
    for number in range(1, events + 1):
        await retraining.drift()
        if number % (events // BURSTS) == 0:
            await retraining.settle()
            if await retraining.phase() is Phase.RUNNING:
                starts.append(retraining.time.now)
                await retraining.end()
        retraining.time.pass_by(seconds=DAY_SECONDS / events)
    assert len(await retraining.shown()) == events, "each is decided, and shown"
    assert len(retraining.target.names) == len(starts)
    return starts


def forced_events(events: int) -> list[Figure]:
    """On a store of its own."""
    plan = ResponsePlan(confirm=1, out_of=1, cool_down=0, at_most_per_day=100)
    starts = asyncio.run(_forced(plan, events))
    closest = min(later - earlier for earlier, later in pairwise(starts))
    cool_down = timedelta(seconds=plan.cool_down_seconds)
    return [
        Figure("R23", f"runs in a day of {events} drift events", len(starts), "runs", timedelta(days=1) / cool_down),
        Figure("R23", "starts closer than the cool-down", float(closest < cool_down), "starts", 0),
    ]


async def _forced(plan: ResponsePlan, events: int) -> list[datetime]:
    with tempfile.TemporaryDirectory() as directory, embedded_store(Path(directory)) as url:
        async with connection(url, 10.0) as redis:
            retraining = Retraining(redis, secrets.token_hex(8), plan)
            await retraining.register()
            return await force(retraining, events)
