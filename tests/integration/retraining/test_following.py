"""How a run ends is found and written down once, whether or not anybody was there to see it."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace

import anyio
import pytest

from service.adapters.embedded_store import embedded_store
from service.domain.errors import StoreUnavailable, TriggerUnavailable
from service.domain.models import ModelName
from service.domain.retraining.record import Phase, Step
from service.domain.retraining.run import Progress, RunSeen
from service.domain.sharing import Outlook
from service.telemetry.metrics import Metrics
from service.usecases import follow_runs
from service.usecases.follow_runs import GRACE_SECONDS, LOOK_SECONDS, FollowRuns
from tests.integration.retraining.scene import MODEL, PLAN, RUN, UID, Scene, rows, scene
from tests.processes.waiting import eventually_async

pytestmark = pytest.mark.anyio
RUNNING = RunSeen(MODEL, RUN, Progress.RUNNING, UID)


@dataclass
class Target:
    """`service.ports.Runs` of one run."""

    is_now: RunSeen | Exception = RUNNING
    looks: int = 0
    tell: Callable[[RunSeen], Awaitable[None]] | None = None

    async def watch(self, tell: Callable[[RunSeen], Awaitable[None]], /) -> None:
        if isinstance(self.is_now, Exception):
            raise self.is_now
        self.tell = tell
        await tell(self.is_now)
        await anyio.sleep_forever()

    async def look(self, model: ModelName, name: str, /) -> RunSeen:
        assert (model, name) == (MODEL, RUN)
        self.looks += 1
        if isinstance(self.is_now, Exception):
            raise self.is_now
        return self.is_now

    async def release(self, *_: str) -> None:
        raise NotImplementedError


@dataclass
class Follower:
    """One replica's, with a clock of its own."""

    follow: FollowRuns
    now: list[float]

    def later(self, seconds: float = LOOK_SECONDS) -> None:
        self.now[0] += seconds


def follower(made: Scene, target: Target) -> Follower:
    now = [0.0]
    metrics = Metrics(10, 10)
    follow = FollowRuns(target, made.record, made.registrations, made.clock, lambda: now[0], metrics)
    return Follower(follow, now)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with embedded_store(tmp_path_factory.mktemp("store")) as url:
        yield url


@pytest.fixture
async def made(store: str) -> AsyncIterator[Scene]:
    async with scene(store) as opened:
        await opened.register(rows(1, 1000))
        yield opened


async def test_a_run_that_ended_while_nobody_watched_is_looked_at(made: Scene) -> None:
    await made.begun()
    succeeded = Target(replace(RUNNING, progress=Progress.SUCCEEDED))
    replica = follower(made, succeeded)
    assert await replica.follow(MODEL) is Outlook.MORE
    newest = await made.newest()
    assert (newest.step, newest.progress) == (Step.ENDED, Progress.SUCCEEDED)
    assert newest.state.underway is not None
    assert newest.state.underway.phase is Phase.AWAITED, "its plan asks for a new reference"
    assert await replica.follow(MODEL) is Outlook.NOTHING


async def test_without_a_new_reference_the_run_is_over_with_its_end(made: Scene) -> None:
    await made.register(rows(1, 1000), replace(PLAN, response=replace(PLAN.response, new_reference=None)))
    await made.begun()
    await follower(made, Target(replace(RUNNING, progress=Progress.SUCCEEDED))).follow(MODEL)
    assert (await made.newest()).state.underway is None


@pytest.mark.parametrize(
    "seen",
    [
        replace(RUNNING, progress=Progress.FAILED, detail="x" * 10_000),
        replace(RUNNING, progress=Progress.GONE),
        replace(RUNNING, progress=Progress.SUCCEEDED, uid="another"),
    ],
)
async def test_a_run_that_failed_or_is_not_there_any_more_counts_as_a_failure(made: Scene, seen: RunSeen) -> None:
    await made.begun()
    await follower(made, Target(seen)).follow(MODEL)
    newest = await made.newest()
    assert newest.progress is (Progress.FAILED if seen.progress is Progress.FAILED else Progress.GONE)
    assert (newest.state.underway, newest.state.failures, newest.state.failed_at) == (None, 1, made.now)
    assert len(newest.reason) <= 500


async def test_a_suspended_run_that_goes_on_was_released_past_the_service(made: Scene) -> None:
    await made.begun(Phase.SUSPENDED)
    target = Target(replace(RUNNING, progress=Progress.SUSPENDED))
    replica = follower(made, target)
    assert await replica.follow(MODEL) is Outlook.LATER
    target.is_now = RUNNING
    assert await replica.follow(MODEL) is Outlook.LATER, "it was looked at just now"
    replica.later()
    assert await replica.follow(MODEL) is Outlook.LATER, "somebody may be writing down who it was"
    replica.later(GRACE_SECONDS)
    assert await replica.follow(MODEL) is Outlook.MORE
    newest = await made.newest()
    assert (newest.step, newest.by) == (Step.RELEASED, "")
    assert await replica.follow(MODEL) is Outlook.LATER
    assert target.looks == 2


