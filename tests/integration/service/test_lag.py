"""How much waits and how long, also of what no evaluator has read, and also when none gets on."""

import secrets
from datetime import UTC, datetime

import pytest

from service.settings import StoreSettings
from tests.integration.service.conftest import Application, application
from tests.integration.service.test_emptied_store import scraped
from tests.integration.service.test_way_through import judged
from tests.processes.traffic import payload, reference, rows
from tests.processes.waiting import eventually_async

pytestmark = pytest.mark.anyio

BATCHES = 'driftwarden_log_batches{model="churn"}'
OLDEST = 'driftwarden_oldest_waiting_batch_timestamp_seconds{model="churn"}'


async def shows(app: Application, sample: str, wanted: float | None) -> None:
    async def shown() -> bool:
        return await scraped(app, sample) == wanted

    await eventually_async(shown, f"{sample} {wanted}")


def milliseconds(position: str) -> int:
    return int(position.partition("-")[0])


async def test_what_waits_is_shown_and_is_gone_when_it_is_judged(watched: Application) -> None:
    before = datetime.now(UTC).timestamp() - 1
    first = (await watched.observe(payload(rows(1, 30)))).json()
    await watched.observe(payload(rows(2, 10)))
    await shows(watched, BATCHES, 2)
    await shows(watched, OLDEST, milliseconds(first["position"]) / 1000)
    oldest = await scraped(watched, OLDEST)
    assert oldest is not None
    assert before < oldest < datetime.now(UTC).timestamp() + 1
    await watched.observe(payload(rows(3, 10)))
    await judged(watched, 1)
    await shows(watched, OLDEST, None)
    await shows(watched, BATCHES, 3)  # judged ones are kept for a while


async def test_what_cannot_be_judged_is_shown_to_wait(shared_store: str) -> None:
    store = StoreSettings(url=shared_store, prefix=secrets.token_hex(8), max_waiting_batches=700)
    async with application(store) as first:
        await first.register()
        answer = await first.client.put("/v1/models/churn/reference", json=reference())
        digest = answer.json()["reference_digest"]
        await first.redis.setrange(f"{store.prefix}:{{churn}}:reference:{digest}", 100, b"\x01")
    async with application(store) as stuck:  # nothing fitted is remembered, and the stored reference is damaged
        sent = [(await stuck.observe(payload(rows(number, 50)))).json() for number in range(4)]
        await shows(stuck, BATCHES, 4)
        await shows(stuck, OLDEST, milliseconds(sent[0]["position"]) / 1000)
        assert await stuck.verdicts() == []
        assert await scraped(stuck, "driftwarden_log_limit_batches") == 700
        assert await scraped(stuck, "driftwarden_log_kept_batches") == 280
