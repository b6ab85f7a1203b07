"""Whatever is damaged in the store is set aside or refused by name: nothing else stops, nothing crashes or spins."""

import random
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest

from detectors import codec
from service.adapters.embedded_store import embedded_store
from service.adapters.log import RedisDeliveryLog, RedisObservationLog, RedisRetrainingRecord, RedisVerdictLog
from service.adapters.log.redis_observations import BATCH_KIND
from service.adapters.reference_store import RedisRegistrations
from service.adapters.store import Client, Keys, connection
from service.domain.errors import CorruptedState, DriftwardenError
from service.domain.models import LOG_START, Batch
from service.settings import StoreSettings
from tests.conformance.ports.golden.expected import BATCH, MODEL, REGISTRATION
from tests.conformance.ports.golden.retraining import RETRAINING_FILES, RETRAINING_MODEL
from tests.conformance.ports.golden.state_files import FILES, put, state_of
from tests.integration.service.conftest import Application, application, shared_store
from tests.integration.store.mutations import mutated
from tests.processes.traffic import payload, rows
from tests.processes.waiting import eventually_async

pytestmark = pytest.mark.anyio

__all__ = ["shared_store"]  # the fixture
MUTATIONS = 1_050
RECORD_MUTATIONS = 300


async def readings(redis: Client, keys: Keys) -> Counter[str]:
    """Everything that the service reads of a model: what came of it."""
    log = RedisObservationLog(redis, keys, 100, retained_bytes=2**30, horizon=100)
    registrations, verdicts = RedisRegistrations(redis, keys), RedisVerdictLog(redis, keys, 100)
    deliveries = RedisDeliveryLog(redis, keys, 100)

    async def reference() -> None:
        newest = await registrations.newest(MODEL)
        if newest is not None:
            await registrations.reference(newest)

    async def batches() -> None:
        for logged in await log.read(MODEL, LOG_START, 10):
            assert isinstance(logged.batch, Batch)
            assert logged.batch.rows.ndim == 2
        end = await log.newest_position(MODEL)
        await log.recent_identifiers(MODEL, end, 10)
        await log.forget_before(MODEL, end, 10)

    attempts: tuple[Callable[[], Awaitable[object]], ...] = (
        registrations.models,
        reference,
        lambda: registrations.revision(MODEL, REGISTRATION.revision),
        lambda: verdicts.newest(MODEL),
        lambda: verdicts.page(MODEL, 0, 10),
        lambda: deliveries.last(MODEL),
        lambda: deliveries.page(MODEL, 0, 10),
        batches,
        lambda: log.append(MODEL, BATCH),
    )
    came: Counter[str] = Counter()
    for attempt in attempts:
        try:
            await attempt()
            came["read"] += 1
        except DriftwardenError as error:
            came[type(error).__name__] += 1
    return came


async def test_over_a_thousand_damaged_values_are_set_aside_or_refused_by_name(tmp_path: Path) -> None:
    base, came = state_of(FILES[-1]), Counter[str]()
    with embedded_store(tmp_path) as url:
        async with connection(url, 10.0) as redis:
            for seed in range(MUTATIONS):
                state, what = mutated(random.Random(seed), base)  # noqa: S311 - to be had again
                prefix = f"m{seed}"
                await put(state, redis, prefix)
                try:
                    found = await readings(redis, Keys(prefix))
                except Exception as error:
                    raise AssertionError(f"mutation {seed}: {what}") from error
                # Damage is never taken for an outage, for which callers would wait in vain.
                assert set(found) <= {"read", CorruptedState.__name__}, f"mutation {seed}: {what}: {found}"
                came += found
    assert came[CorruptedState.__name__] > MUTATIONS // 4
    assert came["read"] > MUTATIONS * 5


async def test_damage_to_a_record_of_retraining_is_refused_by_name(tmp_path: Path) -> None:
    base, came = state_of(RETRAINING_FILES[-1]), Counter[str]()
    with embedded_store(tmp_path) as url:
        async with connection(url, 10.0) as redis:
            for seed in range(RECORD_MUTATIONS):
                state, what = mutated(random.Random(seed), base)  # noqa: S311 - to be had again
                await put(state, redis, f"r{seed}")
                record = RedisRetrainingRecord(redis, Keys(f"r{seed}"), 100)
                for attempt in (record.newest(RETRAINING_MODEL), record.page(RETRAINING_MODEL, 0, 10)):
                    try:
                        await attempt
                        came["read"] += 1
                    except CorruptedState:
                        came["refused"] += 1
                    except Exception as error:
                        raise AssertionError(f"mutation {seed}: {what}") from error
    assert came["refused"] > RECORD_MUTATIONS // 8
    assert came["read"] > RECORD_MUTATIONS // 4


async def observed(app: Application, model: str, count: int) -> None:
    for number in range(count):
        assert (await app.observe(payload(rows(number, 50)), model)).status_code == 200


