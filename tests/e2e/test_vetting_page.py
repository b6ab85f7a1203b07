"""What docs/vetting.md says to type works as it stands there, and its file is one."""

import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from service.domain.retraining.gate import Evidence
from service.run_sources import read_sources
from service.settings import TriggerSettings
from service.usecases.vet_run import VetRun
from tests.processes.vetted import TEMPLATE
from tests.unit.service.adapters.trigger.requests import retrain_request

pytestmark = pytest.mark.anyio

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "vetting.md").read_text(encoding="utf-8")
VET, PIN = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
FILE, KEYS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def typed_in(folder: Path, commands: str) -> str:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["sh", "-e"],
        input=commands,
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_what_is_typed_from_the_page_lets_a_run_pass(tmp_path: Path) -> None:
    datasets, model = tmp_path / "datasets", tmp_path / "models" / "fraud"
    (datasets / "fraud").mkdir(parents=True)
    (datasets / "fraud" / "rows.csv").write_text("a,b\n1,2\n")
    model.mkdir(parents=True)
    (model / "model.onnx").write_text("weights")
    (tmp_path / "job.yaml").write_text(TEMPLATE)
    typed_in(datasets, VET)
    typed_in(tmp_path, "driftwarden keygen release; driftwarden sign models/fraud --key release.pem --kind model")
    (tmp_path / "dataset-keys.yaml").write_text(KEYS.replace("data.pub", "datasets/data.pub"))
    (tmp_path / "approver-keys.yaml").write_text(KEYS.replace("data.pub", "datasets/approver.pub"))
    (tmp_path / "model-keys.yaml").write_text(yaml.safe_dump({"keys": [{"id": "release", "key": "release.pub"}]}))
    pinned = yaml.safe_load(typed_in(tmp_path, PIN.splitlines()[0]))
    written = FILE.replace(" /datasets", f" {datasets}").replace(" /models", f" {tmp_path}/models")
    assert written.count("sha256:...") > 1
    written = written.replace("sha256:...", pinned["template"]["digest"], 1)
    (tmp_path / "retrainings.yaml").write_text(written.replace("  fraud:", '  "*":'))
    settings = TriggerSettings(retrainings=tmp_path / "retrainings.yaml", vetting="enforce")
    sources = read_sources(settings, "retraining", None, lambda: datetime.now(UTC))
    evidence = await VetRun(sources.source_of, None, enforced=True).vet(retrain_request(), None)
    assert isinstance(evidence, Evidence), evidence
    assert evidence.dataset_version == 7
