"""Over random logs on a real store, judged by evaluators that come and go: what is exported is what was judged."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pytest
from anyio import CapacityLimiter
from numpy.typing import NDArray

from detectors import codec
from detectors.arrays import HOST
from service.adapters.log import RedisJudgedBatches, RedisObservationLog, RedisVerdictLog
from service.adapters.reference_store import RedisRegistrations
from service.adapters.store import Client, Keys, connection
from service.domain.models import LOG_START, Batch, ModelName, Reference
from service.domain.plan import DetectorPlan, Plan, WindowPlan
from service.domain.registration import Registration, encode_reference
from service.telemetry.metrics import Metrics
from service.telemetry.tracing import Tracing
from service.usecases.evaluate_window import EvaluateWindow, Tuning
from service.usecases.export_rows import ExportRows, Span
from service.usecases.fitted_models import FittedModels
from service.usecases.registered_models import RegisteredModels
from tests.processes.traffic import FEATURES, rows

pytestmark = pytest.mark.anyio
MODEL = ModelName("churn")
HORIZON = 6
"""Few: some batches come again within it, and some beyond."""
SWAPPED = (FEATURES[2], FEATURES[0], FEATURES[1])
HOUR = 3_600_000
PLANS = {
    "tumbling": WindowPlan(25),
    "sliding": WindowPlan(30, step=7),
    "what comes first": WindowPlan(30, every_seconds=600),
    "by time": WindowPlan(None, every_seconds=600, lateness_seconds=900, sample_rows=20),
}


@dataclass
class Sent:
    """A batch, and the number of its first row."""

    batch: Batch
    first: int


def drawn(generator: np.random.Generator) -> list[Sent]:
    """Batches of a few rows, out of order and repeated, under two registrations; each row bears its number."""
    found, first, now = list[Sent](), 0, 10 * HOUR
    for number in range(60):
        count, again = int(generator.integers(1, 14)), generator.random() < 0.25
        name = f"batch {number - int(generator.integers(1, 12))}" if again else f"batch {number}"
        now += int(generator.integers(0, 200_000))
        times = now - generator.integers(0, 1_500_000, count)
        values = np.column_stack([np.arange(first, first + count), *rows(number, count, features=2).T])
        revision = int(generator.integers(1, 3))
        columns = values if revision == 1 else values[:, [2, 0, 1]]
        moment = datetime.fromtimestamp(now / 1000, UTC)
        found.append(Sent(Batch(name, np.ascontiguousarray(columns), moment, None, revision, times), first))
        first += count
    return found


def counted(log: list[Sent]) -> list[tuple[float, int, str]]:
    """Number, time and batch of the rows that count, in the order of the log."""
    found = []
    for place, sent in enumerate(log):
        if sent.batch.identifier not in [other.batch.identifier for other in log[max(0, place - HORIZON) : place]]:
            assert sent.batch.times is not None
            for row, time in enumerate(sent.batch.times.tolist()):
                found.append((float(sent.first + row), time, sent.batch.identifier))
    return found


async def judge(redis: Client, keys: Keys, windows: int) -> int:
    """So many at the most, by an evaluator that has just started; how many there were."""
    registrations, tracing = RedisRegistrations(redis, keys), Tracing("0", export=False)
    evaluate = EvaluateWindow(
        registrations,
        FittedModels(registrations, CapacityLimiter(1), HOST),
        RedisObservationLog(redis, keys, 10_000, 2**30, horizon=HORIZON),
        RedisVerdictLog(redis, keys, 10_000),
        lambda: datetime.now(UTC),
        Metrics(10, 10),
        tracing,
        Tuning(CapacityLimiter(1), HORIZON, lambda: 0.0, 10_000),
    )
    done = 0
    while done < windows and await evaluate(MODEL):
        done += 1
    tracing.close()
    return done


async def register(registrations: RedisRegistrations, window: WindowPlan) -> None:
    plan = Plan(window, (DetectorPlan("kolmogorov_smirnov"),))
    for revision, features in enumerate((FEATURES, SWAPPED), 1):
        reference = Reference(features, rows(1, 200))
        digest = codec.digest(encode_reference(reference))
        registration = Registration(revision, MODEL, features, digest, 200, plan, LOG_START, datetime.now(UTC))
        assert await registrations.register(registration, reference)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("window", PLANS.values(), ids=PLANS.keys())
async def test_what_is_exported_is_what_was_judged(shared_store: str, window: WindowPlan, seed: int) -> None:
    generator, keys = np.random.default_rng(seed), Keys(secrets.token_hex(8))
    log = drawn(generator)
    async with connection(shared_store, 10.0) as redis:
        registrations, verdicts = RedisRegistrations(redis, keys), RedisVerdictLog(redis, keys, 10_000)
        appending = RedisObservationLog(redis, keys, 10_000, 2**30, horizon=HORIZON)
        await register(registrations, window)
        for sent in log:
            await appending.append(MODEL, sent.batch)
        while await judge(redis, keys, int(generator.integers(1, 6))):
            pass
        await appending.finish(10)
        export_rows = ExportRows(
            RegisteredModels(registrations, lambda: 0.0),
            registrations,
            verdicts,
            RedisJudgedBatches(redis, keys),
            FittedModels(registrations, CapacityLimiter(1), HOST),
            HORIZON,
        )
        export = await export_rows(MODEL, Span(1, None))
        pieces = [piece async for piece in export.pieces]
    assert export.features == SWAPPED
    given = [
        (verdict.number, [row for piece in pieces if piece.verdict == verdict.number for row in _rows_of(piece.of)])
        for verdict in export.verdicts
    ]
    assert len(given) > 5
    expected = counted(log)
    assert [len(found) for _, found in given] == [verdict.rows for verdict in export.verdicts]
    if window.rows is None:
        _by_time_as_expected(given, expected, [verdict.cursor.until or 0 for verdict in export.verdicts])
        assert len(set(_numbers(given))) + sum(verdict.late for verdict in export.verdicts) >= 0.8 * len(expected)
    else:
        step = window.step or window.rows
        for verdict, (_, found) in zip(export.verdicts, given, strict=True):
            first = verdict.first_row
            assert found == expected[first : first + verdict.rows]
        if window.every_seconds is None:
            assert [verdict.first_row for verdict in export.verdicts] == [step * place for place in range(len(given))]


def _rows_of(of: object) -> list[tuple[float, int, str]]:
    values: NDArray[np.float64] = of.rows  # type: ignore[attr-defined]
    times: NDArray[np.int64] = of.times  # type: ignore[attr-defined]
    # The number is the first of the features as they were registered first.
    return [
        (number, time, of.identifier)  # type: ignore[attr-defined]
        for number, time in zip(values[:, 1].tolist(), times.tolist(), strict=True)
    ]


def _numbers(given: list[tuple[int, list[tuple[float, int, str]]]]) -> list[float]:
    return [number for _, found in given for number, *_ in found]


def _by_time_as_expected(
    given: list[tuple[int, list[tuple[float, int, str]]]], expected: list[tuple[float, int, str]], ends: list[int]
) -> None:
    assert len(set(_numbers(given))) == len(_numbers(given)), "no row is given twice"
    for (_, found), end in zip(given, ends, strict=True):
        assert all(end - 600_000 <= time < end for _, time, _ in found)
        among = [row for row in expected if row in set(found)]
        assert found == among, "in the order of the log, and each row is one that counts"
