"""What docs/custody.md says to type works as it stands there: a run is asked for, and the record is verified."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.processes.fixtures import MakeService
from tests.processes.services import environment
from tests.processes.traffic import reference

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "custody.md").read_text(encoding="utf-8")
BY_HAND, KEY, RECORD, _ = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)


def typed(folder: Path, commands: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        ["sh", "-e"],
        input=commands,
        cwd=folder,
        env={**environment(), "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_run_is_asked_for_and_its_record_verified_as_the_page_says(tmp_path: Path, make_service: MakeService) -> None:
    assert typed(tmp_path, KEY).returncode == 0
    service = make_service(DRIFT_TRIGGER__SIGNING_KEY_FILE=str(tmp_path / "service.pem"))
    service.start()
    with service.client() as client:
        client.put("/v1/models/churn/reference", json=reference()).raise_for_status()

    def here(commands: str) -> str:
        return commands.replace("http://127.0.0.1:8080", service.url)

    earlier = typed(tmp_path, here(RECORD.splitlines()[0].replace("churn.jsonl", "churn-october.jsonl")))
    assert earlier.returncode == 0, earlier.stderr
    asked = typed(tmp_path, here(BY_HAND))
    assert '"permitted":true' in asked.stdout, asked.stdout + asked.stderr
    assert '"by":"(not authenticated)","reason":"new prices"' in asked.stdout
    verified = typed(tmp_path, here(RECORD))
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "ASKED retrain-churn-by-hand-" in verified.stdout
    assert verified.stdout.count("verified: churn.jsonl") == 2
    cut = "sed -i 1d churn.jsonl\n" + RECORD.splitlines()[1]
    refused = typed(tmp_path, cut)
    assert (refused.returncode, "is not verified" in refused.stderr) == (1, True)
