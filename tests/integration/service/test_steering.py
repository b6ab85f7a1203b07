"""What people say of a run while others are at the same record: it is written down once, under their names."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from service.adapters.log import RedisObservationLog, RedisRetrainingRecord, RedisVerdictLog
from service.adapters.reference_store import RedisRegistrations
from service.adapters.store import Keys, connection
from service.domain.errors import ConcurrentChange, TriggerRejected, TriggerUnavailable, WrongMoment
from service.domain.models import ModelName
from service.domain.retraining import transitions
from service.domain.retraining.gate import Check, Refusal
from service.domain.retraining.record import Entry, Line
from service.domain.retraining.run import Progress, RunSeen
from service.ports import RetrainingRecord
from service.usecases import read_retraining
from service.usecases.read_retraining import ReadRetraining
from service.usecases.record_entries import add
from service.usecases.registered_models import RegisteredModels
from service.usecases.steer_runs import SteerRuns
from tests.unit.service.domain.retraining.records import CHURN, EVIDENCE, MADE, receipt_of, request

pytestmark = pytest.mark.anyio
RUN = "retrain-churn-1"
Meanwhile = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Target:
    """What happens when a run is released, and how it is, is the test's to say."""

    meanwhile: Meanwhile
    progress: Progress | None = None
    """None: nobody can see it."""

    async def watch(self, tell: object, /) -> None:
        raise NotImplementedError

    async def look(self, model: ModelName, name: str, /) -> RunSeen:
        if self.progress is None:
            raise TriggerUnavailable("nobody knows such a kind")
        return RunSeen(model, name, self.progress)

    async def release(self, *_: object) -> None:
        await self.meanwhile()


@dataclass(frozen=True, slots=True)
class Scene:
    record: RedisRetrainingRecord
    verdicts: RedisVerdictLog
    log: RedisObservationLog
    registrations: RedisRegistrations

    def steering(self, meanwhile: Meanwhile, progress: Progress | None = None) -> SteerRuns:
        models = RegisteredModels(self.registrations, lambda: 0.0)
        read = ReadRetraining(models, self.record, self.verdicts, now, None)
        return SteerRuns(read, self.record, self.log, Target(meanwhile, progress), now)

    async def newest(self) -> Line:
        line = await self.record.newest(CHURN)
        assert line is not None
        return line

    async def add(self, entry: Entry) -> None:
        assert await self.record.append(entry)

    async def told(self) -> list[str]:
        lines = await self.record.page(CHURN, 100, 100)
        return [line.entry.by for line in lines if line.entry.step == "TOLD"]

    async def by(self, step: str) -> list[str]:
        return [line.entry.by for line in await self.record.page(CHURN, 0, 100) if line.entry.step == step]


def now() -> datetime:
    return datetime.now(UTC)


async def nothing_else() -> None:
    """Happens meanwhile."""


@pytest.fixture
async def scene(shared_store: str) -> AsyncIterator[Scene]:
    """A run that waits to be released."""
    keys = Keys(secrets.token_hex(8))
    async with connection(shared_store, 15.0) as redis:
        made = Scene(
            RedisRetrainingRecord(redis, keys, 1000),
            RedisVerdictLog(redis, keys, 1000),
            RedisObservationLog(redis, keys, 10_000, 2**20, horizon=100),
            RedisRegistrations(redis, keys),
        )
        event = request(verdict=1)
        await made.add(transitions.permitted(None, event, EVIDENCE, now(), suspended=True))
        await made.add(transitions.started(await made.newest(), receipt_of(event), now()))
        yield made


async def test_who_released_a_run_is_on_record_though_it_was_seen_to_go_on_before(scene: Scene) -> None:
    async def seen() -> None:
        await scene.add(transitions.released(await scene.newest(), RUN, now(), ""))

    await scene.steering(seen).release(CHURN, RUN, "ana")
    assert await scene.by("RELEASED") == ["", "ana"]


