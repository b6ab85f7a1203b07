"""A dataset that is signed and vetted, a base model and a template, and the file that says so, on a real disk."""

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from service.adapters.artifacts.elliptic_keys import EllipticKey
from service.adapters.artifacts.file_tree import FileTree
from service.domain.integrity.envelope import Bundle, signed_bytes
from service.domain.integrity.statement import Kind
from service.domain.retraining.vetting_statement import VettingStatement
from service.usecases.sign_artifact import sign_artifact

IMAGE = "registry.example/retrain@sha256:" + "7" * 64
CHECKS = ("labels", "privacy")
TEMPLATE = f"""\
apiVersion: batch/v1
kind: Job
metadata: {{}}
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
      - name: train
        image: {IMAGE}
"""


@dataclass
class Vetted:
    """Everything as it should be, until a test changes it."""

    folder: Path
    signer: EllipticKey = field(default_factory=lambda: EllipticKey.new("P-256"))
    approver: EllipticKey = field(default_factory=lambda: EllipticKey.new("P-256"))
    releaser: EllipticKey = field(default_factory=lambda: EllipticKey.new("P-256"))
    """Of the base model."""

    def __post_init__(self) -> None:
        for name, text in (
            ("fraud/rows.csv", "a,b\n1,2\n"),
            ("fraud/more/rows.csv", "3,4\n"),
            ("base/model.onnx", "w"),
        ):
            file = self.folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        self.template.write_text(TEMPLATE)
        self.trust("datasets.yaml", self.signer)
        self.trust("approvers.yaml", self.approver)
        self.trust("models.yaml", self.releaser)
        self.sign_dataset()
        self.vet()
        self.sign("base", self.releaser, Kind.MODEL, 1)
        self.say()

    @property
    def dataset(self) -> Path:
        return self.folder / "fraud"

    @property
    def base_model(self) -> Path:
        return self.folder / "base"

    @property
    def template(self) -> Path:
        return self.folder / "job.yaml"

    @property
    def file(self) -> Path:
        """The retrainings file."""
        return self.folder / "retrainings.yaml"

    @property
    def digest(self) -> str:
        """Of what the dataset is signed as."""
        return self._digest

    def trust(self, name: str, *keys: EllipticKey, **limits: Any) -> None:
        entries = [{"id": f"key-{number}", "key": key.public_key.decode()} | limits for number, key in enumerate(keys)]
        (self.folder / name).write_text(yaml.safe_dump({"keys": entries}))

    def sign_dataset(self, key: EllipticKey | None = None, version: int | None = 3) -> None:
        self._digest = self.sign("fraud", key or self.signer, Kind.DATASET, version)

    def sign(self, name: str, key: EllipticKey, kind: Kind, version: int | None) -> str:
        _, bundle = sign_artifact(FileTree(self.folder / name), key, kind, version)
        (self.folder / f"{name}.sig").write_bytes(bundle.encode())
        return bundle.payload_digest

    def vet(
        self,
        key: EllipticKey | None = None,
        *,
        dataset: str | None = None,
        requester: str | None = None,
        checks: tuple[str, ...] = CHECKS,
        issued: timedelta = -timedelta(minutes=1),
        expires: timedelta = timedelta(days=1),
    ) -> None:
        """`issued` and `expires`: from now on."""
        approver, now = key or self.approver, datetime.now(UTC)
        statement = VettingStatement(
            "fraud",
            dataset or self.digest,
            frozenset(checks),
            approver.fingerprint,
            requester or self.signer.fingerprint,
            now + issued,
            now + expires,
        )
        self.write_vetting(statement.encode(), approver)

    def write_vetting(self, payload: bytes, key: EllipticKey) -> None:
        bundle = Bundle(payload, key.sign(signed_bytes(payload)), key.fingerprint)
        (self.folder / "fraud.vetting").write_bytes(bundle.encode())

    def entry(self) -> dict[str, Any]:
        """What the retrainings file says of a model."""
        digest = hashlib.sha256(self.template.read_bytes()).hexdigest()
        vetting = {"approvers": "approvers.yaml", "checks": list(CHECKS)}
        return {
            "template": {"file": "job.yaml", "digest": f"sha256:{digest}"},
            "dataset": {"path": "fraud", "trust": "datasets.yaml", "vetting": vetting},
            "base_model": {"path": "base", "trust": "models.yaml"},
        }

    def say(self, entry: dict[str, Any] | None = None, model: str = "*") -> None:
        """Write the retrainings file."""
        self.file.write_text(yaml.safe_dump({"retrainings": {model: entry or self.entry()}}))
