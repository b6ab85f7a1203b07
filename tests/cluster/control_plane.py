"""Start and stop a real Kubernetes control plane on 127.0.0.1: etcd, kube-apiserver, kube-controller-manager.

There is no kubelet and no scheduler: Jobs get their Pods from the real Job controller, and nothing runs those Pods.
`python -m tests.cluster.control_plane build` builds the programs, fetches definitions, and does nothing else.
"""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.cluster import crds
from tests.cluster.api import ApiError, Cluster, wait_until, write_kubeconfig
from tests.cluster.binaries import Binaries, BinariesUnavailable, find_or_build

START_TIMEOUT_S = 90.0
CONTROLLERS = (
    "garbage-collector-controller",
    "job-controller",
    "namespace-controller",
    "resourcequota-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "ttl-after-finished-controller",
    "validatingadmissionpolicy-status-controller",
)


@dataclass(slots=True)
class Server:
    """One server process: the same command may be killed and started again."""

    name: str
    command: Sequence[str]
    log: Path
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.log.parent
            )

    def kill(self) -> None:
        """SIGKILL: what an outage is made of, and what throw-away data allows."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """SIGSTOP: connections are accepted, and nobody answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def check_running(self) -> None:
        if self._process is not None and self._process.poll() is not None:
            tail = self.log.read_text(encoding="utf-8", errors="replace")[-3000:]
            raise RuntimeError(f"{self.name} ended with {self._process.returncode}; the end of {self.log}:\n{tail}")


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """A running control plane of our own, and the handles to break it with."""

    cluster: Cluster
    api_server: Server
    others: tuple[Server, ...] = field(repr=False)

    def stop_api_server(self) -> None:
        """Kill kube-apiserver: from here on connections are refused."""
        self.api_server.kill()

    def start_api_server(self) -> None:
        """Start kube-apiserver on the same port and the same data, and wait until it is ready."""
        self.api_server.kill()
        self.api_server.start()
        wait_until(self.is_ready, "kube-apiserver answers /readyz", timeout_s=START_TIMEOUT_S)

    def is_ready(self) -> bool:
        """Ask the API server; raise if one of the processes has ended by itself."""
        for server in (self.api_server, *self.others):
            server.check_running()
        try:
            return self.cluster.request("GET", "/readyz") == {"text": "ok"}
        except (ApiError, OSError):
            return False


@contextmanager
def control_plane(directory: Path) -> Iterator[ControlPlane]:
    """Run a control plane whose data, keys and logs lie in `directory`, until the block ends."""
    binaries = find_or_build()
    directory.mkdir(parents=True, exist_ok=True)
    subprocess.run([binaries.path("certificates"), str(directory)], check=True)
    etcd_port, peer_port, api_port, manager_port = _free_ports(4)
    url = f"https://127.0.0.1:{api_port}"
    cluster = Cluster(
        url,
        _kubeconfig(directory, url, "admin"),
        directory / "ca.crt",
        directory / "admin.crt",
        directory / "admin.key",
    )
    etcd = _etcd(binaries, directory, etcd_port, peer_port)
    api_server = _api_server(binaries, directory, api_port, etcd_port)
    manager = _controller_manager(binaries, directory, manager_port, _kubeconfig(directory, url, "controller-manager"))
    running = ControlPlane(cluster, api_server, (etcd, manager))
    with ExitStack() as stack:
        for server in (manager, api_server, etcd):
            stack.callback(server.kill)
        etcd.start()
        running.start_api_server()
        manager.start()
        wait_until(lambda: _has_default_account(running), "the controllers work", timeout_s=START_TIMEOUT_S)
        yield running


def _has_default_account(running: ControlPlane) -> bool:
    # The `default` ServiceAccount is made by a controller: when it is there, the controller manager is at work.
    for server in running.others:
        server.check_running()
    return bool(running.cluster.items("/api/v1/namespaces/default/serviceaccounts"))


def _etcd(binaries: Binaries, directory: Path, client_port: int, peer_port: int) -> Server:
    client, peer = f"http://127.0.0.1:{client_port}", f"http://127.0.0.1:{peer_port}"
    return Server(
        "etcd",
        [
            binaries.path("etcd"),
            f"--data-dir={directory / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--log-level=warn",
            "--unsafe-no-fsync",  # the data is thrown away with the test run
        ],
        directory / "etcd.log",
    )


def _api_server(binaries: Binaries, directory: Path, port: int, etcd_port: int) -> Server:
    return Server(
        "kube-apiserver",
        [
            binaries.path("kube-apiserver"),
            f"--etcd-servers=http://127.0.0.1:{etcd_port}",
            f"--secure-port={port}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            "--endpoint-reconciler-type=none",  # a Service may not point at loopback, and no Pod runs here to use it
            f"--cert-dir={directory}",
            f"--tls-cert-file={directory / 'server.crt'}",
            f"--tls-private-key-file={directory / 'server.key'}",
            f"--client-ca-file={directory / 'ca.crt'}",
            "--authorization-mode=RBAC",
            "--allow-privileged=true",  # as everywhere: what refuses privileged containers has to be ours
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={directory / 'service-account.key'}",
            f"--service-account-signing-key-file={directory / 'service-account.key'}",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--profiling=false",
        ],
        directory / "kube-apiserver.log",
    )


def _controller_manager(binaries: Binaries, directory: Path, port: int, kubeconfig: Path) -> Server:
    return Server(
        "kube-controller-manager",
        [
            binaries.path("kube-controller-manager"),
            f"--kubeconfig={kubeconfig}",
            f"--controllers={','.join(CONTROLLERS)}",
            "--use-service-account-credentials=true",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            f"--cert-dir={directory / 'controller-manager'}",
            f"--root-ca-file={directory / 'ca.crt'}",
            f"--service-account-private-key-file={directory / 'service-account.key'}",
            "--profiling=false",
        ],
        directory / "kube-controller-manager.log",
    )


def _kubeconfig(directory: Path, server: str, user: str) -> Path:
    credentials = {"client-certificate": str(directory / f"{user}.crt"), "client-key": str(directory / f"{user}.key")}
    return write_kubeconfig(directory / f"{user}.kubeconfig", server, directory / "ca.crt", credentials)


def _free_ports(count: int) -> list[int]:
    # All are held at once, so that no port is handed out twice; then released for the servers to bind.
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


def main(arguments: Sequence[str]) -> int:
    """Build and fetch everything, so that CI can do the slow part first and by itself."""
    if list(arguments) != ["build"]:
        sys.stderr.write("usage: python -m tests.cluster.control_plane build\n")
        return 2
    started = time.monotonic()
    try:
        binaries = find_or_build(partial(print, flush=True))
        crds.definitions()
    except (BinariesUnavailable, crds.DefinitionsUnavailable) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{binaries.directory} ({time.monotonic() - started:.0f} s)\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
