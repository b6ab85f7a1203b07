"""The service as its users run it: a process of its own, spoken to over HTTP."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
from redis import Redis
from redis.exceptions import RedisError

from service.adapters.embedded_store import _socket_path
from tests.processes.stores import NO_RETRY
from tests.processes.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
PATIENT_SECONDS = 15.0
BYTECODE = Path(sys.prefix) / "bytecode"
_ADDRESS = re.compile(r"listening.*?(https?://[\w.\[\]:]+:\d+)")


def environment() -> dict[str, str]:
    """This process's, without the settings of a service.

    Where Python is told to write no bytecode, every process would compile some two thousand modules anew: three
    quarters of what it takes to start one. So it is kept in the environment, out of the sources' way.
    """
    left_out = ("DRIFT_", "OTEL_", "PYTHONDONTWRITEBYTECODE")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    return {**inherited, "PYTHONPYCACHEPREFIX": str(BYTECODE)}


class ServiceProcess:
    """`python -m service serve` (or other arguments) on a free port; log lines go to a file."""

    def __init__(self, directory: Path, *arguments: str, **settings: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._arguments = arguments or ("serve",)
        self.log = directory / "service.log"
        inherited = environment()
        port = "DRIFT_WORKER__PORT" if self._arguments[0] == "worker" else "DRIFT_HTTP__PORT"
        # A store that is slow because this machine is busy is no outage: tests of outages say what they wait for.
        defaults = {port: "0", "DRIFT_STORE__TIMEOUT_SECONDS": str(PATIENT_SECONDS)}
        defaults |= {"DRIFT_STORE__EMBEDDED_DIRECTORY": str(directory / "store")}
        self._environment = {**inherited, **defaults, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", **settings}
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def launch(self) -> None:
        """Begin to start, without waiting."""
        # A log of its own for every start, so that the address is never an earlier one's.
        self.log = self._directory / f"service-{len(list(self._directory.glob('service-*.log')))}.log"
        command = [sys.executable, "-m", "service", *self._arguments]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command, env=self._environment, cwd=self._directory, stdout=log, stderr=subprocess.STDOUT
            )

    def start(self, timeout_s: float = 90) -> None:
        self.launch()
        self.ready(timeout_s)

    def ready(self, timeout_s: float = 90) -> None:
        """Wait for one that was launched."""
        self.url = eventually(self._address, "the service says where it listens", timeout_s=timeout_s)
        eventually(self._is_alive, "the service answers")

    def kill(self) -> None:
        """End it as the kernel would when memory is short."""
        self._send(signal.SIGKILL)
        self._wait()

    def stop(self, within_seconds: float = 60.0) -> int:
        """End it as Kubernetes does; the exit status. It is killed, and an error raised, if that takes longer."""
        self._send(signal.SIGTERM)
        return self._wait(within_seconds)

    def ask_to_stop(self) -> None:
        """Begin to end it as Kubernetes does, without waiting."""
        self._send(signal.SIGTERM)

    def wait(self, within_seconds: float = 60.0) -> int:
        """Exit status of one that ends by itself, or was asked to."""
        return self._wait(within_seconds)

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def said(self) -> str:
        """Everything that it logged since it was started last."""
        return self.log.read_text(errors="replace")

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=30, trust_env=False)

    def embedded_server(self) -> Redis:
        """Client of the embedded Valkey, past the service."""
        directory = Path(self._environment["DRIFT_STORE__EMBEDDED_DIRECTORY"])
        return Redis(unix_socket_path=str(_socket_path(directory.resolve())), socket_timeout=10, retry=NO_RETRY)

    def end_orphan(self) -> None:
        """End the embedded Valkey of a service that was killed, if it still runs."""
        with self.embedded_server() as server:
            try:
                server.shutdown(nosave=True)
            except (RedisError, OSError):
                return

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def _wait(self, within_seconds: float = 60.0) -> int:
        if self._process is None:
            return 0
        try:
            return self._process.wait(within_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(30)
            raise
        finally:
            self._process = None

    def _address(self) -> str:
        if self._process is not None and self._process.poll() is not None:
            raise RuntimeError(f"the service ended with {self._process.returncode}:\n{self.said()[-3000:]}")
        found = _ADDRESS.search(self.said())
        return found.group(1) if found else ""

    def _is_alive(self) -> bool:
        try:
            # Whose certificate it is does not matter here.
            return httpx.get(f"{self.url}/livez", timeout=5, trust_env=False, verify=False).status_code == 200  # noqa: S501
        except httpx.TransportError:
            return False
