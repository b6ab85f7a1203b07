"""One running container: no capability, nothing writable but its volume, and no network but its own loopback."""

import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import httpx

from tests.integration.image.engine import Engine
from tests.processes.waiting import eventually

FORWARDER = Path(__file__).with_name("forwarder.py")
START_TIMEOUT_S = 60.0
# As Pods of the security level `restricted` are run, and more.
CONFINED = (
    *("--network", "none"),
    *("--read-only", "--read-only-tmpfs=false"),
    *("--cap-drop", "all"),
    *("--security-opt", "no-new-privileges"),
    *("--pids-limit", "200"),
)


class Container:
    """The image's own entry point, port and user; HTTP reaches it through a Unix socket."""

    def __init__(self, engine: Engine, image: str, directory: Path, volume: str, **environment: str) -> None:
        self._engine = engine
        self.name = f"driftwarden-test-{uuid.uuid4().hex[:12]}"
        self._socket = directory / f"{self.name[-12:]}.sock"
        mount = f"{volume}:/var/lib/driftwarden"
        memory = ("--memory", "1g") if os.geteuid() == 0 else ()
        # Nothing reaches it but the test, through its Unix socket.
        environment = {"DRIFT_AUTHENTICATION__MODE": "none", **environment}
        variables = [part for name, value in environment.items() for part in ("--env", f"{name}={value}")]
        engine.run("podman", "create", "--name", self.name, *CONFINED, *memory, "--volume", mount, *variables, image)
        self._forwarder: subprocess.Popen[bytes] | None = None

    def start(self, until: str = "/readyz") -> None:
        """Start, and wait until a probe says yes."""
        self._engine.run("podman", "start", self.name)
        self._forwarder = self._forward()
        with self.client() as client:
            eventually(lambda: self._says_yes(client, until), f"the container's {until}", timeout_s=START_TIMEOUT_S)

    def client(self) -> httpx.Client:
        transport = httpx.HTTPTransport(uds=str(self._socket))
        return httpx.Client(transport=transport, base_url="http://driftwarden", timeout=30)

    def execute(self, *command: str) -> str:
        return self._engine.run("podman", "exec", self.name, *command)

    def inspect(self, template: str) -> Any:
        return self._engine.run("podman", "inspect", "--format", template, self.name)

    def stop(self, grace_s: int) -> int:
        """Send the image's stop signal; the exit status, 137 if the grace was not enough."""
        self._engine.run("podman", "stop", "--time", str(grace_s), self.name, timeout_s=grace_s + 30)
        self._end_forwarder()
        return int(self.inspect("{{.State.ExitCode}}"))

    def kill(self) -> None:
        """End every process in it at once, as the kernel would."""
        self._engine.run("podman", "kill", "--signal", "KILL", self.name)
        self._engine.run("podman", "wait", self.name)
        self._end_forwarder()

    def said(self) -> str:
        done = subprocess.run(
            ["podman", "logs", self.name], env=self._engine.environment, capture_output=True, text=True, check=False
        )
        return done.stdout + done.stderr

    def remove(self) -> None:
        self._end_forwarder()
        self._engine.run("podman", "rm", "--force", "--time", "0", self.name)

    def _says_yes(self, client: httpx.Client, probe: str) -> bool:
        if self.inspect("{{.State.Status}}") != "running":
            raise AssertionError(f"the container has ended:\n{self.said()}")
        try:
            return client.get(probe).status_code == 200
        except httpx.TransportError:
            return False

    def _forward(self) -> subprocess.Popen[bytes]:
        namespace = f"--net=/proc/{self.inspect('{{.State.Pid}}')}/ns/net"
        # Without root the namespace belongs to the user namespace of podman, which has to be entered first.
        enter = [] if os.geteuid() == 0 else ["podman", "unshare"]
        command = [*enter, "nsenter", namespace, sys.executable, str(FORWARDER), str(self._socket), "8080"]
        forwarder = subprocess.Popen(command, env=self._engine.environment, stdout=subprocess.PIPE)
        assert forwarder.stdout is not None
        assert forwarder.stdout.readline() == b"listening\n"
        return forwarder

    def _end_forwarder(self) -> None:
        if self._forwarder is not None:
            self._forwarder.terminate()
            self._forwarder.communicate(timeout=10)
            self._forwarder = None
