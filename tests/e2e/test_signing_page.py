"""What docs/signing.md says to type works as it stands there, and stops what it says it stops."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.service.adapters.artifacts.authorities import BETWEEN, ROOT, SIGNER

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "signing.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


SIGN, VERIFY, CERTIFIED = blocks("sh")
TRUST, AUTHORITY = blocks("yaml")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    root = tmp_path / "fraud-v3"
    root.mkdir()
    (root / "model.onnx").write_bytes(b"weights")
    return root


def typed_in(folder: Path, commands: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        ["sh", "-e"],
        input=commands,
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.usefixtures("model")
def test_a_certified_signer_is_believed_as_the_page_says(tmp_path: Path) -> None:
    (tmp_path / "root.pem").write_bytes(ROOT.pem)
    (tmp_path / "chain.pem").write_bytes(SIGNER.pem + BETWEEN.pem)
    (tmp_path / "leaf.pem").write_bytes(SIGNER.key_pem)
    (tmp_path / "authority.yaml").write_text(AUTHORITY)
    done = typed_in(tmp_path, CERTIFIED)
    assert done.returncode == 0, done.stderr
    assert "signed by: release-authority" in done.stdout


def test_a_model_is_signed_and_verified_as_the_page_says(tmp_path: Path, model: Path) -> None:
    def typed(commands: str) -> subprocess.CompletedProcess[str]:
        return typed_in(tmp_path, commands)

    sign, verify, trust = SIGN, VERIFY, TRUST
    (tmp_path / "trust.yaml").write_text(trust)
    signed = typed(sign)
    assert signed.returncode == 0, signed.stderr
    assert signed.stdout.count("verified: fraud-v3") == 2
    verified = typed(verify)
    assert verified.returncode == 0, verified.stderr
    assert "signed by: release-2026" in verified.stdout
    (model / ".git").mkdir()
    (model / ".git" / "evil").write_bytes(b"")
    refused = typed(verify)
    assert refused.returncode == 1
    assert "not signed: .git/evil" in refused.stderr
    (tmp_path / "trust.yaml").write_text(trust.replace("# revoked", "  revoked"))
    assert "which is revoked" in typed(verify).stderr
