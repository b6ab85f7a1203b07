"""What it costs to keep what was sent: durable ingest against an endpoint that parses the same body and stores nothing.

`python -m benchmarks.ingest [--quick]` starts the real service several times over (each acknowledge level; with and
without testing), a real Valkey, and the endpoint, all on loopback, and lets wrk send to each in turn. Services and the
endpoint run on one core, the store and wrk on the others. Figures are ratios of medians over interleaved rounds; the
last lines are JSON, one object a figure.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import numpy as np
from redis import Redis

from benchmarks.load import Answered, Body, Load, load_generator, pinned
from tests.processes.payloads import v2_binary
from tests.processes.services import ROOT, ServiceProcess
from tests.processes.stores import StoreServer, free_port, valkey_binary
from tests.processes.waiting import eventually

BATCH_ROWS, FEATURES, REFERENCE_ROWS = 100, 20, 2_000
CONNECTIONS = 32
"""Enough to keep one core of servers busy."""
CALM_CONNECTIONS, CALM_PAUSE = 16, 40
"""A rate well below what one core can take: a p99 of an overloaded server says how long its queue is, nothing else."""
PATIENCE_SECONDS = 300
"""There are many processes to start, on one core."""
MODEL = "fraud"
RATES = [
    ("ingest_binary_over_parse", "log float64", "parse float64"),
    ("ingest_float32_over_parse", "log float32", "parse float32"),
    ("ingest_json_over_parse", "log json", "parse json"),
    ("ingest_named_over_parse", "log named float64", "parse float64"),
    ("ingest_memory_over_parse", "memory float64", "parse float64"),
    ("ingest_fsync_over_parse", "fsync float64", "parse float64"),
]
"""Figure, whose rate it is, over whose."""
RANK_PLAN = {"window": {"rows": 1000}, "detectors": [{"name": "kolmogorov_smirnov"}]}
KERNEL_PLAN = {"window": {"rows": 500}, "detectors": [{"name": "maximum_mean_discrepancy"}]}
"""Keeps a core busy with tests for most of the time at the calm rate."""


@dataclass(frozen=True, slots=True)
class Target:
    """Somebody who is sent batches."""

    url: str
    process: int
    stream: str | None = None
    """Where it stores them, if it does."""


@dataclass(frozen=True, slots=True)
class Question:
    """One column of rounds: who is sent what, how."""

    name: str
    target: Target
    body: Body
    named: bool = False
    calm: bool = False
    refusable: bool = False
    """Whether 429 is an answer: where acknowledging is faster than storing, the buffer between them fills."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number."""

    name: str
    value: float
    against: str

    def as_json(self) -> str:
        return json.dumps({"name": self.name, "value": round(self.value, 3), "unit": "ratio", "against": self.against})


def bodies() -> dict[str, Body]:
    rows = np.random.default_rng(1).normal(size=(BATCH_ROWS, FEATURES))
    return {
        "float64": Body(npy(rows), "application/x-npy"),
        "float32": Body(npy(rows.astype(np.float32)), "application/x-npy"),
        "json": Body(json.dumps({"rows": rows.tolist()}).encode(), "application/json"),
    }


def tensors() -> Body:
    """The same rows as `float64`, as a client of the Open Inference Protocol sends them."""
    rows = np.random.default_rng(1).normal(size=(BATCH_ROWS, FEATURES))
    content, head_bytes = v2_binary({"input-0": ("FP64", rows)}, id="1")
    return Body(content, "application/octet-stream", head_bytes)


def npy(rows: np.ndarray[Any, Any]) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, rows, allow_pickle=False)
    return file.getvalue()


