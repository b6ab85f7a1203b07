"""Every command of docs/performance.md is taken as it stands there, and finds what the page says."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.processes.fixtures import MakeService
from tests.processes.waiting import eventually

PAGE = (Path(__file__).resolve().parents[3] / "docs/performance.md").read_text(encoding="utf-8")
COMMANDS = "\n".join(re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL))


def verdicts(client: httpx.Client, model: str) -> list[dict[str, Any]]:
    return list(client.get(f"/v1/models/{model}/verdicts").json()["verdicts"])


@pytest.mark.skipif(
    not (shutil.which("curl") and shutil.which("bash")),
    reason="no curl or no bash: install them to try docs/performance.md",
)
def test_labels_tell_of_a_loss_that_predictions_do_not_show(make_service: MakeService) -> None:
    service = make_service(DRIFT_EVALUATION__POLL_SECONDS="0.1")
    service.start()
    script = f"set -euo pipefail\n{COMMANDS.replace('http://127.0.0.1:8080', service.url)}"
    environment = {**os.environ, "no_proxy": "*"}
    ran = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert '{"batches":1,"rows":199,"unknown":[],"conflicting":[]}' in ran.stdout
    assert ran.stdout.count('"verdicts":[') == 2
    with service.client() as client:
        estimated = eventually(lambda: verdicts(client, "loans"), "the rows are judged")
        assert estimated[0]["performance"]["matters"] is False
        (labelled,) = eventually(lambda: verdicts(client, "loans.performance"), "the labels are judged")
    assert labelled["calibrated"]
    assert labelled["finding"] == "DRIFT"
    assert "error" in labelled["drifted_features"]
