"""What it costs to know who calls: the layer alone, and ingest with a key against ingest without.

`python -m benchmarks.authentication [--quick]` starts two real services on one store, one of which asks for keys, and
lets wrk send the same requests to both, in rounds of changing order. The figure is the processor time of the server for
a batch, which other processes on the machine disturb less than its rate. The last lines are JSON, one object a figure.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.ingest import CONNECTIONS, FEATURES, MODEL, REFERENCE_ROWS, bodies, npy
from benchmarks.load import Load, pinned
from service.adapters.access.callers_file import CallersFile
from service.http.authentication import CONNECTION, AuthenticationFirst
from service.usecases.admit_caller import AdmitCaller
from tests.processes.callers import Callers, bearer, write_callers
from tests.processes.services import ServiceProcess
from tests.processes.stores import StoreServer, valkey_binary

CALLER = "administrator"
REQUESTS, REPEATS = 500, 200
"""Short repetitions, of which the quickest counts: the one that nobody disturbed."""


def layer_microseconds(callers: Callers) -> tuple[float, float]:
    """Of one request, right and refused."""

    async def application(*_: Any) -> None: ...

    layer = AuthenticationFirst(application, AdmitCaller([CallersFile(callers.file)], lambda _: None), time.monotonic)

    def scope(key: str) -> dict[str, Any]:
        connection = {"extensions": {CONNECTION: {}}}
        usual = {"Host": "x", "User-Agent": "x", "Content-Type": "application/x-npy", "Content-Length": "16128"}
        headers = [(name.lower().encode(), value.encode()) for name, value in {**usual, **bearer(key)}.items()]
        return {
            "type": "http",
            "method": "POST",
            "path": f"/v1/models/{MODEL}/observations",
            "headers": headers,
            **connection,
        }

    async def measured(key: str, count: int) -> float:
        asked, began = scope(key), time.perf_counter()
        for _ in range(count):
            await layer(asked, application, application)  # type: ignore[arg-type]
        return (time.perf_counter() - began) / count * 1e6

    def best(key: str, count: int) -> float:
        return min(asyncio.run(measured(key, count)) for _ in range(REPEATS))

    return best(callers.keys[CALLER], REQUESTS), best("nobody's", REQUESTS // 10)


def processor_microseconds(callers: Callers, directory: Path, rounds: int, seconds: int) -> dict[str, list[float]]:
    """Of a server for a batch, by whether it asks whose it is."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    body = bodies()["float64"]
    found: dict[str, list[float]] = {"without": [], "with": []}
    with ExitStack() as stack:
        store = StoreServer(valkey_binary(), directory / "store")
        stack.callback(store.kill)
        store.start()
        services = {}
        for name, asking in (("without", {}), ("with", {"DRIFT_AUTHENTICATION__CALLERS_FILE": str(callers.file)})):
            settings = {"DRIFT_STORE__URL": store.url, "DRIFT_STORE__PREFIX": name}
            service = ServiceProcess(directory / name, "serve", "--ingest-only", **settings, **asking)
            stack.callback(service.stop)
            with pinned(frozenset(cores[:1])):
                service.start(timeout_s=300)
            rows = npy(np.random.default_rng(2).normal(size=(REFERENCE_ROWS, FEATURES)))
            headers = {"Content-Type": "application/x-npy", **callers.as_caller(CALLER)}
            with service.client() as client:
                client.put(f"/v1/models/{MODEL}/reference", content=rows, headers=headers).raise_for_status()
            services[name] = service
        load = Load(directory, frozenset(cores[1:] or cores), callers.keys[CALLER])
        for number in range(rounds + 1):
            for name in sorted(services, reverse=number % 2 == 1):
                service = services[name]
                url = f"{service.url}/v1/models/{MODEL}/observations"
                answered = load.send(url, service.pid, body, seconds if number else 1, connections=CONNECTIONS)
                if number:
                    found[name].append(answered.processor)
                with store.client() as client:
                    client.xtrim(f"{name}:{{{MODEL}}}:observations", maxlen=0, approximate=False)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    quick = parser.parse_args().quick
    rounds, seconds = (10, 1) if quick else (20, 4)
    with tempfile.TemporaryDirectory(prefix="driftwarden-") as directory:
        callers = write_callers(Path(directory) / "callers")
        right, refused = layer_microseconds(callers)
        print(f"the layer alone: {right:.2f} µs for a caller that is let in, {refused:.1f} µs for one that is not")
        found = processor_microseconds(callers, Path(directory), rounds, seconds)
    without, with_key = median(found["without"]), median(found["with"])
    print(
        f"ingest: {without:.1f} µs of the server's processor a batch if it does not ask, {with_key:.1f} µs if it does"
    )
    figures = [
        ("authentication_layer", right, "microseconds"),
        ("authentication_refusal", refused, "microseconds"),
        ("ingest_authenticated_over_not", without / with_key, "ratio"),
    ]
    for name, value, unit in figures:
        print(json.dumps({"name": name, "value": round(value, 3), "unit": unit}))


if __name__ == "__main__":
    sys.exit(main())
