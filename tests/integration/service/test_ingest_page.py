"""Every command of docs/ingest.md is taken as it stands there, but for the service's address."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes.fixtures import MakeService
from tests.processes.traffic import reference
from tests.processes.waiting import eventually

PAGE = (Path(__file__).resolve().parents[3] / "docs/ingest.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.skipif(
    not (shutil.which("curl") and shutil.which("bash")), reason="no curl or no bash: install them to try docs/ingest.md"
)
def test_what_the_page_sends_is_taken(make_service: MakeService) -> None:
    service = make_service()
    service.start()
    with service.client() as client:
        client.put("/v1/models/churn/reference", json=reference()).raise_for_status()
        typed = "\n".join(COMMANDS).replace("http://127.0.0.1:8080", service.url)
        assert typed.count("curl") > 10
        environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "no_proxy": "*"}
        script = f"set -euo pipefail\n{typed}"
        ran = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout.count('"batch"') == typed.count("$url/observations")
        observed = 'driftwarden_events_total{kind="request",outcome="observed"} 1.0'
        eventually(lambda: observed in client.get("/metrics").text, "the event is observed")
