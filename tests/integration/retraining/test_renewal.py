"""A reference made of what a retrained model sees: which rows are in it, when it counts, and when it does not."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any

import anyio
import numpy as np
import pytest

from service.adapters.embedded_store import embedded_store
from service.domain.anomaly_plan import AnomalyPlan
from service.domain.companion import companion_of
from service.domain.errors import InvalidPlan
from service.domain.performance import PerformancePlan
from service.domain.retraining import transitions
from service.domain.retraining.record import Step, first_break
from service.domain.schema import DeclaredColumn, Role
from service.domain.season import SeasonPlan
from service.domain.sent_columns import SentColumns, code_of
from service.domain.sharing import Outlook
from service.usecases import renew_reference
from tests.integration.retraining.scene import MODEL, NOON, PLAN, RUN, WANTED, Scene, Values, rows, scene, settled

pytestmark = pytest.mark.anyio
WHOLE = [Step.SERVED, Step.GATHERED, Step.RENEWED]


class Killed(BaseException):
    """The process ended here."""


class Dying:
    """Somebody else, but for what is set on it."""

    def __init__(self, other: object) -> None:
        self._other = other

    def __getattr__(self, name: str) -> Any:
        return getattr(self._other, name)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with embedded_store(tmp_path_factory.mktemp("store")) as url:
        yield url


@pytest.fixture
async def retrained(store: str) -> AsyncIterator[Scene]:
    async with scene(store) as made:
        await made.register(rows(1, 1000))
        await made.succeeded()
        yield made


def planned(**changes: Any) -> Any:
    return replace(PLAN, response=replace(PLAN.response, new_reference=replace(PLAN.response.new_reference, **changes)))


async def not_renewed(made: Scene) -> str:
    """Why; the reference is the one that was there."""
    before = await made.registration()
    assert await settled(made.replica()) is Outlook.NOTHING
    newest = await made.newest()
    assert (newest.step, newest.state.underway) == (Step.NOT_RENEWED, None)
    assert await made.registration() == before
    return newest.reason


async def test_the_first_rows_behind_the_place_where_the_model_is_served_become_the_reference(retrained: Scene) -> None:
    renew = retrained.replica()
    await retrained.observe(rows(2, 200, shift=9))
    assert await settled(renew) is Outlook.LATER
    assert await retrained.steps() == []
    retrained.later(59)
    assert await settled(renew) is Outlook.LATER
    retrained.later(1)
    assert await settled(renew) is Outlook.LATER
    seen = rows(3, WANTED + 50, shift=1)
    await retrained.observe(seen[:300])
    assert await settled(renew) is Outlook.LATER
    assert await retrained.steps() == [Step.SERVED]
    await retrained.observe(seen[300:])
    assert await settled(renew) is Outlook.NOTHING

    assert await retrained.steps() == WHOLE
    lines = await retrained.record.page(MODEL, 0, 100)
    assert first_break(lines) is None
    served, gathered, renewed = (line.entry for line in lines[1:])
    assert served.state.underway is not None
    assert gathered.reason == f"{WANTED} rows behind {served.state.underway.served_from}"
    registration = await retrained.registration()
    assert (registration.revision, registration.plan) == (3, PLAN)
    assert registration.since == await retrained.log.newest_position(MODEL)
    assert registration.reference_digest == gathered.reference_digest == renewed.reference_digest
    reference = await retrained.registrations.reference(registration)
    assert reference.rows.tobytes() == seen[:WANTED].tobytes()
    assert renewed.state.underway is None


async def test_without_a_time_somebody_says_when_the_model_is_served(store: str) -> None:
    async with scene(store) as made:
        await made.register(rows(1, 1000), planned(after_seconds=None))
        await made.succeeded()
        made.later(10**6)
        assert await settled(made.replica()) is Outlook.LATER
        assert await made.steps() == []
        position = await made.log.newest_position(MODEL)
        line = await made.record.newest(MODEL)
        await made.record.append(transitions.served(line, RUN, position, made.now, by="ops"))
        await made.observe(rows(2, WANTED))
        await settled(made.replica())
        assert await made.steps() == WHOLE


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("write", range(4))
async def test_whoever_is_killed_between_two_steps_another_goes_on_and_there_is_one_new_reference(
    retrained: Scene, write: int, moment: str
) -> None:
    """The writes are SERVED, GATHERED, the registration, RENEWED."""
    left = [write]

    def killing(do: Callable[[Any, Any], Awaitable[bool]]) -> Callable[..., Awaitable[bool]]:
        async def done(*arguments: Any) -> bool:
            left[0] -= 1
            if left[0] == -1 and moment == "before":
                raise Killed
            answer = await do(*arguments)
            if left[0] == -1:
                raise Killed
            return answer

        return done

    record, registrations = Dying(retrained.record), Dying(retrained.registrations)
    record.append = killing(retrained.record.append)  # type: ignore[attr-defined,arg-type]
    registrations.register = killing(retrained.registrations.register)  # type: ignore[attr-defined]
    retrained.later()
    replicas = [retrained.replica(record, registrations), retrained.replica()]  # type: ignore[arg-type]
    died = 0
    for doing in (lambda: replicas[0](MODEL), lambda: replicas[0](MODEL), lambda: settled(replicas[0])):
        try:
            await doing()
        except Killed:
            died += 1
            replicas.pop(0)
            await doing()
        if not await retrained.log.length(MODEL):
            await retrained.observe(rows(2, WANTED))
    assert died == 1
    assert await retrained.steps() == WHOLE
    assert first_break(await retrained.record.page(MODEL, 0, 100)) is None
    assert (await retrained.registration()).revision == 3


async def test_three_replicas_at_once_register_one_reference(retrained: Scene) -> None:
    retrained.later()
    await retrained.replica()(MODEL)
    await retrained.observe(rows(2, WANTED), at_once=10)
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(settled, retrained.replica())
    assert await retrained.steps() == WHOLE
    assert (await retrained.registration()).revision == 3


async def test_of_two_replicas_that_gathered_different_rows_the_one_that_registers_is_believed(store: str) -> None:
    """The slow one says what it made first, and registers it after the other has said what it made."""
    async with scene(store, retained_bytes=0) as made:
        await made.register(rows(1, 1000))
        await made.succeeded()
        made.later()
        slow_waits, slow_is_done = anyio.Event(), anyio.Event()
        both_gathered = anyio.Event()

        async def register_late(*arguments: Any) -> bool:
            slow_waits.set()
            await both_gathered.wait()
            return await made.registrations.register(*arguments)

        async def register_later(*arguments: Any) -> bool:
            both_gathered.set()
            await slow_is_done.wait()
            return await made.registrations.register(*arguments)

        late, later = Dying(made.registrations), Dying(made.registrations)
        late.register, later.register = register_late, register_later  # type: ignore[attr-defined]
        slow = made.replica(registrations=late)  # type: ignore[arg-type]
        await slow(MODEL)
        await made.observe(rows(2, WANTED))
        async with anyio.create_task_group() as tasks:

            async def be_slow() -> None:
                await slow(MODEL)
                slow_is_done.set()

            tasks.start_soon(be_slow)
            await slow_waits.wait()
            await made.judge_all()
            await made.observe(rows(3, WANTED))
            await settled(made.replica(registrations=later))  # type: ignore[arg-type]
        assert await made.steps() == [Step.SERVED, Step.GATHERED, Step.GATHERED, Step.RENEWED]
        first, _, renewed = (line.entry for line in await made.record.page(MODEL, 2, 3))
        assert renewed.reference_digest == first.reference_digest == (await made.registration()).reference_digest


async def test_rows_that_were_dropped_before_they_were_gathered_move_the_beginning_and_the_record_says_so(
    store: str,
) -> None:
    async with scene(store, retained_bytes=0) as made:
        await made.register(rows(1, 1000))
        await made.succeeded()
        made.later()
        renew = made.replica()
        await renew(MODEL)
        await made.observe(rows(2, 300, shift=9))
        await settled(renew)
        await made.observe(rows(3, 100, shift=9))  # a gap behind what was gathered
        await made.judge_all()
        begins = await made.log.newest_position(MODEL)
        seen = rows(4, WANTED)
        await made.observe(seen)
        await settled(renew)
        assert await made.steps() == WHOLE
        gathered = (await made.record.page(MODEL, 2, 1))[0].entry
        assert gathered.reason.startswith(f"{WANTED} rows behind {begins}; those behind 0-0 were dropped from the log")
        reference = await made.registrations.reference(await made.registration())
        assert reference.rows.tobytes() == seen.tobytes()


async def test_where_rows_are_always_dropped_first_it_is_given_up(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renew_reference, "MOST_GAPS", 2)
    async with scene(store, retained_bytes=0) as made:
        await made.register(rows(1, 1000))
        await made.succeeded()
        made.later()
        renew = made.replica()
        await settled(renew)
        for number in range(4):
            await made.observe(rows(number, 10))
            await made.judge_all()
            await settled(renew)
        newest = await made.newest()
        assert newest.step is Step.NOT_RENEWED
        assert "DRIFT_STORE__RETAINED_BYTES" in newest.reason


async def test_flagged_and_repeated_rows_are_in_no_reference(store: str) -> None:
    async with scene(store) as made:
        plan = replace(PLAN, anomalies=AnomalyPlan(outlier_rate=0.01, typical_rate=0.01))
        await made.register(rows(1, 1000), plan)
        await made.succeeded()
        made.later()
        renew = made.replica()
        await renew(MODEL)
        seen = rows(2, 900)
        await made.observe(seen)
        await made.observe(seen[:20])  # again, as rows of another batch
        await made.observe(np.full((20, 2), 50.0))
        await made.observe(rows(3, 400))
        await settled(renew)
        assert await made.steps() == WHOLE
        reference = (await made.registrations.reference(await made.registration())).rows
        assert len(reference) == WANTED
        assert len(np.unique(reference, axis=0)) == WANTED
        assert np.abs(reference).max() < 50
        assert "flagged" in (await made.record.page(MODEL, 2, 1))[0].entry.reason


async def test_a_batch_that_is_sent_again_counts_once(retrained: Scene) -> None:
    retrained.later()
    renew = retrained.replica()
    await renew(MODEL)
    seen = rows(2, WANTED)
    for part in (seen[:900], seen[900:]):
        await retrained.observe(part)
        retrained.sent = 0  # the same names again
        await retrained.observe(seen[:900])
        retrained.sent = 9
    await settled(renew)
    reference = await retrained.registrations.reference(await retrained.registration())
    assert reference.rows.tobytes() == seen.tobytes()


async def test_categories_keep_their_codes_and_rows_of_unknown_ones_are_left_out(store: str) -> None:
    async with scene(store) as made:
        values = np.column_stack([rows(1, 1000, columns=1), np.full(1000, np.nan)])
        before = await made.register(values, texts={1: ["red", "blue"] * 500})
        await made.succeeded()
        made.later()
        renew = made.replica()
        await renew(MODEL)
        seen = np.column_stack([rows(2, WANTED + 10, columns=1), np.full(WANTED + 10, code_of("red"))])
        seen[:10, 1] = code_of("green")
        await made.observe(seen, revision=before.revision)
        await settled(renew)
        assert await made.steps() == WHOLE
        registration = await made.registration()
        assert registration.schema.columns[1] == before.schema.columns[1]
        assert (await made.registrations.reference(registration)).rows.tobytes() == seen[10:].tobytes()


async def test_a_plan_with_seasons_is_given_the_times_of_the_rows(store: str) -> None:
    def times(days: int) -> np.ndarray[Any, np.dtype[np.float64]]:
        return NOON.timestamp() * 1000 + np.linspace(0, days * 86_400_000, 4800, endpoint=False).round()

    season = replace(planned(rows=4800), decision=replace(PLAN.decision, season=SeasonPlan("hour_of_day")))
    async with scene(store) as made:
        values = np.column_stack([rows(1, 4800, columns=1), times(4)])
        await made.register(values, season, (DeclaredColumn("b", role=Role.TIME),))
        await made.succeeded()
        made.later()
        renew = made.replica()
        await renew(MODEL)
        seen, when = rows(2, 4800, columns=1), times(4).astype(np.int64) - 4 * 86_400_000
        for first in range(0, 4800, 100):
            await made.observe(seen[first : first + 100], times=when[first : first + 100])
        await settled(renew)
        assert await made.steps() == WHOLE, (await made.newest()).reason
        reference = await made.registrations.reference(await made.registration())
        assert reference.times is not None
        assert reference.times.tolist() == when.tolist()


async def test_of_one_day_no_reference_with_seasons_is_made(store: str) -> None:
    season = replace(PLAN, decision=replace(PLAN.decision, season=SeasonPlan("day_of_week")))
    async with scene(store) as made:
        when = NOON.timestamp() * 1000 + np.linspace(0, 21 * 86_400_000, 3000, endpoint=False)
        values = np.column_stack([rows(1, 3000, columns=1), when])
        await made.register(values, season, (DeclaredColumn("b", role=Role.TIME),))
        await made.succeeded()
        made.later()
        await made.replica()(MODEL)
        await made.observe(rows(2, WANTED, columns=1))
        assert "has Sunday once" in await not_renewed(made)


async def test_a_reference_that_does_not_calibrate_does_not_replace_one_that_does(store: str) -> None:
    async with scene(store) as made:
        await made.register(rows(1, 150), planned(rows=200))
        await made.register_model().reference(MODEL, SentColumns(rows(1, 1000), ["a", "b"]))
        await made.succeeded()
        made.later()
        reason = await not_renewed(made)
        assert reason == (
            "response.new_reference.rows must be at least 380: "
            "fewer do not calibrate the plan, as the reference of now does"
        )


async def test_a_plan_that_could_never_be_renewed_is_refused(store: str) -> None:
    async with scene(store) as made:
        with pytest.raises(InvalidPlan, match=r"^response\.new_reference\.rows: must be at least 380"):
            await made.register(rows(1, 1000), planned(rows=379))
        assert (await made.register(rows(1, 1000), planned(rows=380))).revision == 2


async def test_where_the_old_one_does_not_calibrate_the_new_one_need_not(store: str) -> None:
    async with scene(store) as made:
        await made.register(rows(1, 150), planned(rows=200))
        await made.succeeded()
        made.later()
        await made.replica()(MODEL)
        await made.observe(rows(2, 200))
        await settled(made.replica())
        assert await made.steps() == WHOLE


async def test_a_stretch_that_comes_again_and_again_is_no_reference(retrained: Scene) -> None:
    retrained.later()
    await retrained.replica()(MODEL)
    for _ in range(5):
        await retrained.observe(rows(2, 200))
    assert "copies calibrate nothing" in await not_renewed(retrained)


async def test_rows_with_holes_are_left_out_and_too_many_of_them_are_told(retrained: Scene) -> None:
    retrained.later()
    await retrained.replica()(MODEL)
    seen = rows(2, WANTED)
    seen[::5, 0] = np.nan
    await retrained.observe(seen)
    reason = await not_renewed(retrained)
    assert "with a missing value have to be left out" in reason
    assert reason.endswith("register a reference by hand")


PERFORMANCE = replace(PLAN, performance=PerformancePlan(prediction="b", label="c"))
PREDICTED = (DeclaredColumn("b", role=Role.PREDICTION), DeclaredColumn("c", role=Role.LABEL))


def predicted(seed: int, count: int, label: float | None = None) -> Values:
    labels = np.tile([0.0, 1.0], count // 2) if label is None else np.full(count, label)
    return np.column_stack([rows(seed, count, columns=1), np.tile([0.2, 0.9], count // 2), labels])


async def test_the_companion_follows_where_rows_come_with_their_labels(store: str) -> None:
    async with scene(store) as made:
        await made.register(predicted(1, 1000), PERFORMANCE, PREDICTED)
        before = await made.registrations.newest(companion_of(MODEL))
        await made.succeeded()
        made.later()
        await made.replica()(MODEL)
        seen = predicted(2, WANTED)
        seen[::10, 2] = 1 - seen[::10, 2]  # wrong now and then, which the old model never was
        await made.observe(seen)
        await settled(made.replica())
        assert await made.steps() == WHOLE
        after = await made.registrations.newest(companion_of(MODEL))
        assert before is not None
        assert after is not None
        assert (await made.registrations.reference(before)).rows[:, 0].mean() == 0
        assert (await made.registrations.reference(after)).rows[:, 0].mean() == 0.1


async def test_performance_needs_labels_and_rows_without_any_are_no_reference(store: str) -> None:
    async with scene(store) as made:
        await made.register(predicted(1, 1000), PERFORMANCE, PREDICTED)
        await made.succeeded()
        made.later()
        await made.replica()(MODEL)
        await made.observe(predicted(2, WANTED, label=np.nan))
        assert "0 rows have a prediction and a label" in await not_renewed(made)


async def test_a_reference_that_somebody_registers_meanwhile_stays(retrained: Scene) -> None:
    retrained.later()
    await retrained.replica()(MODEL)
    await retrained.observe(rows(2, 10))
    await retrained.register(rows(3, 1000))
    assert await not_renewed(retrained) == "another reference was registered meanwhile: that one stays"


async def test_a_plan_that_is_changed_meanwhile_is_the_one_that_holds(retrained: Scene) -> None:
    retrained.later()
    renew = retrained.replica()
    await renew(MODEL)
    await retrained.observe(rows(2, 500))
    await settled(renew)
    await retrained.register_model().plan(MODEL, planned(rows=500))
    await settled(renew)
    assert await retrained.steps() == WHOLE
    registration = await retrained.registration()
    assert (registration.revision, registration.reference_rows) == (4, 500)


async def test_a_plan_that_asks_for_no_new_reference_any_more_gives_it_up(retrained: Scene) -> None:
    without = replace(PLAN, response=replace(PLAN.response, new_reference=None))
    await retrained.register_model().plan(MODEL, without)
    assert "asks for no new reference any more" in await not_renewed(retrained)


async def test_of_a_model_that_was_deleted_nothing_is_made(retrained: Scene) -> None:
    retrained.later()
    await retrained.registrations.forget(MODEL)
    assert await settled(retrained.replica()) is Outlook.NOTHING
    assert await retrained.steps() == []