class Machine:
    """Everything that runs for the benchmark, and where."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
        self.server_core = frozenset(cores[:1])
        self.other_cores = frozenset(cores[1:] or cores)
        self._directory = directory
        self._stack = stack
        self._count = 0

    def store(self, *arguments: str) -> StoreServer:
        store = StoreServer(valkey_binary(), self._next(), *arguments)
        self._stack.callback(store.kill)
        with pinned(self.other_cores):
            store.start()
        return store

    def service(
        self, store: StoreServer, plan: dict[str, Any] | None = None, *, apart: bool = False, **settings: str
    ) -> Target:
        """With a model under watch; without a plan nobody tests it, and `apart` a process of its own does."""
        prefix = f"service{self._count}"
        role = ("serve",) if plan is not None and not apart else ("serve", "--ingest-only")
        service = self._process(store, prefix, *role, **settings)
        reference = npy(np.random.default_rng(2).normal(size=(REFERENCE_ROWS, FEATURES)))
        with service.client() as client:
            headers = {"Content-Type": "application/x-npy"}
            answer = client.put(f"/v1/models/{MODEL}/reference", content=reference, headers=headers)
            answer.raise_for_status()
            if plan is not None:
                client.put(f"/v1/models/{MODEL}/plan", json=plan).raise_for_status()
        if apart:
            self._process(store, prefix, "worker")
        return Target(
            f"{service.url}/v1/models/{MODEL}/observations", service.pid, f"{prefix}:{{{MODEL}}}:observations"
        )

    def _process(self, store: StoreServer, prefix: str, *arguments: str, **settings: str) -> ServiceProcess:
        where = {"DRIFT_STORE__URL": store.url, "DRIFT_STORE__PREFIX": prefix}
        service = ServiceProcess(self._next(), *arguments, **where, **settings)
        self._stack.callback(service.stop)
        with pinned(self.server_core):
            service.start(timeout_s=PATIENCE_SECONDS)
        return service

    def parse_only(self) -> Target:
        port = free_port()
        command = [sys.executable, "-m", "benchmarks.parse_only", str(port)]
        with pinned(self.server_core):
            process = subprocess.Popen(command, cwd=ROOT)
        self._stack.callback(process.wait)
        self._stack.callback(process.terminate)
        url = f"http://127.0.0.1:{port}"
        eventually(
            lambda: process.poll() is not None or answers(f"{url}/openapi.json"),
            "the endpoint answers",
            timeout_s=PATIENCE_SECONDS,
        )
        return Target(f"{url}/v1/models/{MODEL}/observations", process.pid)

    def load(self) -> Load:
        return Load(self._next(), self.other_cores)

    def _next(self) -> Path:
        self._count += 1
        made = self._directory / str(self._count)
        made.mkdir()
        return made


def answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def questions(machine: Machine, store: StoreServer, synced: StoreServer) -> list[Question]:
    parse, sent = machine.parse_only(), bodies()
    log = machine.service(store)
    memory = machine.service(store, DRIFT_STORE__ACKNOWLEDGE="memory")
    fsync = machine.service(synced, DRIFT_STORE__ACKNOWLEDGE="fsync")
    rank, kernel = machine.service(store, RANK_PLAN), machine.service(store, KERNEL_PLAN)
    apart = machine.service(store, KERNEL_PLAN, apart=True)
    asked = [
        Question(f"{who} {what}", target, sent[what])
        for what in sent
        for who, target in (("parse", parse), ("log", log))
    ]
    asked.append(Question("log v2 binary", log, tensors()))
    asked.append(Question("log named float64", log, sent["float64"], named=True))
    asked.append(Question("memory float64", memory, sent["float64"], refusable=True))
    asked.append(Question("fsync float64", fsync, sent["float64"]))
    asked.append(Question("calm, no tests", log, sent["float64"], calm=True))
    asked.append(Question("calm, rank tests", rank, sent["float64"], calm=True))
    asked.append(Question("calm, kernel tests", kernel, sent["float64"], calm=True))
    asked.append(Question("calm, kernel tests apart", apart, sent["float64"], calm=True))
    return asked


def measure(
    asked: Sequence[Question], load: Load, stores: Sequence[StoreServer], rounds: int, seconds: int
) -> Mapping[str, Sequence[Answered]]:
    """Interleaved; the first round warms up and is not counted."""
    found: defaultdict[str, list[Answered]] = defaultdict(list)
    for number in range(rounds + 1):
        for question in asked:
            answered = load.send(
                question.target.url,
                question.target.process,
                question.body,
                seconds if number else 1,
                connections=CALM_CONNECTIONS if question.calm else CONNECTIONS,
                pause=CALM_PAUSE if question.calm else 0,
                name=f"{os.getpid()}-{number}-" if question.named else "",
            )
            if answered.refused and not question.refusable:
                raise SystemExit(f"{question.name}: {answered.refused:.1%} of the requests were refused")
            if number:
                found[question.name].append(answered)
            for store in stores:
                with store.client() as client:
                    empty(client, question.target.stream)
    return found


def empty(client: Redis, stream: str | None) -> None:
    """So that neither memory nor disk has to hold everything that is ever sent, and nobody tests what is left of a
    round on the next one's time."""
    if stream is not None and client.exists(stream):
        client.xtrim(stream, maxlen=0, approximate=False)
        for key in client.scan_iter(match=stream.replace("observations", "batch:*"), count=10_000):
            client.delete(key)
        client.bgrewriteaof()
        eventually(lambda: not client.info("persistence")["aof_rewrite_in_progress"], "the store's file is short again")


