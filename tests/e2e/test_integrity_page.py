"""What docs/integrity.md says to type shows a flipped byte taking readiness away."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.processes.services import environment
from tests.processes.stores import free_port

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "integrity.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_a_flipped_byte_takes_readiness_away_as_the_page_says(tmp_path: Path) -> None:
    sign, serve = blocks("sh")
    (targets,) = blocks("yaml")
    (tmp_path / "integrity.yaml").write_text(targets)
    port = free_port()
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    typed = subprocess.run(
        ["bash", "-m"],
        input=sign + serve.replace("localhost:8080", f"127.0.0.1:{port}"),
        cwd=tmp_path,
        env={**environment(), "PATH": path, "DRIFT_HTTP__PORT": str(port)},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert '{"status":"ok"}' in typed.stdout, typed.stderr
    problem, shown = typed.stdout.splitlines()[-1].partition('{"targets"')[::2]
    assert json.loads(problem[problem.index('{"type"') :])["detail"] == "fraud is tampered"
    (fraud, _) = json.loads('{"targets"' + shown)["targets"]
    assert (fraud["state"], fraud["changed"]) == ("tampered", ["model.onnx"])
