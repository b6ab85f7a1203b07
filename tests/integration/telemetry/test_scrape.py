"""A real Prometheus scrapes the service and has the findings."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.processes.fixtures import MakeService
from tests.processes.stores import free_port
from tests.processes.traffic import SMALL_PLAN, payload, reference, rows
from tests.processes.waiting import eventually

CONFIGURATION = """\
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: driftwarden
    static_configs: [{{targets: ["{target}"]}}]
"""


class Prometheus:
    """One server with one target."""

    def __init__(self, directory: Path, target: str) -> None:
        program = shutil.which("prometheus")
        if program is None:
            pytest.skip("no prometheus on PATH: install it, e.g. apt-get install prometheus")
        configuration = directory / "prometheus.yml"
        configuration.write_text(CONFIGURATION.format(target=target))
        address = f"127.0.0.1:{free_port()}"
        arguments = [
            f"--config.file={configuration}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address={address}",
        ]
        with (directory / "prometheus.log").open("wb") as log:
            self.process = subprocess.Popen([program, *arguments], stdout=log, stderr=subprocess.STDOUT)
        self._client = httpx.Client(base_url=f"http://{address}", timeout=30, trust_env=False)

    def query(self, expression: str) -> list[dict[str, Any]]:
        try:
            answer = self._client.get("/api/v1/query", params={"query": expression})
        except httpx.TransportError:
            return []
        found: list[dict[str, Any]] = answer.json()["data"]["result"] if answer.status_code == 200 else []
        return found

    def close(self) -> None:
        self._client.close()
        self.process.kill()
        self.process.wait(30)


@pytest.fixture
def target(make_service: MakeService) -> str:
    service = make_service()
    service.start()
    with service.client() as client:
        assert client.put("/v1/models/churn/reference", json=reference()).status_code == 200
        assert client.put("/v1/models/churn/plan", json=SMALL_PLAN).status_code == 200
        assert client.post("/v1/models/churn/observations", json=payload(rows(1, 50, shift=3.0))).status_code == 200
        eventually(lambda: client.get("/v1/models/churn/verdicts").json()["verdicts"], "a verdict")
    return service.url.removeprefix("http://")


def test_a_prometheus_has_what_the_service_found(target: str, tmp_path: Path) -> None:
    prometheus = Prometheus(tmp_path, target)
    try:
        found = eventually(
            lambda: prometheus.query('driftwarden_finding{model="churn",finding="DRIFT"} == 1'), "the finding"
        )
        assert found[0]["metric"]["job"] == "driftwarden"
        assert prometheus.query('up{job="driftwarden"} == 1')
        assert float(prometheus.query("driftwarden_observed_rows_total")[0]["value"][1]) == 50
        assert len(prometheus.query("driftwarden_drifted")) == 3
        assert prometheus.query("histogram_quantile(0.5, driftwarden_ingest_seconds_bucket)")
    finally:
        prometheus.close()
