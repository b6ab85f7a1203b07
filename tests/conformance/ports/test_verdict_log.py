"""What every verdict log promises: numbers without gaps, each committed once, whoever races."""

import asyncio

import msgspec
import pytest

from service.adapters.store import connection
from service.domain.errors import CorruptedState
from service.domain.models import BatchPosition, Cursor
from tests.conformance.ports.conftest import TIMEOUT_SECONDS, Store
from tests.conformance.ports.documents import MODEL, OTHER_MODEL, verdict

pytestmark = pytest.mark.anyio

EVALUATORS = 50


async def test_what_was_committed_is_read_to_the_last_bit(store: Store) -> None:
    verdicts = store.verdicts()
    assert await verdicts.newest(MODEL) is None
    assert await verdicts.commit(verdict(1))
    assert await verdicts.newest(MODEL) == verdict(1)


async def test_a_verdict_says_where_its_window_is_and_what_of_it_was_tested(store: Store) -> None:
    place = BatchPosition("17-3")
    cursor = Cursor(place, 7, BatchPosition("18-0"), 1_772_366_400_000, place, 1_772_366_460_000)
    told = verdict(1, cursor=cursor, start=cursor, next_row=20, tested_rows=10, late=3, future=4)
    await store.verdicts().commit(told)
    assert await store.verdicts().newest(MODEL) == told


async def test_verdicts_of_the_release_before_are_read(store: Store) -> None:
    document = msgspec.to_builtins(verdict(1))
    for name in ("start", "next_row", "tested_rows", "late", "future"):
        del document[name]
    document["cursor"] = {"position": "17-3", "offset": 7}
    fields = {b"f": b"1", b"v": msgspec.json.encode(document)}
    await store.redis.xadd(store.keys.verdicts(MODEL), fields, id="1-0")  # type: ignore[arg-type]
    assert await store.verdicts().newest(MODEL) == verdict(1, cursor=Cursor(BatchPosition("17-3"), 7))


async def test_of_fifty_evaluators_exactly_one_commits_each_number(store: Store) -> None:
    logs = [store.verdicts() for _ in range(EVALUATORS)]
    for number in range(1, 6):
        candidates = [verdict(number, first_row=evaluator) for evaluator in range(EVALUATORS)]
        won = await asyncio.gather(*(log.commit(each) for log, each in zip(logs, candidates, strict=True)))
        assert sum(won) == 1
        assert await logs[0].newest(MODEL) == candidates[won.index(True)]
    assert [each.number for each in await logs[0].page(MODEL, 0, 100)] == [1, 2, 3, 4, 5]


async def test_evaluators_on_connections_of_their_own_do_not_both_win(store: Store) -> None:
    async with connection(store.url, TIMEOUT_SECONDS) as other:
        elsewhere = Store(other, store.redis, store.url, store.prefix).verdicts()
        for number in range(1, 20):
            won = await asyncio.gather(store.verdicts().commit(verdict(number)), elsewhere.commit(verdict(number)))
            assert sorted(won) == [False, True]


async def test_an_old_number_is_refused_and_changes_nothing(store: Store) -> None:
    verdicts = store.verdicts()
    for number in (1, 2, 3):
        await verdicts.commit(verdict(number))
    assert not await verdicts.commit(verdict(2, first_row=99))
    assert await verdicts.page(MODEL, 0, 10) == [verdict(1), verdict(2), verdict(3)]


async def test_a_page_holds_what_follows_a_number_oldest_first(store: Store) -> None:
    verdicts = store.verdicts()
    for number in range(1, 11):
        await verdicts.commit(verdict(number))
    assert [each.number for each in await verdicts.page(MODEL, 3, 4)] == [4, 5, 6, 7]
    assert await verdicts.page(MODEL, 10, 4) == []


async def test_the_latest_come_newest_first_and_page_backwards(store: Store) -> None:
    verdicts = store.verdicts()
    for number in range(1, 11):
        await verdicts.commit(verdict(number))
    assert [each.number for each in await verdicts.latest(MODEL, 3)] == [10, 9, 8]
    assert [each.number for each in await verdicts.latest(MODEL, 3, 8)] == [7, 6, 5]
    assert [each.number for each in await verdicts.latest(MODEL, 30, 3)] == [2, 1]
    assert await verdicts.latest(MODEL, 3, 1) == []


async def test_models_have_numbers_of_their_own(store: Store) -> None:
    verdicts = store.verdicts()
    assert await verdicts.commit(verdict(1))
    assert await verdicts.commit(verdict(1, model=OTHER_MODEL))


async def test_only_so_many_are_kept_and_the_numbers_go_on(store: Store) -> None:
    verdicts = store.verdicts(keep=50)
    for number in range(1, 401):
        assert await verdicts.commit(verdict(number))
    kept = [each.number for each in await verdicts.page(MODEL, 0, 1000)]
    assert 50 <= len(kept) < 300
    assert kept == list(range(401 - len(kept), 401))
    assert not await verdicts.commit(verdict(1))


async def test_fields_that_a_newer_release_added_are_passed_over(store: Store) -> None:
    document = msgspec.json.decode(msgspec.json.encode(verdict(1)))
    document["added"] = {"later": [1]}
    document["decision"]["added"] = "later"
    document["cursor"]["added"] = None
    fields = {"f": "1", "v": msgspec.json.encode(document)}
    await store.redis.xadd(store.keys.verdicts(MODEL), fields, id="1-0")  # type: ignore[arg-type]
    assert await store.verdicts().newest(MODEL) == verdict(1)


@pytest.mark.parametrize(
    "fields",
    [
        {"f": "1", "v": "junk"},
        {"f": "1", "v": "{}"},
        {"f": "1"},
        {"f": "2", "v": msgspec.json.encode(verdict(1))},
        {"v": msgspec.json.encode(verdict(1))},
        {"f": "1", "v": b"\xff"},
    ],
)
async def test_a_verdict_that_cannot_be_read_is_not_guessed(store: Store, fields: dict[str, str | bytes]) -> None:
    await store.redis.xadd(store.keys.verdicts(MODEL), fields, id="1-0")  # type: ignore[arg-type]
    for reading in (store.verdicts().newest(MODEL), store.verdicts().page(MODEL, 0, 1)):
        with pytest.raises(CorruptedState, match="verdict 1-0"):
            await reading
