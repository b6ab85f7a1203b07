"""kustomize: the one on the PATH, kubectl's, or one built once with Go."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
MODULE = "sigs.k8s.io/kustomize/kustomize/v5"

Manifest = dict[str, Any]


class KustomizeUnavailable(Exception):
    """The message is one line that says what to install."""


def find_or_build() -> Sequence[str]:
    """Give the command that builds a folder."""
    if kustomize := shutil.which("kustomize"):
        return [kustomize, "build"]
    if kubectl := shutil.which("kubectl"):
        return [kubectl, "kustomize"]
    return [str(built_with_go()), "build"]


def built_with_go() -> Path:
    """Give the release that go.mod names: in the cache, else built into it."""
    digest = hashlib.sha256((HERE / "go.mod").read_bytes() + (HERE / "go.sum").read_bytes()).hexdigest()[:16]
    target = _cache_directory() / f"kustomize-{digest}"
    if target.exists():
        return target
    if shutil.which("go") is None:
        raise KustomizeUnavailable("install kustomize, kubectl or Go")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".building-") as scratch:
        command = ["go", "build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", scratch]
        environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": ""}
        done = subprocess.run(
            [*command, MODULE], cwd=HERE, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            last = " ".join(done.stderr.split()[-30:])
            raise KustomizeUnavailable(f"go build of kustomize failed (can Go fetch modules here?): {last}")
        (Path(scratch) / "kustomize").rename(target)  # complete or not there
    return target


def build(command: Sequence[str], directory: Path) -> list[Manifest]:
    """Every object of a folder with a kustomization.yaml."""
    done = subprocess.run([*command, str(directory)], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def _cache_directory() -> Path:
    if configured := os.environ.get("DRIFTWARDEN_TEST_CACHE"):
        return Path(configured).expanduser().resolve() / "kustomize"
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "driftwarden" / "kustomize"
