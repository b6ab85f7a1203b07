"""Several servers that are one store: a cluster of three masters, and a master with a replica under a Sentinel."""

import itertools
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

from redis import Redis
from redis.exceptions import RedisError

from tests.processes.stores import NO_RETRY, StoreServer, free_port
from tests.processes.waiting import eventually

SLOTS = 16384
MASTER_NAME = "main"


def with_user(url: str, username: str, password: str) -> str:
    """The same URL, logged in."""
    parts = urlsplit(url)
    return parts._replace(netloc=f"{username}:{password}@{parts.netloc}").geturl()


class OneServer:
    """The simplest group."""

    def __init__(self, executable: str, directory: Path, *arguments: str) -> None:
        self.servers = [StoreServer(executable, directory, *arguments)]
        self.url = self.servers[0].url

    def start(self) -> None:
        for server in self.servers:
            server.start()

    def kill(self) -> None:
        for server in self.servers:
            server.resume()
            server.kill()


class Cluster(OneServer):
    """Masters that share the slots; a slot's master can be asked for."""

    def __init__(self, executable: str, directory: Path, *arguments: str, masters: int = 3) -> None:
        self.servers = []
        for number in range(masters):
            bus = ("--cluster-port", str(free_port()), "--cluster-node-timeout", "1000")
            cluster = ("--cluster-enabled", "yes", "--cluster-require-full-coverage", "no", *bus)
            self.servers.append(StoreServer(executable, directory / f"node-{number}", *cluster, *arguments))
        self.url = f"redis+cluster://{','.join(f'127.0.0.1:{server.port}' for server in self.servers)}"

    def start(self) -> None:
        super().start()
        bounds = [SLOTS * number // len(self.servers) for number in range(len(self.servers) + 1)]
        for (first, after), (number, server) in zip(itertools.pairwise(bounds), enumerate(self.servers), strict=True):
            with server.client() as client:
                client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, after - 1)
        with self.servers[0].client() as client:
            for server in self.servers[1:]:
                with server.client() as other:
                    bus = other.config_get("cluster-port")["cluster-port"]
                client.execute_command("CLUSTER", "MEET", "127.0.0.1", server.port, bus)
        eventually(self.is_whole, "every node of the cluster knows all slots")

    def is_whole(self) -> bool:
        """Whether every node knows a master for every slot."""
        return all(self._knows_all(server) for server in self.servers)

    def master_of(self, key: str) -> StoreServer:
        """The server that holds the key."""
        with self.servers[0].client() as client:
            slot = int(client.execute_command("CLUSTER", "KEYSLOT", key))
        return self.servers[min(slot * len(self.servers) // SLOTS, len(self.servers) - 1)]

    @staticmethod
    def _knows_all(server: StoreServer) -> bool:
        with server.client() as client:
            try:
                ranges = client.execute_command("CLUSTER", "SLOTS")
                state = client.execute_command("CLUSTER", "INFO")
            except (RedisError, OSError):
                return False
        covered = sum(int(entry[1]) - int(entry[0]) + 1 for entry in _slots(ranges))
        told = state if isinstance(state, dict) else dict(line.split(":") for line in _text(state).split())
        return covered == SLOTS and _text(told["cluster_state"]) == "ok"


def _slots(ranges: object) -> list[tuple[int, int]]:
    return [tuple(map(int, key[:2])) for key in ranges]  # type: ignore[attr-defined]


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


class SentinelServer:
    """One Sentinel that watches one master."""

    def __init__(self, executable: str, directory: Path, master_port: int, *lines: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self._configuration = directory / "sentinel.conf"
        self._command = [executable, str(self._configuration), "--sentinel"]
        # A line of the caller's comes first: TLS must be known before the master is.
        watch = (
            f"sentinel monitor {MASTER_NAME} 127.0.0.1 {master_port} 1",
            f"sentinel down-after-milliseconds {MASTER_NAME} 500",
            f"sentinel failover-timeout {MASTER_NAME} 3000",
        )
        ports = () if any(line.startswith("tls-port") for line in lines) else (f"port {self.port}",)
        self._configuration.write_text("\n".join((*ports, "bind 127.0.0.1", *lines, *watch, "")))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._configuration.with_suffix(".log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=subprocess.STDOUT)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
            self._process = None

    def said(self) -> str:
        return self._configuration.with_suffix(".log").read_text(errors="replace")

    def master(self) -> dict[str, object]:
        """What it knows of its master; nothing while it does not answer."""
        with Redis(port=self.port, socket_timeout=10, retry=NO_RETRY) as client:
            try:
                return dict(client.sentinel_masters()[MASTER_NAME])
            except (RedisError, OSError):
                return {}


class SentinelGroup(OneServer):
    """A master, a replica, and one Sentinel that makes the replica master when the master is gone."""

    def __init__(self, executable: str, directory: Path) -> None:
        self.servers = [
            StoreServer(executable, directory / name, "--repl-diskless-sync-delay", "0") for name in ("first", "second")
        ]
        self.sentinel = SentinelServer(executable, directory / "sentinel", self.servers[0].port)
        self.url = f"redis+sentinel://127.0.0.1:{self.sentinel.port}/{MASTER_NAME}/0"

    def start(self) -> None:
        super().start()
        master, replica = self.servers
        with replica.client() as client:
            client.replicaof("127.0.0.1", master.port)
            eventually(lambda: client.info("replication")["master_link_status"] == "up", "the replica follows")
        self.sentinel.start()
        eventually(lambda: self.sentinel.master().get("num-slaves") == 1, "the Sentinel knows master and replica")

    def kill(self) -> None:
        self.sentinel.kill()
        super().kill()
