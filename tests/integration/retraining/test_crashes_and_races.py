"""Replicas that are ended between any two steps, and replicas that race: one run, and one entry for each step."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from service.adapters.store import Client, connection
from service.domain.models import TriggerOutcome
from service.domain.retraining.response_plan import ResponsePlan
from service.domain.sharing import Outlook
from tests.conformance.ports.documents import MODEL
from tests.integration.retraining.conftest import Retraining

pytestmark = pytest.mark.anyio

EVERY_WINDOW = ResponsePlan(confirm=1, out_of=1, cool_down=0)
THERE = {TriggerOutcome.CREATED, TriggerOutcome.ALREADY_EXISTS}


class Ended(Exception):
    """The process is ended here."""


@dataclass
class Life:
    """Of a process: it ends before or after its n-th word to the outside world."""

    left: int
    after: bool
    spoken: int = field(default=0)

    def of(self, port: object) -> Any:
        return _Mortal(port, self)


class _Mortal:
    def __init__(self, port: object, life: Life) -> None:
        self._port, self._life = port, life

    def __getattr__(self, name: str) -> Callable[..., Any]:
        async def asked(*arguments: object) -> object:
            life = self._life
            life.spoken += 1
            if life.spoken == life.left and not life.after:
                raise Ended
            answer = await getattr(self._port, name)(*arguments)
            if life.spoken == life.left:
                raise Ended
            return answer

        return asked


@pytest.fixture
async def redis(retraining_store: str) -> AsyncIterator[Client]:
    async with connection(retraining_store, 10.0) as client:
        yield client


async def with_work(redis: Client) -> Retraining:
    """Two drift events, and a run that somebody asked for."""
    made = Retraining(redis, secrets.token_hex(8), EVERY_WINDOW)
    await made.register()
    for _ in range(2):
        await made.drift()
    await made.ask()
    return made


async def live(retraining: Retraining, life: Life) -> None:
    """One process, until it has nothing to do or is ended."""
    mortal = retraining.replica(
        verdicts=life.of(retraining.verdicts),
        deliveries=life.of(retraining.deliveries),
        record=life.of(retraining.record),
        target=life.of(retraining.target),
        vetter=life.of(retraining.vetter),
    )
    while await mortal(MODEL) is Outlook.MORE:
        pass


async def outcome(retraining: Retraining) -> tuple[list[str], list[tuple[int, str]]]:
    shown = [(each.verdict_number, each.receipt.outcome.value) for each in await retraining.shown()]
    return await retraining.said(), shown


@pytest.mark.parametrize("after", [False, True], ids=["before it speaks", "after it has spoken"])
async def test_a_process_that_is_ended_anywhere_is_continued_by_the_next(redis: Client, *, after: bool) -> None:
    undisturbed = await with_work(redis)
    whole = Life(0, after)
    await live(undisturbed, whole)
    expected = await outcome(undisturbed)
    assert expected[0] == ["ASKED", "PERMITTED", "STARTED", "REFUSED under_way", "REFUSED under_way"]
    assert whole.spoken > 20
    for left in range(1, whole.spoken + 1):
        retraining = await with_work(redis)
        with pytest.raises(Ended):
            await live(retraining, Life(left, after))
        await retraining.settle()
        assert await outcome(retraining) == expected, left
        assert len(retraining.target.names) == 1, left


async def test_a_drift_event_is_started_once_wherever_processes_are_ended_one_after_another(redis: Client) -> None:
    """Each process gets one word farther than the one before."""
    retraining = Retraining(redis, secrets.token_hex(8), EVERY_WINDOW)
    await retraining.register()
    verdict = await retraining.drift()
    left, ended = 1, 0
    while True:
        try:
            await live(retraining, Life(left, after=left % 2 == 0))
            break
        except Ended:
            left, ended = left + 1, ended + 1
    assert ended > 5
    assert verdict.action is not None
    assert retraining.target.names == [verdict.action.name]
    assert await retraining.said() == ["PERMITTED", "STARTED"]
    (shown,) = await retraining.shown()
    assert shown.receipt.outcome in THERE


async def test_replicas_that_race_start_each_permitted_run_once(redis: Client) -> None:
    eager = replace(EVERY_WINDOW, cool_down_seconds=0, at_most_per_day=100, back_off_seconds=0)
    retraining = Retraining(redis, secrets.token_hex(8), eager)
    await retraining.register()
    replicas = [retraining.replica() for _ in range(3)]
    for number in range(40):
        await retraining.drift()
        if number % 5 == 0:
            await retraining.ask(f"by-hand-{number}")
        await asyncio.gather(*(replica(MODEL) for replica in replicas))
        await retraining.settle()
        if await retraining.phase() is not None:
            await retraining.end()
    entries = await retraining.entries()
    permitted = [entry.run for entry in entries if entry.step == "PERMITTED"]
    assert permitted == [entry.run for entry in entries if entry.step == "STARTED"]
    assert permitted == retraining.target.names
    assert len(set(permitted)) == len(permitted) >= 40
    assert [each.verdict_number for each in await retraining.shown()] == list(range(1, 41))
    decided = [entry for entry in entries if entry.step in {"PERMITTED", "REFUSED"}]
    assert len(decided) == 48, "each drift event and each wish is decided once"
