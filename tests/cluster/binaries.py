"""The control plane's programs: built once with Go, then kept in a cache outside the checkout.

The cache is addressed by the digest of everything that decides the result: `go.mod`, `go.sum`, our own Go file, and the
version of Go. A build happens in a temporary folder that is renamed when it is complete, under a lock, so that a crash
leaves no half of a cache and two test runs do not build twice.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCES = (HERE / "go.mod", HERE / "go.sum", HERE / "certificates" / "main.go")
# What `go build` calls each program (the last element of its import path), and what it is called here.
PROGRAMS = {
    "go.etcd.io/etcd/server/v3": ("server", "etcd"),
    "k8s.io/kubernetes/cmd/kube-apiserver": ("kube-apiserver", "kube-apiserver"),
    "k8s.io/kubernetes/cmd/kube-controller-manager": ("kube-controller-manager", "kube-controller-manager"),
    "./certificates": ("certificates", "certificates"),
}


class BinariesUnavailable(Exception):
    """There is no cached build and none can be made; the message is one line that says what to install."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """One complete build."""

    directory: Path

    def path(self, name: str) -> str:
        return str(self.directory / name)


def cache_directory() -> Path:
    """Say where builds are kept: DRIFTWARDEN_TEST_CACHE, else the user's cache folder."""
    if configured := os.environ.get("DRIFTWARDEN_TEST_CACHE"):
        return Path(configured).expanduser().resolve() / "control-plane"
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "driftwarden" / "control-plane"


def find_or_build(say: Callable[[str], None] = lambda _: None) -> Binaries:
    """Give the cached build, or make it, which takes minutes; raise BinariesUnavailable if Go is not there to do so."""
    go = _go_version()
    digest = _digest()
    if go is None:
        cached = sorted(cache_directory().glob(f"{digest}-*/complete"))
        if cached:
            return Binaries(cached[-1].parent)
        raise BinariesUnavailable(
            f"install Go {_required_go()} or newer (https://go.dev/dl) to build the Kubernetes API server"
        )
    target = cache_directory() / f"{digest}-{go}"
    if not _is_complete(target):
        with _lock(target.with_name(f"{target.name}.lock")):
            if not _is_complete(target):  # another run may have built it while this one waited for the lock
                say(f"building Kubernetes {kubernetes_version()} into {target} (several minutes, once)")
                _build(target, say)
    return Binaries(target)


def kubernetes_version() -> str:
    """Read the pinned Kubernetes release from go.mod, e.g. v1.35.4."""
    return _in_go_mod(r"\bk8s\.io/kubernetes (v\S+)")


def _required_go() -> str:
    return _in_go_mod(r"^go (\S+)")


def _in_go_mod(pattern: str) -> str:
    found = re.search(pattern, (HERE / "go.mod").read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise ValueError(f"{HERE / 'go.mod'} has no {pattern}")
    return found[1]


def _digest() -> str:
    digest = hashlib.sha256()
    for source in SOURCES:
        digest.update(hashlib.sha256(source.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _is_complete(target: Path) -> bool:
    return (target / "complete").exists()


def _go_version() -> str | None:
    if shutil.which("go") is None:
        return None
    # Run beside go.mod, so that a Go that is too old either fetches the right toolchain or says that it may not.
    asked = subprocess.run(["go", "env", "GOVERSION"], cwd=HERE, capture_output=True, text=True, check=False)
    return asked.stdout.strip().replace(" ", "-") if asked.returncode == 0 else None


def _build(target: Path, say: Callable[[str], None]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".building-") as scratch:
        built = Path(scratch) / "built"
        built.mkdir()
        _go_build(built, say)
        for made_as, name in PROGRAMS.values():
            (built / made_as).rename(built / name)
        (built / "complete").touch()
        built.rename(target)


def _go_build(directory: Path, say: Callable[[str], None]) -> None:
    command = ["go", "build", "-v", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", _linker_flags()]
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": ""}
    last: deque[str] = deque(maxlen=20)
    with subprocess.Popen(
        [*command, "-o", f"{directory}/", *PROGRAMS],
        cwd=HERE,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as go:
        for count, line in enumerate(go.stdout or (), start=1):
            last.append(line)
            if count % 250 == 0:
                say(f"  {count} packages fetched or compiled")
    if go.returncode != 0:
        raise BinariesUnavailable(f"go build in {HERE} failed (can Go fetch modules here?): {''.join(last).strip()}")


def _linker_flags() -> str:
    # Kubernetes takes its version from the linker; without these the server would call itself v0.0.0-master.
    version = kubernetes_version()
    major, minor, _ = version.removeprefix("v").split(".", 2)
    package = "k8s.io/component-base/version"
    stamped = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    return " ".join(["-s -w", *(f"-X {package}.{name}={value}" for name, value in stamped.items())])


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
