"""A signed model on a disk, and a watch over it that looks often."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import yaml

from service.adapters.artifacts.elliptic_keys import EllipticKey
from service.adapters.artifacts.file_tree import FileTree
from service.adapters.artifacts.targets_file import read_targets
from service.domain.events import Event
from service.domain.integrity.statement import Kind
from service.domain.integrity.watched import State
from service.telemetry.metrics import Metrics
from service.telemetry.tracing import Tracing
from service.usecases.sign_artifact import sign_artifact
from service.usecases.tell_integrity import TellIntegrity
from service.usecases.watch_artifacts import Shown, WatchArtifacts, WhatToWatch
from tests.processes.waiting import eventually_async

FILES = {"model.onnx": b"weights" * 9_999, "a/z": b"", "a/b": b"-", ".dot": b"4"}
OFTEN: dict[str, Any] = {"stat_poll_seconds": 0.05, "interval_seconds": 300, "grace_seconds": 60}


@dataclass(frozen=True, slots=True)
class Model:
    """A folder, its signature, and keys in a folder of their own."""

    root: Path
    key: EllipticKey

    @property
    def signature(self) -> Path:
        return self.root.with_name("fraud.sig")

    @property
    def keys(self) -> Path:
        return self.root.parent / "etc"

    @property
    def weights(self) -> Path:
        return self.root / "model.onnx"

    def sign(self, version: int = 1, kind: Kind = Kind.MODEL) -> str:
        """The payload's digest."""
        _, bundle = sign_artifact(FileTree(self.root), self.key, kind, version)
        self.signature.write_bytes(bundle.encode())
        return bundle.payload_digest

    def targets(self, **members: Any) -> Path:
        """The file that says how it is watched."""
        file = self.keys / "integrity.yaml"
        target = {"name": "fraud", "path": str(self.root), "key": "release.pub", **OFTEN, **members}
        file.write_text(yaml.safe_dump({"targets": [target]}))
        return file


def made(directory: Path, files: dict[str, bytes] = FILES) -> Model:
    """Signed, too."""
    model = Model(directory / "fraud", EllipticKey.new("P-256"))
    for name, text in files.items():
        (model.root / name).parent.mkdir(parents=True, exist_ok=True)
        (model.root / name).write_bytes(text)
    model.keys.mkdir()
    (model.keys / "release.pub").write_bytes(model.key.public_key)
    model.sign()
    return model


def flip(file: Path, bit: int = 0) -> None:
    """One bit, in place."""
    with file.open("r+b") as opened:
        opened.seek(bit // 8)
        byte = opened.read(1)[0] ^ 1 << bit % 8
        opened.seek(bit // 8)
        opened.write(bytes([byte]))


@dataclass(slots=True)
class Watch:
    """Of one target; `passed` seconds are added to its clock."""

    artifacts: WatchArtifacts
    metrics: Metrics
    told: list[Event]
    passed: float = 0.0

    @property
    def shown(self) -> Shown:
        return self.artifacts.shown()[0]

    async def verifications(self) -> float:
        return sum(
            sample.value
            for metric in self.metrics.integrity_verifications.collect()
            for sample in metric.samples
            if sample.name.endswith("_total")
        )

    async def becomes(self, state: State) -> Shown:
        async def is_so() -> bool:
            return self.shown.state is state

        await eventually_async(is_so, f"the target is {state.value}")
        return self.shown

    async def verified_again(self, times: int = 1) -> None:
        """So many verifications have ended from now on."""
        before = await self.verifications()

        async def again() -> bool:
            return await self.verifications() >= before + times

        await eventually_async(again, "another verification")


@asynccontextmanager
async def watching(targets: Path) -> AsyncIterator[Watch]:
    """With the adapters that the service has, and a clock that may be set forward."""
    metrics = Metrics(10, 10)
    told: list[Event] = []
    watch: list[Watch] = []

    def monotonic() -> float:
        return time.monotonic() + (watch[0].passed if watch else 0.0)

    tell = TellIntegrity(metrics, Tracing("1", export=False), lambda: datetime.now(UTC), told.append)
    read = [WhatToWatch(target, files) for target, files in read_targets(targets)]
    artifacts = WatchArtifacts(read, monotonic, lambda: 0.5, tell)
    watch.append(Watch(artifacts, metrics, told))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(artifacts.run)
        yield watch[0]
        tasks.cancel_scope.cancel()
