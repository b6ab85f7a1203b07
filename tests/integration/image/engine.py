"""buildah and podman with a storage and a configuration of the tests' own, so that nobody's containers are touched."""

import hashlib
import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
DOCKERFILE = ROOT / "Dockerfile"
# The Dockerfile's secrets, and the variables that say where this machine has such a file.
SECRETS = {
    "ca-certificates": ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE"),
    "pip.conf": ("PIP_CONFIG_FILE",),
}
UNREACHABLE = ("Failed to fetch", "error sending request", "Could not find a version", "dns error")
"""What uv and pip say where no package index can be reached."""
STORAGE = """\
[storage]
driver = ""
graphroot = "{graph}"
runroot = "{running}"
"""
CONFIGURATION = """\
[containers]
log_driver = "k8s-file"
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
tmp_dir = "{running}/engine"
"""


class EngineUnavailable(Exception):
    """The message is one line that says what to install."""


class CommandFailed(Exception):
    """A command of the engine's ended with an error; the message has its last lines."""


def cache_directory() -> Path:
    """Say where images are kept between runs: DRIFTWARDEN_TEST_CACHE, else the user's cache folder. May be deleted."""
    if configured := os.environ.get("DRIFTWARDEN_TEST_CACHE"):
        return Path(configured).expanduser().resolve() / "images"
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "driftwarden" / "images"


def base_name() -> str:
    """The base image that the Dockerfile names."""
    found = re.search(r"^ARG PYTHON_IMAGE=(\S+)$", DOCKERFILE.read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None
    return found[1]


def _state_directory(storage: Path) -> Path:
    """Say where the engine notes what is mounted: empty after a reboot, and always the same for one storage."""
    volatile = Path("/run") if os.geteuid() == 0 else Path(os.environ.get("XDG_RUNTIME_DIR", storage))
    directory = volatile / f"driftwarden-{hashlib.sha256(os.fsencode(storage)).hexdigest()[:12]}"
    directory.mkdir(mode=0o700, exist_ok=True)
    return directory


@dataclass(frozen=True, slots=True)
class Engine:
    """Runs commands; knows nothing of what is in the image."""

    environment: dict[str, str]

    @classmethod
    def in_directory(cls, storage: Path, scratch: Path) -> "Engine":
        """Raise EngineUnavailable where a program is missing."""
        for program in ("buildah", "podman", "runc", "nsenter"):
            if shutil.which(program) is None:
                raise EngineUnavailable(
                    f"install {program} (Debian, Ubuntu: apt install buildah podman runc mmdebstrap)"
                )
        storage.mkdir(parents=True, exist_ok=True)
        running = _state_directory(storage)
        (scratch / "storage.conf").write_text(STORAGE.format(graph=storage / "graph", running=running / "storage"))
        (scratch / "containers.conf").write_text(CONFIGURATION.format(running=running))
        settings = {
            "CONTAINERS_STORAGE_CONF": str(scratch / "storage.conf"),
            "CONTAINERS_CONF": str(scratch / "containers.conf"),
            "BUILDAH_ISOLATION": "chroot",
        }
        return cls({**os.environ, **settings})

    def run(self, *command: str | Path, timeout_s: float = 60, **environment: str) -> str:
        """Standard output of a command; raise CommandFailed."""
        done = subprocess.run(
            command,
            env={**self.environment, **environment},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if done.returncode != 0:
            last = "\n".join((done.stdout + done.stderr).splitlines()[-25:])
            raise CommandFailed(f"{' '.join(map(str, command[:3]))} ... ended with {done.returncode}:\n{last}")
        return done.stdout.strip()

    def succeeds(self, *command: str | Path, timeout_s: float = 60) -> bool:
        try:
            self.run(*command, timeout_s=timeout_s)
        except (CommandFailed, subprocess.TimeoutExpired):
            return False
        return True

    def provide_base(self, say: Callable[[str], None]) -> str:
        """Have the base image: the one that is there, the official one, or a stand-in. Say which."""
        name = base_name()
        if not self.succeeds("podman", "image", "exists", name):
            say(f"image: fetching or making {name}")
            if not self.succeeds("podman", "pull", "--quiet", name, timeout_s=120):
                self.run(ROOT / ".ci" / "base_image", name, timeout_s=600)
        stand_in = self.run(
            "podman", "image", "inspect", name, "--format", '{{index .Labels "driftwarden.dev/stand-in-for"}}'
        )
        return f"{name}{' (a stand-in made by .ci/base_image)' if stand_in == name else ''}"

    def build(self, tag: str) -> str:
        """Build the unchanged Dockerfile; what this machine needs to reach its package index goes in as secrets."""
        command = ["buildah", "bud", "--isolation", "chroot", "--network", "host", "--format", "docker", "--layers"]
        command += ["--pull-never", "--quiet", "--tag", tag]
        for identifier, variables in SECRETS.items():
            sources = [os.environ[name] for name in variables if name in os.environ]
            if source := next((source for source in sources if Path(source).is_file()), None):
                command += ["--secret", f"id={identifier},src={source}"]
        self.run(*command, ROOT, timeout_s=900)
        # Layers of older builds are kept a week, so that the next build is short.
        self.run("podman", "image", "prune", "--force", "--filter", "until=168h")
        return tag

    def megabytes(self, image: str) -> float:
        """Size of an image, unpacked."""
        return int(self.run("podman", "image", "inspect", image, "--format", "{{.Size}}")) / 1e6

    @contextmanager
    def volume(self) -> Iterator[str]:
        """Give a named volume while the context lasts."""
        name = f"driftwarden-test-{uuid.uuid4().hex[:12]}"
        self.run("podman", "volume", "create", name)
        try:
            yield name
        finally:
            self.run("podman", "volume", "rm", "--force", name)
