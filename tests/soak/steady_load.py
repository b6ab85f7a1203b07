"""Steady load for as long as one likes, the store killed now and then: nothing grows, nothing is lost."""

import itertools
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np

from tests.integration.store.senders import WINDOW, register, verdicts
from tests.processes.services import ServiceProcess
from tests.processes.stores import StoreServer
from tests.processes.traffic import payload, rows
from tests.processes.waiting import eventually, eventually_all
from tests.soak.figures import Figure

MODELS = tuple(f"soak-{number}" for number in range(4))
SETTINGS = {
    "DRIFT_STORE__KEPT_BATCHES": "500",
    "DRIFT_STORE__RETAINED_BYTES": "500000",
    "DRIFT_STORE__KEPT_VERDICTS": "200",
    "DRIFT_EVALUATION__POLL_SECONDS": "0.2",
    "DRIFT_EVALUATION__CLAIM_SECONDS": "1",
    "MALLOC_ARENA_MAX": "2",
}
WARM = 0.4
"""Share of the time after which nothing may grow any more ..."""
WARM_ROWS = 3000
"""... if every model has had so many by then: a busy machine takes longer."""
GROWTH_BYTES_AN_HOUR = 2**20
NOISE_BYTES = 6 * 2**20
"""Of a resident size that is looked at for seconds or minutes."""
MORE_FILES, MORE_THREADS = 16, 4
"""Connections come and go with the load; anything that leaks goes beyond that within a minute."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One process at one moment."""

    seconds: float
    resident_bytes: int
    files: int
    threads: int

    @classmethod
    def of(cls, pid: int, seconds: float) -> "Sample":
        process = Path(f"/proc/{pid}")
        pages = int((process / "statm").read_text().split()[1])
        files, threads = (len(list((process / name).iterdir())) for name in ("fd", "task"))
        return cls(seconds, pages * 4096, files, threads)


def soak(
    make_service: Callable[..., ServiceProcess], store: StoreServer, minutes: float, fault_seconds: float
) -> dict[str, Sequence[Sample]]:
    """Load two processes for so long and check everything; what each looked like, by role."""
    settings = {"DRIFT_STORE__URL": store.url, **SETTINGS}
    service, worker = make_service("serve", **settings), make_service("worker", **settings)
    for process in (service, worker):
        process.launch()
    for process in (service, worker):
        process.ready()
    with service.client() as client:
        for model in MODELS:
            register(client, model)
    pids = {"serve": service.pid, "worker": worker.pid}
    samples: dict[str, list[Sample]] = {role: [] for role in pids}
    with loaded(service) as acknowledged:
        began, next_fault, warm = time.monotonic(), fault_seconds, math.inf
        while (now := time.monotonic() - began) < warm + (1 - WARM) * minutes * 60:
            if warm == math.inf and now >= WARM * minutes * 60 and min(acknowledged.values()) >= WARM_ROWS:
                warm = now
            for role, pid in pids.items():
                samples[role].append(Sample.of(pid, now))
            if now > next_fault:
                next_fault += fault_seconds
                store.kill()
                store.start()
            time.sleep(min(1.0, minutes))  # a sampling period, not a wait for something
    with service.client() as client:
        eventually(lambda: client.get("/readyz").status_code == 200, "the service is ready")
        _judged(client, acknowledged)
    for process in (service, worker):
        assert process.stop() == 0
        assert "Traceback" not in process.said()
    for role, seen in samples.items():
        check(role, [sample for sample in seen if sample.seconds >= warm])
    return dict(samples)


@contextmanager
def loaded(service: ServiceProcess) -> Iterator[dict[str, int]]:
    """Send batches for all models until the context ends; how many rows were acknowledged, by model."""
    stopped, acknowledged = threading.Event(), dict.fromkeys(MODELS, 0)
    bodies = [payload(rows(seed, 20, shift=seed % 2 * 1.0)) for seed in range(20)]

    def send() -> None:
        with httpx.Client(base_url=service.url, timeout=30, trust_env=False) as client:
            for number, model in zip(itertools.count(), itertools.cycle(MODELS), strict=False):
                key = {"Idempotency-Key": f"batch {number}"}
                while not stopped.wait(0.01):
                    try:
                        path = f"/v1/models/{model}/observations"
                        if client.post(path, json=bodies[number % len(bodies)], headers=key).status_code == 200:
                            acknowledged[model] += 20
                            break
                    except httpx.TransportError:
                        continue
                if stopped.is_set():
                    return

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    try:
        yield acknowledged
    finally:
        stopped.set()
        sender.join(60)


def _judged(client: httpx.Client, acknowledged: dict[str, int]) -> None:
    """One more may be in the log than was acknowledged: the request that the end cut off."""
    for model, count in acknowledged.items():

        def newest(model: str = model) -> int:
            found = verdicts(client, model)
            return int(found[-1]["number"]) if found else 0

        eventually_all(newest, count // WINDOW, f"windows of {model} are judged")
        assert newest() <= (count + 20) // WINDOW


def check(role: str, warm: Sequence[Sample]) -> None:
    """Nothing grew after the warm-up."""
    seconds = np.array([sample.seconds for sample in warm])
    resident = np.array([sample.resident_bytes for sample in warm], dtype=float)
    slope = np.polyfit(seconds, resident, 1)[0]
    grown = slope * (seconds[-1] - seconds[0])
    allowed = NOISE_BYTES + GROWTH_BYTES_AN_HOUR * (seconds[-1] - seconds[0]) / 3600
    assert grown < allowed, f"{role} grew by {grown / 2**20:.1f} MiB in {seconds[-1] - seconds[0]:.0f} s"
    assert warm[-1].files <= warm[0].files + MORE_FILES, f"{role}: {warm[0].files} files became {warm[-1].files}"
    assert warm[-1].threads <= warm[0].threads + MORE_THREADS, f"{role}: {warm[0]} became {warm[-1]}"


def figures_of(samples: Mapping[str, Sequence[Sample]]) -> Iterator[Figure]:
    """What `check` has let pass, in numbers."""
    for role, seen in samples.items():
        half, last = seen[len(seen) // 2], seen[-1]
        grown = (last.resident_bytes - half.resident_bytes) / 2**20
        yield Figure("R13", f"{role}: grown since half way ({half.resident_bytes / 2**20:.1f} MiB)", grown, "MiB")
        yield Figure("R13", f"{role}: more open files than half way ({half.files})", last.files - half.files, "files")
        yield Figure(
            "R13", f"{role}: more threads than half way ({half.threads})", last.threads - half.threads, "threads"
        )