async def test_a_run_that_ends_before_it_is_written_down_who_released_it_has_ended(scene: Scene) -> None:
    async def over() -> None:
        await scene.add(transitions.released(await scene.newest(), RUN, now(), ""))
        ended = transitions.ended(await scene.newest(), RunSeen(CHURN, RUN, Progress.SUCCEEDED), now(), renews=False)
        await scene.add(ended)

    await scene.steering(over).release(CHURN, RUN, "ana")
    assert (await scene.newest()).entry.step == "ENDED"


async def test_a_run_that_the_target_does_not_let_go_on_is_not_on_record_as_released(scene: Scene) -> None:
    async def refuse() -> None:
        raise TriggerRejected("not by this account")

    with pytest.raises(TriggerRejected):
        await scene.steering(refuse).release(CHURN, RUN, "ana")
    assert await scene.by("RELEASED") == []


async def test_a_run_that_goes_on_is_released_no_more(scene: Scene) -> None:
    steering = scene.steering(nothing_else)
    await steering.release(CHURN, RUN, "ana")
    with pytest.raises(WrongMoment, match="RUNNING"):
        await steering.release(CHURN, RUN, "bob")
    assert await scene.by("RELEASED") == ["ana"]


@pytest.mark.parametrize("progress", [Progress.GONE, None])
async def test_a_run_that_cannot_be_seen_is_over_when_somebody_says_so(scene: Scene, progress: Progress | None) -> None:
    await scene.steering(nothing_else, progress).give_up(CHURN, RUN, "ana", "that kind was taken away")
    assert await scene.by("ENDED") == ["ana"]
    assert (await scene.newest()).entry.state.underway is None


@pytest.mark.parametrize("progress", [Progress.RUNNING, Progress.SUCCEEDED])
async def test_a_run_that_can_be_seen_ends_as_it_does(scene: Scene, progress: Progress) -> None:
    """Two would be under way otherwise, or a success would be taken for a failure."""
    with pytest.raises(WrongMoment, match=progress):
        await scene.steering(nothing_else, progress).give_up(CHURN, RUN, "ana", "away with it")
    assert await scene.by("ENDED") == []


@pytest.mark.parametrize("is_over", [False, True])
async def test_the_model_of_a_run_that_took_long_is_told_though_its_first_entries_are_far_behind(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, *, is_over: bool
) -> None:
    monkeypatch.setattr(read_retraining, "MOST_LOOKED_AT", 100)
    under_way = Refusal(Check.PACE, "under_way", "one at a time is")
    for number in range(2, 110):
        event = request(f"retrain-churn-{number}", verdict=number)
        await scene.add(transitions.refused(await scene.newest(), event, under_way, now()))
    if is_over:
        succeeded = RunSeen(CHURN, RUN, Progress.SUCCEEDED)
        await scene.add(transitions.ended(await scene.newest(), succeeded, now(), renews=False))
    for _ in range(2):
        await scene.steering(nothing_else).tell_model(CHURN, RUN, MADE, "ana")
    assert await scene.told() == ["ana"]
    with pytest.raises(WrongMoment, match="another model"):
        await scene.steering(nothing_else).tell_model(CHURN, RUN, "sha256:" + "0" * 64, "ana")


async def test_of_many_who_tell_a_runs_model_at_once_one_is_believed(scene: Scene) -> None:
    steering = scene.steering(nothing_else)
    digests = [f"sha256:{number:064x}" for number in range(8)]
    told = [steering.tell_model(CHURN, RUN, digest, digest) for digest in digests]
    found = await asyncio.gather(*told, return_exceptions=True)
    assert [type(each) for each in found if each is not None] == [WrongMoment] * 7
    assert len(await scene.by("TOLD")) == 1


async def test_a_record_that_changes_all_the_time_is_given_up(scene: Scene) -> None:
    class Busy:
        def __init__(self, record: RetrainingRecord) -> None:
            self.newest, self.page = record.newest, record.page

        async def append(self, _: Entry, /) -> bool:
            return False

    async def told(newest: Line | None) -> Entry:
        return transitions.told(newest, CHURN, RUN, MADE, now(), "ana")

    with pytest.raises(ConcurrentChange):
        await add(Busy(scene.record), CHURN, told)
