"""Applications with the middleware, as processes of their own."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from driftwarden_client import Limits
from tests.processes.services import ROOT, environment
from tests.processes.stores import free_port
from tests.processes.waiting import eventually

LIMITS = Limits(
    max_copies=20,
    max_copy_bytes=100_000,
    patience_seconds=3600,
    timeout_seconds=0.5,
    first_retry_seconds=0.02,
    longest_retry_seconds=0.1,
    flush_seconds=30,
)


class Application:
    """One that runs; its answers to `counters` are the client's."""

    def __init__(self, port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.port = port
        self.process = process
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False)
        self._log = log

    def counters(self) -> dict[str, Any]:
        """A snapshot, in which everything is accounted for."""
        found: dict[str, Any] = self.http.get("/counters").json()
        assert found["offered"] == found["accepted"] + sum(found["dropped"].values()) + found["waiting"]
        return found

    def settled(self) -> dict[str, Any]:
        """When nothing waits."""
        return eventually(lambda: found if not (found := self.counters())["waiting"] else None, "nothing waits")

    def stop(self) -> str:
        """As Kubernetes does; what it has logged."""
        self.http.close()
        self.process.terminate()
        self.process.wait(60)
        return self._log.read_text()

    def answers(self) -> bool:
        try:
            return self.http.get("/counters").is_success
        except httpx.TransportError:
            assert self.process.poll() is None, self._log.read_text()
            return False


@contextmanager
def application(directory: Path, sidecar: str, **settings: str) -> Iterator[Application]:
    """`tests/integration/client/application.py` under uvicorn, with the sidecar at that URL."""
    port, log = free_port(), directory / "application.log"
    command = [sys.executable, "-m", "uvicorn", "tests.integration.client.application:application", "--port", str(port)]
    told = {**environment(), "SIDECAR_URL": sidecar, **settings}
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=told, stdout=output, stderr=output)
    running = Application(port, process, log)
    try:
        eventually(running.answers, "the application answers")
        yield running
    finally:
        running.stop()
