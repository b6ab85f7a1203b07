"""What the client's middleware costs an application: the same one with it and without it, side by side.

`python -m benchmarks.client [--quick]` starts a real service, the application twice on one core, and lets wrk ask them
in turn at a rate below what they can take; store, service and wrk are on the other cores. Every copy must be accepted,
or the run fails: what is dropped costs less. Figures are ratios of medians over interleaved rounds; the last lines are
JSON, one object a figure.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import httpx
import numpy as np

from benchmarks.inference import FEATURES, MODEL
from benchmarks.ingest import (
    CALM_CONNECTIONS,
    CALM_PAUSE,
    PATIENCE_SECONDS,
    REFERENCE_ROWS,
    Figure,
    Machine,
    Target,
    answers,
    middle,
    npy,
    table,
)
from benchmarks.load import Answered, Body, load_generator, pinned
from tests.processes.services import ROOT, ServiceProcess
from tests.processes.stores import free_port
from tests.processes.waiting import eventually

ROWS = 10
"""A request."""
WITH, WITHOUT = "with copies", "without"


def measure(directory: Path, rounds: int, seconds: int) -> Mapping[str, Sequence[Answered]]:
    """Interleaved; the first round warms up and is not counted."""
    body = json.dumps({"instances": np.random.default_rng(1).normal(size=(ROWS, FEATURES)).tolist()}).encode()
    found: dict[str, list[Answered]] = {WITHOUT: [], WITH: []}
    with ExitStack() as stack:
        machine = Machine(directory, stack)
        asked = {
            WITHOUT: application(machine, stack),
            WITH: application(machine, stack, service(machine, stack, directory / "service")),
        }
        load = machine.load()
        for number in range(rounds + 1):
            for name in sorted(asked, reverse=number % 2 == 1):
                url, process = asked[name].url, asked[name].process
                sent = Body(body, "application/json")
                duration = seconds if number else 1
                answered = load.send(url, process, sent, duration, connections=CALM_CONNECTIONS, pause=CALM_PAUSE)
                if number:
                    found[name].append(answered)
        eventually(lambda: not counters(asked[WITH])["waiting"], "nothing waits")
        if (dropped := counters(asked[WITH])["dropped"]) or not counters(asked[WITH])["accepted"]:
            raise SystemExit(f"not every copy was accepted: {dropped}")
    return found


def service(machine: Machine, stack: ExitStack, directory: Path) -> str:
    """Where it takes copies, as a sidecar does: it judges nothing."""
    store = machine.store()
    settings = {"DRIFT_STORE__URL": store.url, "DRIFT_STORE__MAX_WAITING_BATCHES": "10000000"}
    process = ServiceProcess(directory, "serve", "--ingest-only", **settings)
    stack.callback(process.stop)
    with pinned(machine.other_cores):
        process.start(timeout_s=PATIENCE_SECONDS)
    with process.client() as client:
        rows = npy(np.random.default_rng(2).normal(size=(REFERENCE_ROWS, FEATURES)))
        headers = {"Content-Type": "application/x-npy"}
        client.put(f"/v1/models/{MODEL}/reference", content=rows, headers=headers).raise_for_status()
    return process.url


def application(machine: Machine, stack: ExitStack, sidecar: str | None = None) -> Target:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.inference", str(port), *([] if sidecar is None else [sidecar])]
    with pinned(machine.server_core):
        process = subprocess.Popen(command, cwd=ROOT)
    stack.callback(process.wait)
    stack.callback(process.terminate)
    copies = f"http://127.0.0.1:{port}/copies"
    eventually(lambda: answers(copies), "the application answers", timeout_s=PATIENCE_SECONDS)
    return Target(f"http://127.0.0.1:{port}/predict", process.pid)


def counters(target: Target) -> Mapping[str, int]:
    found: Mapping[str, int] = httpx.get(target.url.replace("/predict", "/copies"), trust_env=False).json()
    return found


def figures(found: Mapping[str, Sequence[Answered]]) -> Sequence[Figure]:
    """What the middleware adds is in every one of them."""
    against = "the same application without the middleware"
    return [
        Figure(
            "client_processor_ratio", middle(found[WITH], "processor") / middle(found[WITHOUT], "processor"), against
        ),
        Figure("client_median_ratio", middle(found[WITH], "median") / middle(found[WITHOUT], "median"), against),
        Figure("client_p99_ratio", middle(found[WITH], "p99") / middle(found[WITHOUT], "p99"), against),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="shorter and fewer rounds, half a minute")
    rounds, seconds = (3, 2) if parser.parse_args().quick else (9, 4)
    load_generator()
    with tempfile.TemporaryDirectory(prefix="client-") as directory:
        found = measure(Path(directory), rounds, seconds)
    print(f"requests of {ROWS} x {FEATURES}; medians of {rounds} rounds of {seconds} s\n")
    print("\n".join([*table(found), ""]))
    for figure in figures(found):
        print(figure.as_json())


if __name__ == "__main__":
    main()
