"""A service on a Unix socket: for the containers of its Pod, and nobody else."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from driftwarden_client import Client
from tests.integration.replicas.fleet import metrics
from tests.processes.fixtures import MakeService
from tests.processes.services import ServiceProcess
from tests.processes.traffic import reference
from tests.processes.waiting import eventually


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "http.sock"


@pytest.fixture
def caller(path: Path) -> Iterator[httpx.Client]:
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), base_url="http://here", timeout=30) as client:
        yield client


def start(make_service: MakeService, path: Path) -> ServiceProcess:
    """Its address is that of the metrics."""
    service = make_service(DRIFT_HTTP__UNIX_SOCKET=str(path), DRIFT_HTTP__METRICS_PORT="0")
    service.start()
    return service


def test_rows_come_in_through_the_socket_also_after_a_kill(
    make_service: MakeService, path: Path, caller: httpx.Client
) -> None:
    service = start(make_service, path)
    assert f"unix://{path}" in service.said()
    assert caller.put("/v1/models/churn/reference", json=reference()).is_success
    assert httpx.get(f"{service.url}/v1/models/churn/plan", trust_env=False).status_code == 404
    with Client(f"unix://{path}", "churn") as client:
        client.observe([[1.0, 2.0, 3.0]] * 3)
        eventually(lambda: client.counters.accepted == 1, "the rows are taken")
        service.kill()  # and leaves its socket where it is
        client.observe([[1.0, 2.0, 3.0]] * 4)
        service.start()
        eventually(lambda: client.counters.accepted == 2, "the rows are taken")
    assert 'driftwarden_observed_rows_total{model="churn"} 4.0' in metrics(service)


def test_a_socket_at_which_somebody_listens_and_a_file_are_left_alone(make_service: MakeService, path: Path) -> None:
    start(make_service, path)
    file = path.with_name("file")
    file.write_text("somebody's")
    for taken in (path, file):
        other = make_service(DRIFT_HTTP__UNIX_SOCKET=str(taken))
        other.launch()
        assert other.wait() == 1
        assert f"cannot listen on {taken}: Address already in use" in other.said()
    assert file.read_text() == "somebody's"