async def test_what_a_watch_tells_is_written_down_without_looking(made: Scene) -> None:
    await made.begun()
    target, changed = Target(), list[ModelName]()
    replica = follower(made, target)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(replica.follow.run, changed.append)

        async def told() -> bool:
            return target.tell is not None and bool(changed)

        await eventually_async(told, "the watch tells")
        assert await replica.follow(MODEL) is Outlook.LATER
        assert target.tell is not None
        await target.tell(replace(RUNNING, progress=Progress.SUCCEEDED))
        assert changed == [MODEL, MODEL]
        assert await replica.follow(MODEL) is Outlook.MORE
        tasks.cancel_scope.cancel()
    assert target.looks == 0
    assert (await made.newest()).progress is Progress.SUCCEEDED


async def test_of_three_replicas_one_writes_the_end(made: Scene) -> None:
    await made.begun()
    replicas = [follower(made, Target(replace(RUNNING, progress=Progress.FAILED))) for _ in range(3)]
    async with anyio.create_task_group() as tasks:
        for replica in replicas:
            tasks.start_soon(replica.follow, MODEL)
    assert await made.steps() == [Step.ENDED]


@pytest.mark.parametrize("error", [TriggerUnavailable("no API"), StoreUnavailable("no store"), KeyError("metadata")])
async def test_a_target_that_cannot_be_watched_is_said_once_and_tried_again(
    made: Scene, error: Exception, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow_runs, "RETRY_SECONDS", 0.001)
    caplog.set_level(logging.INFO)
    await made.begun()
    target = Target(error)
    replica = follower(made, target)
    failures = replica.follow._metrics.evaluation_failures.labels("", type(error).__name__)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(replica.follow.run, lambda _: None)

        async def tried() -> bool:
            return failures._value.get() >= 3

        await eventually_async(tried, "it is tried again")
        target.is_now = RUNNING

        async def told() -> bool:
            return target.tell is not None

        await eventually_async(told, "the watch tells")
        tasks.cancel_scope.cancel()
    said = [record.getMessage() for record in caplog.records if "runs " in record.getMessage()]
    assert len(said) == 2
    assert (said[0].startswith("runs cannot be watched now"), said[1]) == (True, "runs can be watched again")


async def test_an_account_that_may_look_and_not_watch_is_told_so_once(
    made: Scene, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many runs it looks at meanwhile."""
    monkeypatch.setattr(follow_runs, "RETRY_SECONDS", 0.001)
    caplog.set_level(logging.INFO)
    await made.begun()
    target = Target(TriggerUnavailable("may not watch"))
    replica = follower(made, target)
    failures = replica.follow._metrics.evaluation_failures.labels("", "TriggerUnavailable")

    async def look(*_: str) -> RunSeen:
        return RUNNING

    monkeypatch.setattr(target, "look", look)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(replica.follow.run, lambda _: None)
        for number in range(1, 5):

            async def tried(times: float = number) -> bool:
                return failures._value.get() >= times

            await eventually_async(tried, "it is tried again")
            replica.later()
            assert await replica.follow(MODEL) is Outlook.LATER
        tasks.cancel_scope.cancel()
    assert [record.getMessage() for record in caplog.records if "runs " in record.getMessage()] == [
        "runs cannot be watched now, which will be tried again: may not watch"
    ]


async def test_while_the_target_cannot_be_asked_nothing_is_written_down(made: Scene) -> None:
    await made.begun()
    target = Target(TriggerUnavailable("no API"))
    replica = follower(made, target)
    assert await replica.follow(MODEL) is Outlook.LATER
    assert await replica.follow(MODEL) is Outlook.LATER
    assert target.looks == 1, "it is asked once a minute"
    assert await made.steps() == []
    replica.later()
    target.is_now = replace(RUNNING, progress=Progress.SUCCEEDED)
    assert await replica.follow(MODEL) is Outlook.MORE


async def test_of_runs_that_are_long_over_no_more_is_remembered_than_is_bounded(
    made: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow_runs, "KEPT", 3)
    target = Target()
    replica = follower(made, target)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(replica.follow.run, lambda _: None)

        async def told() -> bool:
            return target.tell is not None

        await eventually_async(told, "the watch tells")
        assert target.tell is not None
        for number in range(10):
            await target.tell(replace(RUNNING, name=f"old-{number}"))
        tasks.cancel_scope.cancel()
    assert len(replica.follow._known) == 3
