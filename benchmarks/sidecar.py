"""What a sidecar takes: memory when it has nothing to do, its store included, and how long until it takes rows.

`python -m benchmarks.sidecar [--quick]` starts a real central service and, round by round, a real sidecar and a real
`driftwarden serve` in turn. Memory is looked at twice: when the sidecar has just started and knows no model, and when
it has forwarded panes of summaries and is quiet again. The last lines are JSON, one object a figure.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import httpx
import numpy as np

from tests.processes.services import ServiceProcess
from tests.processes.stores import free_port
from tests.processes.waiting import eventually

FEATURES, REFERENCE_ROWS, BATCHES, BATCH_ROWS = 20, 5_000, 50, 100
PLAN = {"window": {"every_seconds": 60, "keep": "summaries"}}
QUIET_SECONDS = 2.0
MIB = 2**20


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident set sizes of a process and of its store, in bytes; pages that both map count twice."""

    process: int
    store: int

    @property
    def mib(self) -> float:
        return (self.process + self.store) / MIB


@dataclass(frozen=True, slots=True)
class Life:
    """One start."""

    seconds: float
    """Until /readyz says yes."""
    processor: float
    """Seconds of the processor until then, of the process alone."""
    fresh: Memory
    used: Memory | None


def measure(rounds: int) -> tuple[Sequence[Life], Sequence[Life]]:
    """Sidecars, and services beside them; the first round of each warms the machine's caches and is not counted."""
    with tempfile.TemporaryDirectory() as scratch, central(Path(scratch) / "central") as (service, port):
        arguments = ("sidecar", "--forward-to", f"http://127.0.0.1:{port}")
        sidecars, services = list[Life](), list[Life]()
        for number in range(rounds + 1):
            sidecars.append(live(Path(scratch) / f"sidecar-{number}", arguments, service))
            services.append(live(Path(scratch) / f"serve-{number}", ("serve",), None))
    return sidecars[1:], services[1:]


@contextmanager
def central(directory: Path) -> Iterator[tuple[ServiceProcess, int]]:
    port = free_port()
    service = ServiceProcess(directory, "serve", DRIFT_HTTP__PORT=str(port))
    service.start()
    try:
        with service.client() as client:
            generator = np.random.default_rng(1)
            reference = {"rows": generator.normal(size=(REFERENCE_ROWS, FEATURES)).tolist()}
            for path, body in (("reference", reference), ("plan", PLAN)):
                client.put(f"/v1/models/churn/{path}", json=body).raise_for_status()
        yield service, port
    finally:
        service.stop()


def live(directory: Path, arguments: Sequence[str], to: ServiceProcess | None) -> Life:
    process = ServiceProcess(
        directory, *arguments, DRIFT_FORWARD__PANE_SECONDS="0.5", DRIFT_FORWARD__REFRESH_SECONDS="1"
    )
    begun = time.perf_counter()
    process.launch()
    process.ready()
    with process.client() as client:
        eventually(lambda: client.get("/readyz").is_success, "it is ready")
        seconds, processor = time.perf_counter() - begun, _processor_seconds(process.pid)
        time.sleep(QUIET_SECONDS)
        fresh = memory(process.pid)
        used = None
        if to is not None:
            forward(client)
            time.sleep(QUIET_SECONDS)
            used = memory(process.pid)
    process.stop()
    return Life(seconds, processor, fresh, used)


def forward(client: httpx.Client) -> None:
    generator = np.random.default_rng(2)
    for _ in range(BATCHES):
        rows = generator.normal(size=(BATCH_ROWS, FEATURES)).tolist()
        client.post("/v1/models/churn/observations", json={"rows": rows}).raise_for_status()
    said = f'driftwarden_forwarded_rows_total{{model="churn"}} {float(BATCHES * BATCH_ROWS)}'
    eventually(lambda: said in client.get("/metrics").text, "everything is forwarded")


def memory(process: int) -> Memory:
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return Memory(_resident(process), sum(map(_resident, map(int, children))))


def _resident(process: int) -> int:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def _processor_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, a minute")
    rounds = 3 if parser.parse_args().quick else 9
    sidecars, services = measure(rounds)
    used = [life.used for life in sidecars if life.used is not None]
    print(
        f"medians of {rounds} starts; a model of {REFERENCE_ROWS} x {FEATURES}, {BATCHES * BATCH_ROWS} rows forwarded\n"
    )
    print(f"{'':28}{'process MiB':>12}{'store MiB':>12}{'together':>12}")
    for name, found in (
        ("sidecar, just started", [life.fresh for life in sidecars]),
        ("sidecar, has forwarded", used),
        ("serve, just started", [life.fresh for life in services]),
    ):
        process, store = (median(each) / MIB for each in zip(*((m.process, m.store) for m in found), strict=True))
        print(f"{name:28}{process:12.1f}{store:12.1f}{median(each.mib for each in found):12.1f}")
    print(f"\n{'':28}{'seconds':>12}{'processor':>12}")
    for name, lives in (("sidecar ready", sidecars), ("serve ready", services)):
        print(
            f"{name:28}{median(life.seconds for life in lives):12.2f}{median(life.processor for life in lives):12.2f}"
        )
    print()
    figures = (
        ("sidecar_idle_mib", median(life.fresh.mib for life in sidecars), "MiB", "process and store, just started"),
        ("sidecar_used_mib", median(each.mib for each in used), "MiB", "the same when it has forwarded summaries"),
        ("sidecar_start_seconds", median(life.seconds for life in sidecars), "s", "from its start to /readyz"),
    )
    for name, value, unit, against in figures:
        print(json.dumps({"name": name, "value": round(value, 2), "unit": unit, "against": against}))


if __name__ == "__main__":
    main()