def middle(rounds: Sequence[Answered], field: str) -> float:
    return median(getattr(each, field) for each in rounds)


def figures(found: Mapping[str, Sequence[Answered]]) -> Iterator[Figure]:
    """Rates are those of the processor: on an idle machine they are the clock's, on a busy one only they compare."""

    def ratio(field: str, name: str, against: str) -> float:
        return middle(found[name], field) / middle(found[against], field)

    endpoint = "rate of an endpoint that parses the same body and stores nothing"
    for figure, name, against in RATES:
        yield Figure(figure, ratio("processor", against, name), endpoint)
    npy_rate = "rate of the same rows as .npy"
    yield Figure("ingest_v2_binary_over_npy", ratio("processor", "log float64", "log v2 binary"), npy_rate)
    yield Figure(
        "ingest_fsync_over_log", ratio("rate", "fsync float64", "log float64"), "rate by the clock at the level log"
    )
    calm = "p99 of the acknowledgement at the same rate without tests"
    yield Figure("ack_p99_ratio_while_testing", ratio("p99", "calm, kernel tests", "calm, no tests"), calm)
    yield Figure("ack_p99_ratio_while_rank_testing", ratio("p99", "calm, rank tests", "calm, no tests"), calm)
    yield Figure("ack_p99_ratio_while_testing_apart", ratio("p99", "calm, kernel tests apart", "calm, no tests"), calm)


def disturbed(found: Mapping[str, Sequence[Answered]]) -> Iterator[str]:
    """Where the clock says something else than the processor: something was waited for, or others used the core."""
    for figure, name, against in RATES:
        clock = middle(found[name], "rate") / middle(found[against], "rate")
        processor = middle(found[against], "processor") / middle(found[name], "processor")
        if abs(clock / processor - 1) > 0.05:
            yield f"{figure}: {processor:.2f} by the processor, {clock:.2f} by the clock"


def table(found: Mapping[str, Sequence[Answered]]) -> Iterator[str]:
    yield f"{'':24}{'answers/s':>11}{'median ms':>11}{'p99 ms':>9}{'core busy':>11}{'processor us':>14}{'refused':>9}"
    for name, rounds in found.items():
        shown = {field: middle(rounds, field) for field in Answered.__dataclass_fields__}
        yield (
            f"{name:24}{shown['rate']:11.0f}{shown['median']:11.2f}{shown['p99']:9.2f}"
            f"{shown['busy']:11.0%}{shown['processor']:14.0f}{shown['refused']:9.1%}"
        )


@contextmanager
def running() -> Iterator[tuple[Machine, StoreServer, StoreServer]]:
    with tempfile.TemporaryDirectory(prefix="ingest-") as directory, ExitStack() as stack:
        machine = Machine(Path(directory), stack)
        once_a_second = ("--auto-aof-rewrite-percentage", "0")
        yield machine, machine.store(*once_a_second), machine.store(*once_a_second, "--appendfsync", "always")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="shorter and fewer rounds, about a minute")
    rounds, seconds = (3, 1) if parser.parse_args().quick else (7, 4)
    load_generator()
    with running() as (machine, *stores):
        found = measure(questions(machine, *stores), machine.load(), stores, rounds, seconds)
    print(f"batches of {BATCH_ROWS} x {FEATURES}; servers on one core; medians of {rounds} rounds of {seconds} s\n")
    print("\n".join([*table(found), "", *disturbed(found)]))
    for figure in figures(found):
        print(figure.as_json())


if __name__ == "__main__":
    main()
