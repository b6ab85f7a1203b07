"""Does evaluation keep up: windows judged per second by one, two and four workers on one store.

`python -m benchmarks.windows [--quick]` lets real workers judge what waits in the logs of several models in a real
Valkey, one, two and four of them in turn, round by round. All share the machine's cores, the store among them, so that
more workers than cores can gain nothing. The last lines are JSON, one object a figure.
"""

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import httpx
import numpy as np
from redis import Redis

from benchmarks.wire import ONE_THREAD
from detectors import codec
from service.adapters.log import RedisObservationLog
from service.adapters.reference_store import RedisRegistrations
from service.adapters.store import Keys, connection
from service.domain.models import LOG_START, Batch, ModelName, Reference
from service.domain.plan import DetectorPlan, Plan, WindowPlan
from service.domain.registration import Registration, encode_reference
from tests.processes.services import ServiceProcess
from tests.processes.stores import StoreServer, valkey_binary
from tests.processes.waiting import eventually

WORKERS = (1, 2, 4)
MODELS = tuple(ModelName(f"model-{number}") for number in range(8))
FEATURES, WINDOW_ROWS, BATCH_ROWS, REFERENCE_ROWS = 20, 500, 100, 5_000
STEADY_UNTIL = 0.9
"""Share of all windows: after it, some workers have nothing left."""
PLAN = Plan(
    detectors=(DetectorPlan("kolmogorov_smirnov"), DetectorPlan("maximum_mean_discrepancy")),
    window=WindowPlan(rows=WINDOW_ROWS),
)


@dataclass(frozen=True, slots=True)
class Judged:
    """One round of one number of workers."""

    rate: float
    """Windows a second."""
    in_vain: float
    """Windows that were computed and had been committed by another, as a share of all."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number."""

    name: str
    value: float
    unit: str
    against: str

    def as_json(self) -> str:
        return json.dumps({**{name: getattr(self, name) for name in self.__slots__}, "value": round(self.value, 3)})


async def fill(url: str, keys: Keys, windows: int) -> None:
    """Write the logs; nothing is registered yet, so nobody looks at them."""
    rows = np.random.default_rng(1).normal(size=(windows * WINDOW_ROWS, FEATURES))
    async with connection(url, 30.0) as redis:
        log = RedisObservationLog(redis, keys, 10**6, 2**30, horizon=1000)
        for model in MODELS:
            parts = [rows[first : first + BATCH_ROWS] for first in range(0, len(rows), BATCH_ROWS)]
            batches = [Batch(f"batch {number}", part, datetime.now(UTC)) for number, part in enumerate(parts)]
            await asyncio.gather(*(log.append(model, batch) for batch in batches))


async def register(url: str, keys: Keys) -> None:
    """From here on there is work."""
    rows = np.random.default_rng(0).normal(size=(REFERENCE_ROWS, FEATURES))
    reference = Reference(tuple(f"feature {number}" for number in range(FEATURES)), rows)
    digest = codec.digest(encode_reference(reference))
    async with connection(url, 30.0) as redis:
        registrations = RedisRegistrations(redis, keys)
        for model in MODELS:
            now = datetime.now(UTC)
            registration = Registration(1, model, reference.features, digest, REFERENCE_ROWS, PLAN, LOG_START, now)
            assert await registrations.register(registration, reference)