async def at_least(app: Application, model: str, count: int) -> list[dict[str, object]]:
    async def enough() -> list[dict[str, object]]:
        found = await app.verdicts(model)
        return found if len(found) >= count else []

    return await eventually_async(enough, f"{count} verdicts of {model}")


def damaged_batches() -> list[dict[bytes, bytes]]:
    """Entries of a log that decode to nothing, or to rows of nonsense."""
    chance = np.random.default_rng(0)
    odd = chance.integers(0, 2**64, (150, 5, 3), dtype=np.uint64).view(np.float64)
    odd[::10] = np.inf
    odd[1::10] = np.nan
    odd[2::10] = 1e308
    entries = [
        {b"i": b"odd %d" % n, b"o": b"0", b"d": codec.encode(BATCH_KIND, {"rows": r})} for n, r in enumerate(odd)
    ]
    sound = entries[0][b"d"]
    cut = [{**entries[0], b"i": b"cut %d" % n, b"d": sound[:n]} for n in range(0, len(sound), 3)]
    return entries + cut + [{b"x": b"y"}, {b"f": b"?", **entries[0]}, {**entries[0], b"o": b"9" * 30}]


async def test_a_log_with_nonsense_in_it_is_judged_to_the_end(shared_store: str) -> None:
    async with application(StoreSettings(url=shared_store, prefix=secrets.token_hex(8))) as app:
        await app.register("churn")
        await app.register("healthy")
        for fields in damaged_batches():
            await app.redis.xadd(f"{app.prefix}:{{churn}}:observations", fields)  # type: ignore[arg-type]
        await observed(app, "churn", 2)
        await observed(app, "healthy", 2)
        await at_least(app, "healthy", 2)
        found = await at_least(app, "churn", 17)  # 750 rows of nonsense, 100 sound ones
        assert sum(int(str(each["misfits"])) for each in found) > 0


async def _spoil_reference(app: Application, model: str) -> None:
    async for key in app.redis.scan_iter(match=app.key(model, "reference:*"), count=10_000):
        await app.redis.setrange(key, 100, b"\x01")


DAMAGE = {
    "reference": _spoil_reference,
    "registration": lambda app, model: app.redis.xadd(app.key(model, "registrations"), {"r": "x"}),
    "registration-foreign": lambda app, model: app.redis.rename(
        app.key(model, "verdicts"), app.key(model, "registrations")
    ),
    "verdict": lambda app, model: app.redis.xadd(app.key(model, "verdicts"), {"f": "1", "v": "{}"}, id="99-0"),
    "verdict-newer": lambda app, model: app.redis.xadd(app.key(model, "verdicts"), {"f": "7"}, id="99-0"),
    "delivery": lambda app, model: app.redis.xadd(app.key(model, "deliveries"), {"d": "x"}, id="99-0"),
    "observations": lambda app, model: app.redis.set(app.key(model, "observations"), "x"),
    "passed": lambda app, model: app.redis.set(app.key(model, "passed"), "x"),
}


async def test_damaged_models_stop_no_other(shared_store: str) -> None:
    async with application(StoreSettings(url=shared_store, prefix=secrets.token_hex(8))) as app:
        for model in [*DAMAGE, "healthy"]:
            await app.register(model)
            await observed(app, model, 1)
            await at_least(app, model, 1)
    # What is fitted and read is forgotten with the process.
    async with application(StoreSettings(url=shared_store, prefix=app.prefix)) as app:
        for model, damage in DAMAGE.items():
            await damage(app, model)
        await app.redis.sadd(f"{app.prefix}:models", b"\xff", "no name", "a" * 100)
        await observed(app, "healthy", 3)
        await at_least(app, "healthy", 4)
        assert (await app.client.get("/readyz")).status_code == 200
        statuses = {model: (await app.observe(payload(rows(1, 50)), model)).status_code for model in DAMAGE}
        assert set(statuses.values()) <= {200, 500}, statuses
        answer = await app.client.get("/v1/models/verdict/verdicts")
        assert (answer.status_code, answer.json()["type"]) == (500, "urn:driftwarden:problem:corrupted-state")
        assert "verdict 99-0 of model verdict" in answer.json()["detail"]
        newer = await app.client.get("/v1/models/verdict-newer/verdicts")
        assert "a newer release wrote" in newer.json()["detail"]
        told = (await app.client.get("/metrics")).text
        assert 'driftwarden_evaluation_failures_total{error="CorruptedState",model="verdict"}' in told
        # As docs/operations.md says how to mend it.
        await app.observe(payload(rows(2, 50)), "verdict")
        await app.redis.rename(app.key("verdict", "verdicts"), app.key("verdict", "verdicts:damaged"))

        async def judged() -> bool:
            answer = await app.client.get("/v1/models/verdict/verdicts")
            return answer.status_code == 200 and len(answer.json()["verdicts"]) >= 1

        await eventually_async(judged, "the mended model is judged again")
