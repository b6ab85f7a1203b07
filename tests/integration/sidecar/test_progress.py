"""How far a log is forwarded, as the sidecar's store keeps it."""

import pytest

from service.adapters.forward_progress import RedisForwardProgress
from service.adapters.store import Keys
from service.domain.errors import CorruptedState
from service.domain.forwarding import Place, Progress, Sending
from service.domain.models import BatchPosition, ModelName
from tests.integration.service.conftest import Application, running_app, shared_store  # noqa: F401 - fixtures
from tests.processes.traffic import payload, rows

pytestmark = pytest.mark.anyio
CHURN = ModelName("churn")
SOMEWHERE = Progress(Place(BatchPosition("7-0"), 3), Sending(Place(BatchPosition("9-1")), 2))


@pytest.fixture
def progress(running_app: Application) -> RedisForwardProgress:  # noqa: F811
    return RedisForwardProgress(running_app.redis, Keys(running_app.prefix))


async def test_what_was_recorded_is_read(progress: RedisForwardProgress) -> None:
    assert await progress.of(CHURN) == Progress()
    await progress.record(CHURN, SOMEWHERE)
    assert await progress.of(CHURN) == SOMEWHERE
    assert await progress.of(ModelName("other")) == Progress()


async def test_the_identity_is_the_stores(running_app: Application, progress: RedisForwardProgress) -> None:  # noqa: F811
    again = RedisForwardProgress(running_app.redis, Keys(running_app.prefix))
    other = RedisForwardProgress(running_app.redis, Keys(f"{running_app.prefix}-other"))
    assert await progress.identity() == await again.identity() != await other.identity()


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"{}",
        b"[" * 10_000,
        b'{"format":2,"progress":{}}',
        b'{"format":1,"progress":{"done":{"position":"here","offset":0}}}',
        b'{"format":1,"progress":{"done":{"position":"1-0","offset":-1}}}',
        b'{"format":1,"progress":{"sending":{"end":{"position":"x"},"revision":1}}}',
    ],
)
async def test_what_is_damaged_or_newer_is_not_guessed(
    running_app: Application,  # noqa: F811
    progress: RedisForwardProgress,
    damaged: bytes,
) -> None:
    await running_app.redis.set(running_app.key("churn", "forwarded"), damaged)
    with pytest.raises(CorruptedState, match="churn"):
        await progress.of(CHURN)


async def test_fields_of_a_newer_release_are_passed_over(
    running_app: Application,  # noqa: F811
    progress: RedisForwardProgress,
) -> None:
    newer = b'{"format":1,"more":1,"progress":{"done":{"position":"7-0","offset":3,"more":1},"more":[]}}'
    await running_app.redis.set(running_app.key("churn", "forwarded"), newer)
    assert await progress.of(CHURN) == Progress(Place(BatchPosition("7-0"), 3))


async def test_the_logs_of_all_models_are_weighed(running_app: Application, progress: RedisForwardProgress) -> None:  # noqa: F811
    assert await progress.waiting_bytes() == 0
    for model in ("one", "two"):
        await running_app.register(model)
        await running_app.observe(payload(rows(1, 40)), model)
    assert await progress.waiting_bytes() > 2 * 40 * 3 * 8
    await running_app.observe(payload(rows(2, 400)), "two")
    assert await progress.waiting_bytes() > (2 * 40 + 400) * 3 * 8
