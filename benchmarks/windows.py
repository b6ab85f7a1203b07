"""Does evaluation keep up: windows judged per second by one, two and four workers; and without rows, as traffic grows.

`python -m benchmarks.windows [--quick]` lets real workers judge what waits in the logs of several models in a real
Valkey, one, two and four of them in turn, round by round. All share the machine's cores, the store among them, so that
more workers than cores can gain nothing. Then one worker judges windows of summaries, of a tenth and all of the traffic
in turn. The last lines are JSON, one object a figure.
"""

import argparse
import asyncio
import itertools
import json
import os
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
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
from service.domain.fitted_plan import fit
from service.domain.models import LOG_START, Batch, ModelName, Reference
from service.domain.plan import DetectorPlan, Plan, WindowPlan, detectors_on_summaries
from service.domain.registration import Registration, encode_reference
from service.domain.summaries import Pane, Summaries, encode_panes
from service.domain.windows import NO_ROWS
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
MODELS_OF_SUMMARIES = MODELS[:2]
EVERY_SECONDS, PANES = 60, 12
"""A window, and the panes that it is merged from."""
PANE_ROWS = (1_000, 10_000, 100_000)
POOL = 6
"""Panes of different rows, used again and again."""
PLAN_OF_SUMMARIES = Plan(
    detectors=detectors_on_summaries(), window=WindowPlan(None, every_seconds=EVERY_SECONDS, keep="summaries")
)


Fill = Callable[[str, Keys], Coroutine[None, None, None]]


@dataclass(frozen=True, slots=True)
class Load:
    """What workers are given to do."""

    plan: Plan
    models: Sequence[ModelName]
    windows: int
    """Of each model."""
    fill: Fill
    """Writes the logs."""


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


def of_rows(windows: int) -> Load:
    """Rows as they come, in windows by count."""

    async def fill(url: str, keys: Keys) -> None:
        rows = np.random.default_rng(1).normal(size=(windows * WINDOW_ROWS, FEATURES))
        parts = [rows[first : first + BATCH_ROWS] for first in range(0, len(rows), BATCH_ROWS)]
        batches = [Batch(f"batch {number}", part, datetime.now(UTC)) for number, part in enumerate(parts)]
        for model in MODELS:
            await append(url, keys, model, batches)

    return Load(PLAN, MODELS, windows, fill)


def of_panes(windows: int, pane_rows: int) -> Load:
    """Summaries of so many rows each, a dozen a window, as sidecars send them."""
    fitted, generator = fit(PLAN_OF_SUMMARIES, reference()), np.random.default_rng(2)
    pool = [Summaries.of(fitted, generator.normal(size=(pane_rows, FEATURES))) for _ in range(POOL)]

    def batch(number: int) -> Batch:
        begins_ms = number * 1000 * EVERY_SECONDS // PANES
        panes = encode_panes([Pane(begins_ms, begins_ms, pool[number % POOL])])
        return Batch(f"batch {number}", NO_ROWS, datetime.now(UTC), panes=panes)

    async def fill(url: str, keys: Keys) -> None:
        # One more: it ends the last window.
        for model in MODELS_OF_SUMMARIES:
            await append(url, keys, model, [batch(number) for number in range(windows * PANES + 1)])

    return Load(PLAN_OF_SUMMARIES, MODELS_OF_SUMMARIES, windows, fill)


async def append(url: str, keys: Keys, model: ModelName, batches: Sequence[Batch]) -> None:
    """Nothing is registered yet, so nobody looks at them."""
    async with connection(url, 30.0) as redis:
        log = RedisObservationLog(redis, keys, 10**6, 2**30, horizon=1000)
        for first in range(0, len(batches), 500):
            await asyncio.gather(*(log.append(model, batch) for batch in batches[first : first + 500]))


def reference() -> Reference:
    """The same for all models."""
    rows = np.random.default_rng(0).normal(size=(REFERENCE_ROWS, FEATURES))
    return Reference(tuple(f"feature {number}" for number in range(FEATURES)), rows)


async def register(url: str, keys: Keys, load: Load) -> None:
    """From here on there is work."""
    held = reference()
    digest = codec.digest(encode_reference(held))
    async with connection(url, 30.0) as redis:
        registrations = RedisRegistrations(redis, keys)
        for model in load.models:
            now = datetime.now(UTC)
            registration = Registration(1, model, held.features, digest, REFERENCE_ROWS, load.plan, LOG_START, now)
            assert await registrations.register(registration, held)


def judge(store: StoreServer, directory: Path, workers: int, load: Load) -> Judged:
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
        asyncio.run(load.fill(store.url, keys))
        asyncio.run(register(store.url, keys, load))
        total = len(load.models) * load.windows
        with store.client() as client:
            # Each fits the plan for itself, once; that is not what is asked here.
            eventually(
                lambda: (
                    all(_metric(worker.url, "windows_total") for worker in running)
                    or judged(client, keys, load) == total
                ),
                "all are at it",
            )
            began, ended = reached(client, keys, load, 0), reached(client, keys, load, STEADY_UNTIL * total)
            assert began[1] < STEADY_UNTIL * total / 2, "they were at it too late: more windows are needed"
            reached(client, keys, load, total)
            for key in client.scan_iter(f"{prefix}:*", count=10_000):
                client.delete(key)
        lost = sum(_metric(worker.url, "windows_lost_races_total") for worker in running)
    return Judged((ended[1] - began[1]) / (ended[0] - began[0]), lost / total)


