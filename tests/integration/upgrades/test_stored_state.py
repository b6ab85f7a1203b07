"""The service on state that an earlier release, or a newer one, has left in the store."""

import secrets
from pathlib import Path

import pytest

from service.settings import StoreSettings
from tests.conformance.ports.golden.expected import MODEL, REFERENCE, VERDICT
from tests.conformance.ports.golden.state_files import FILES, load
from tests.integration.service.conftest import Application, application, shared_store
from tests.processes.traffic import payload, rows
from tests.processes.waiting import eventually_async

pytestmark = pytest.mark.anyio

__all__ = ["shared_store"]  # the fixture
FAILURES = 'driftwarden_evaluation_failures_total{error="CorruptedState",model="churn"}'


async def at_least(app: Application, model: str, count: int) -> list[dict[str, object]]:
    async def enough() -> list[dict[str, object]]:
        found = await app.verdicts(model)
        return found if len(found) >= count else []

    return await eventually_async(enough, f"{count} verdicts of {model}")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
async def test_verdicts_of_an_earlier_release_are_shown_and_continued(shared_store: str, file: Path) -> None:
    store = StoreSettings(url=shared_store, prefix=secrets.token_hex(8))
    async with application(store) as empty:
        await load(file, empty.redis, store.prefix)
    async with application(store) as app:
        (before,) = await app.verdicts(MODEL)
        assert (before["number"], before["finding"], before["action"]["outcome"]) == (5, "DRIFT", "CREATED")
        answer = await app.observe(payload(rows(1, 150), features=list(REFERENCE.features)), MODEL)
        assert answer.status_code == 200, answer.text
        _, following, *_ = await at_least(app, MODEL, 2)
        assert (following["number"], following["first_row"]) == (6, VERDICT.first_row + VERDICT.rows)


async def test_a_batch_of_a_newer_format_is_waited_for_and_not_skipped(shared_store: str) -> None:
    async with application(StoreSettings(url=shared_store, prefix=secrets.token_hex(8))) as app:
        await app.register("churn")
        await app.register("healthy")
        await app.observe(payload(rows(1, 50)))
        await at_least(app, "churn", 1)
        key = app.key("churn", "observations")
        ((_, fields),) = await app.redis.xrange(key)
        newer = await app.redis.xadd(key, {**fields, b"f": b"3", b"i": b"of a newer release"})
        for model in ("churn", "healthy"):
            answers = [await app.observe(payload(rows(seed, 50)), model) for seed in (2, 3)]
            assert {answer.status_code for answer in answers} == {200}, "what comes in is still taken"
        await at_least(app, "healthy", 2)

        async def told() -> bool:
            return f"{FAILURES} " in (await app.client.get("/metrics")).text

        await eventually_async(told, "the failure is counted")
        assert len(await app.verdicts("churn")) == 1, "nothing behind it is judged"
        # As if the release that reads it had been here: the rows behind it are judged, and none is left out.
        await app.redis.xdel(key, newer)
        first, second, third = await at_least(app, "churn", 3)
        assert [each["first_row"] for each in (first, second, third)] == [0, 50, 100]
        assert [each["misfits"] for each in (second, third)] == [0, 0]
