"""What docs/signing.md says to type works as it stands there, and stops what it says it stops."""

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "signing.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_a_model_is_signed_and_verified_as_the_page_says(tmp_path: Path) -> None:
    model = tmp_path / "fraud-v3"
    model.mkdir()
    (model / "model.onnx").write_bytes(b"weights")

    def typed(commands: str) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        return subprocess.run(
            ["sh", "-e"],
            input=commands,
            cwd=tmp_path,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    sign, verify = blocks("sh")
    (trust,) = blocks("yaml")
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