def reached(client: Redis, keys: Keys, load: Load, windows: float) -> tuple[float, int]:
    """The moment at which so many windows were seen to be committed, and how many they were."""
    found = 0

    def enough() -> bool:
        nonlocal found
        found = judged(client, keys, load)
        return found >= windows

    eventually(enough, f"{windows:.0f} windows are judged", timeout_s=600)
    return time.perf_counter(), found


def judged(client: Redis, keys: Keys, load: Load) -> int:
    """Windows of all models, as far as they are committed."""
    pipeline = client.pipeline(transaction=False)
    for model in load.models:
        pipeline.xlen(keys.verdicts(model))
    return sum(pipeline.execute())


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
                found[workers].append(judge(store, where, workers, of_rows(windows)))
    return found


def measure_summaries(rounds: int, windows: int) -> dict[int, list[Judged]]:
    """By the rows of a pane."""
    loads = {pane_rows: of_panes(windows, pane_rows) for pane_rows in PANE_ROWS}
    found: dict[int, list[Judged]] = {pane_rows: [] for pane_rows in PANE_ROWS}
    with tempfile.TemporaryDirectory(prefix="windows-") as directory, ExitStack() as stack:
        store = StoreServer(valkey_binary(), Path(directory) / "store", "--appendonly", "no")
        stack.callback(store.kill)
        store.start()
        for number in range(rounds):
            for pane_rows, load in loads.items():
                where = Path(directory) / f"round-{number}-of-{pane_rows}"
                found[pane_rows].append(judge(store, where, 1, load))
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


def growth(found: Mapping[int, Sequence[Judged]]) -> Iterator[Figure]:
    for few, many in itertools.pairwise(PANE_ROWS):
        ratio = median(few.rate / many.rate for few, many in zip(found[few], found[many], strict=True))
        name = "summary_cost_growth" if many == PANE_ROWS[-1] else f"summary_cost_growth_to_{many}"
        against = f"a window of {PANES} panes of {few} rows, as traffic grows tenfold to {many}"
        yield Figure(name, ratio, "ratio", against)


def table_of_summaries(found: Mapping[int, Sequence[Judged]]) -> Iterator[str]:
    yield f"{'rows a window':>14}{'ms a window':>12}{'lowest':>9}{'highest':>9}"
    for pane_rows, rounds in found.items():
        costs = [1000 / each.rate for each in rounds]
        yield f"{pane_rows * PANES:14}{median(costs):12.1f}{min(costs):9.1f}{max(costs):9.1f}"


def table(found: Mapping[int, Sequence[Judged]]) -> Iterator[str]:
    yield f"{'workers':>8}{'windows/s':>12}{'lowest':>9}{'highest':>9}{'in vain':>9}"
    for workers, rounds in found.items():
        rates = [each.rate for each in rounds]
        vain = median(each.in_vain for each in rounds)
        yield f"{workers:8}{median(rates):12.1f}{min(rates):9.1f}{max(rates):9.1f}{vain:9.1%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds, two minutes")
    parser.add_argument("--only", choices=("workers", "summaries"), help="one of the two parts")
    arguments = parser.parse_args()
    rounds, windows = (3, 80) if arguments.quick else (7, 150)
    found = {} if arguments.only == "summaries" else measure(rounds, windows)
    of_summaries = {} if arguments.only == "workers" else measure_summaries(rounds, windows // 4)
    shown: list[Figure] = []
    if found:
        shown += show_workers(found, rounds)
    if of_summaries:
        shown += show_summaries(of_summaries, rounds)
    for figure in shown:
        print(figure.as_json())


def show_workers(found: Mapping[int, Sequence[Judged]], rounds: int) -> list[Figure]:
    print(
        f"{len(MODELS)} models, windows of {WINDOW_ROWS} x {FEATURES} (Kolmogorov-Smirnov and MMD), "
        f"{len(os.sched_getaffinity(0))} cores for the workers and the store; medians of {rounds} rounds\n"
    )
    print("\n".join(table(found)), end="\n\n")
    return list(figures(found))


def show_summaries(found: Mapping[int, Sequence[Judged]], rounds: int) -> list[Figure]:
    print(
        f"{len(MODELS_OF_SUMMARIES)} models without rows, windows of {PANES} panes of {FEATURES} features, one worker; "
        f"medians of {rounds} rounds\n"
    )
    print("\n".join(table_of_summaries(found)), end="\n\n")
    return list(growth(found))


if __name__ == "__main__":
    main()
