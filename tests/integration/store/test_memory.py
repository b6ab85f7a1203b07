"""What docs/operations.md says that entries take is what servers use for them."""

from dataclasses import replace

import numpy as np
import pytest

from service.adapters.log import RedisObservationLog, RedisVerdictLog
from service.adapters.store import Keys, connection
from service.domain.models import LOG_START, Batch, ModelName
from tests.conformance.ports.golden.expected import NOON, TRACEPARENT, VERDICT
from tests.processes.fixtures import MakeStore

pytestmark = pytest.mark.anyio

BATCHES, VERDICTS = 500, 200
KEYS = Keys("sizing")


@pytest.mark.parametrize("flavour", ["redis", "valkey"])
async def test_entries_take_what_the_sizing_says(make_store: MakeStore, flavour: str) -> None:
    store = make_store(flavour)
    async with connection(store.url, 10.0) as redis:

        async def each(key: str, entries: int) -> float:
            return float(await redis.memory_usage(key, samples=0)) / entries  # type: ignore[arg-type]

        log = RedisObservationLog(redis, KEYS, 10 * BATCHES, retained_bytes=2**40, horizon=10 * BATCHES)
        for rows, features in ((1, 20), (10, 20), (100, 20), (100, 100)):
            model = ModelName(f"m{rows}x{features}")
            values = np.random.default_rng(0).normal(size=(rows, features))
            for number in range(BATCHES):
                position = await log.append(model, Batch(f"{number:032x}", values, NOON, TRACEPARENT))
            raw = 8 * rows * features
            assert raw < await each(KEYS.observations(model), BATCHES) <= 1.25 * raw + 400
            after = LOG_START
            while batches := await log.read(model, after, 256):
                after = batches[-1].position
            await log.forget_before(model, position, 10 * BATCHES)
            assert await each(KEYS.passed(model), BATCHES) <= 1.25 * 60
        verdicts = RedisVerdictLog(redis, KEYS, 10 * VERDICTS)
        detector = VERDICT.decision.detectors[0]
        decision = replace(VERDICT.decision, detectors=(replace(detector, features=20 * detector.features[:1]),) * 2)
        for number in range(1, VERDICTS + 1):
            await verdicts.commit(replace(VERDICT, number=number, decision=decision))
        assert await each(KEYS.verdicts(VERDICT.model), VERDICTS) <= 1.25 * (500 + 150 * 2 * 20)


RETAINED = 2**20


@pytest.mark.parametrize("flavour", ["redis", "valkey"])
async def test_what_is_retained_takes_what_the_setting_says(make_store: MakeStore, flavour: str) -> None:
    store = make_store(flavour)
    async with connection(store.url, 10.0) as redis:
        log = RedisObservationLog(redis, KEYS, 10**6, RETAINED, horizon=100)
        for rows in (1, 100):
            model, values = ModelName(f"m{rows}"), np.random.default_rng(0).normal(size=(rows, 20))
            batches, after = 2 * RETAINED // (values.nbytes + 200), LOG_START
            for number in range(batches):
                await log.append(model, Batch(f"{number:032x}", values, NOON, TRACEPARENT))
            while read := await log.read(model, after, 256):
                after = read[-1].position
                await log.forget_before(model, after, 10**6)
            await log.forget_before(model, after, 10**6)
            used = float(await redis.memory_usage(KEYS.observations(model), samples=0))  # type: ignore[arg-type]
            assert 0.9 * RETAINED < used < 1.4 * RETAINED
            assert await log.length(model) == pytest.approx(batches / 2, abs=150)
