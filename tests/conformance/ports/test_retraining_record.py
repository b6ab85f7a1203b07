"""What every record of retraining promises: a chain without gaps, each entry added once, whoever races."""

import asyncio
from dataclasses import replace

import msgspec
import pytest

from service.adapters.store import connection
from service.domain.errors import CorruptedState
from service.domain.retraining.record import first_break, read, written
from tests.conformance.ports.conftest import TIMEOUT_SECONDS, Store
from tests.conformance.ports.documents import MODEL, OTHER_MODEL, entries

pytestmark = pytest.mark.anyio

REPLICAS = 50


async def test_what_was_added_is_read_and_is_a_chain(store: Store) -> None:
    record = store.retraining()
    assert await record.newest(MODEL) is None
    for entry in entries():
        assert await record.append(entry)
    lines = await record.page(MODEL, 0, 100)
    assert [line.entry for line in lines] == entries()
    assert first_break(lines) is None
    assert await record.newest(MODEL) == lines[-1]


async def test_a_page_holds_what_follows_a_number_oldest_first(store: Store) -> None:
    record = store.retraining()
    for entry in entries():
        await record.append(entry)
    assert [line.entry.number for line in await record.page(MODEL, 2, 3)] == [3, 4, 5]
    assert await record.page(MODEL, len(entries()), 3) == []


async def test_of_fifty_replicas_exactly_one_adds_each_entry(store: Store) -> None:
    for entry in entries():
        candidates = [replace(entry, reason=f"of {replica}") for replica in range(REPLICAS)]
        added = await asyncio.gather(*(store.retraining().append(each) for each in candidates))
        assert sum(added) == 1
        newest = await store.retraining().newest(MODEL)
        assert newest is not None
        assert newest.entry == candidates[added.index(True)]


async def test_replicas_on_connections_of_their_own_do_not_both_add(store: Store) -> None:
    async with connection(store.url, TIMEOUT_SECONDS) as other:
        elsewhere = Store(other, store.redis, store.url, store.prefix).retraining()
        for entry in entries():
            added = await asyncio.gather(store.retraining().append(entry), elsewhere.append(entry))
            assert sorted(added) == [False, True]


async def test_models_have_records_of_their_own(store: Store) -> None:
    await store.retraining().append(entries()[0])
    assert await store.retraining().newest(OTHER_MODEL) is None
    assert await store.retraining().append(entries(OTHER_MODEL)[0])


async def test_only_so_many_are_kept_and_the_numbers_go_on(store: Store) -> None:
    record = store.retraining(keep=50)
    line = None
    for number in range(1, 401):
        line = written(replace(entries()[0], number=number, previous="" if line is None else line.digest))
        assert await record.append(line.entry)
    lines = await record.page(MODEL, 0, 1000)
    assert 50 <= len(lines) < 300
    assert [each.entry.number for each in lines] == list(range(401 - len(lines), 401))
    assert first_break(lines) is None


async def test_the_digest_of_a_line_outlasts_members_that_a_newer_release_added(store: Store) -> None:
    document = msgspec.json.decode(written(entries()[0]).text)
    document["added"] = document["state"]["added"] = {"later": 1}
    text = msgspec.json.encode(document)
    await store.redis.xadd(store.keys.retraining(MODEL), {"f": "1", "e": text}, id="1-0")
    newest = await store.retraining().newest(MODEL)
    assert newest is not None
    assert newest.entry == entries()[0]
    assert newest.digest == read(text).digest != written(newest.entry).digest


@pytest.mark.parametrize(
    "fields",
    [
        {"f": "1", "e": "junk"},
        {"f": "1", "e": b"\xff"},
        {"f": "1"},
        {"f": "2", "e": written(entries()[0]).text},
        {"f": "1", "e": written(entries()[1]).text},
        {"f": "1", "e": written(entries(OTHER_MODEL)[0]).text},
    ],
    ids=["junk", "no text", "nothing", "newer", "another's number", "another model's"],
)
async def test_an_entry_that_cannot_be_read_is_not_guessed(store: Store, fields: dict[str, str | bytes]) -> None:
    await store.redis.xadd(store.keys.retraining(MODEL), fields, id="1-0")  # type: ignore[arg-type]
    for reading in (store.retraining().newest(MODEL), store.retraining().page(MODEL, 0, 1)):
        with pytest.raises(CorruptedState, match="entry 1-0"):
            await reading