def judge(store: StoreServer, directory: Path, workers: int, windows: int) -> Judged:
    """Let so many workers judge everything under a prefix of their own."""
    prefix = directory.name
    keys = Keys(prefix)
    settings = {"DRIFT_STORE__URL": store.url, "DRIFT_STORE__PREFIX": prefix, "DRIFT_EVALUATION__POLL_SECONDS": "0.1"}
    with ExitStack() as stack:
        running = [
            ServiceProcess(directory / str(number), "worker", **settings, **ONE_THREAD) for number in range(workers)
        ]
        for worker in running:
            stack.callback(worker.stop)
            worker.launch()
        for worker in running:
            worker.ready()
        asyncio.run(fill(store.url, keys, windows))
        asyncio.run(register(store.url, keys))
        total = len(MODELS) * windows
        with store.client() as client:
            # Each fits the plan for itself, once; that is not what is asked here.
            eventually(lambda: all(_metric(worker.url, "windows_total") for worker in running), "all are at it")
            began, ended = reached(client, keys, 0), reached(client, keys, STEADY_UNTIL * total)
            assert began[1] < STEADY_UNTIL * total / 2, "they were at it too late: more windows are needed"
            reached(client, keys, total)
            for key in client.scan_iter(f"{prefix}:*", count=10_000):
                client.delete(key)
        lost = sum(_metric(worker.url, "windows_lost_races_total") for worker in running)
    return Judged((ended[1] - began[1]) / (ended[0] - began[0]), lost / total)


def reached(client: Redis, keys: Keys, windows: float) -> tuple[float, int]:
    """The moment at which so many windows were seen to be committed, and how many they were."""
    found = 0

    def enough() -> bool:
        nonlocal found
        pipeline = client.pipeline(transaction=False)
        for model in MODELS:
            pipeline.xlen(keys.verdicts(model))
        found = sum(pipeline.execute())
        return found >= windows

    eventually(enough, f"{windows:.0f} windows are judged", timeout_s=600)
    return time.perf_counter(), found


def _metric(url: str, name: str) -> float:
    lines = httpx.get(f"{url}/metrics", timeout=30, trust_env=False).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"driftwarden_{name}{{"))


def measure(rounds: int, windows: int) -> dict[int, list[Judged]]:
    found: dict[int, list[Judged]] = {workers: [] for workers in WORKERS}
    with tempfile.TemporaryDirectory(prefix="windows-") as directory, ExitStack() as stack:
        store = StoreServer(valkey_binary(), Path(directory) / "store", "--auto-aof-rewrite-percentage", "0")
        stack.callback(store.kill)
        store.start()
        for number in range(rounds):
            for workers in WORKERS:
                where = Path(directory) / f"round-{number}-of-{workers}"
                found[workers].append(judge(store, where, workers, windows))
    return found


def figures(found: Mapping[int, Sequence[Judged]]) -> Iterator[Figure]:
    cores = len(os.sched_getaffinity(0))
    rates = {workers: median(each.rate for each in rounds) for workers, rounds in found.items()}
    for workers, rate in rates.items():
        yield Figure(f"windows_per_second_{workers}", rate, "windows/s", f"{cores} cores, the store on them too")
    for workers in WORKERS[1:]:
        ratio = median(many.rate / one.rate for many, one in zip(found[workers], found[1], strict=True))
        yield Figure(f"windows_{workers}_over_1", ratio, "ratio", f"one worker, {cores} cores, the store on them too")
    vain = max(each.in_vain for rounds in found.values() for each in rounds)
    yield Figure("windows_computed_in_vain", vain, "ratio", "all windows, in the worst round")


def table(found: Mapping[int, Sequence[Judged]]) -> Iterator[str]:
    yield f"{'workers':>8}{'windows/s':>12}{'lowest':>9}{'highest':>9}{'in vain':>9}"
    for workers, rounds in found.items():
        rates = [each.rate for each in rounds]
        vain = median(each.in_vain for each in rounds)
        yield f"{workers:8}{median(rates):12.1f}{min(rates):9.1f}{max(rates):9.1f}{vain:9.1%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds, two minutes")
    rounds, windows = (3, 80) if parser.parse_args().quick else (7, 150)
    found = measure(rounds, windows)
    print(
        f"{len(MODELS)} models, windows of {WINDOW_ROWS} x {FEATURES} (Kolmogorov-Smirnov and MMD), "
        f"{len(os.sched_getaffinity(0))} cores for the workers and the store; medians of {rounds} rounds\n"
    )
    print("\n".join(table(found)), end="\n\n")
    for figure in figures(found):
        print(figure.as_json())


if __name__ == "__main__":
    main()
