"""A central service and the sidecars before it, each a process with a store of its own."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.integration.replicas.fleet import metric
from tests.processes.services import ServiceProcess
from tests.processes.stores import free_port
from tests.processes.waiting import eventually

CENTRAL = {"DRIFT_STORE__KEPT_BATCHES": "90000", "DRIFT_EVALUATION__POLL_SECONDS": "0.1"}
QUICK = {
    "DRIFT_FORWARD__PANE_SECONDS": "0.2",
    "DRIFT_FORWARD__FIRST_RETRY_SECONDS": "0.05",
    "DRIFT_FORWARD__LONGEST_RETRY_SECONDS": "0.3",
    "DRIFT_FORWARD__REFRESH_SECONDS": "0.3",
    "DRIFT_FORWARD__TIMEOUT_SECONDS": "5",
}
SUMMARIES = {"every_seconds": 600, "lateness_seconds": 6000, "keep": "summaries"}
"""Wide open to late panes: whatever is killed meanwhile, its rows are still of their window."""


@dataclass(frozen=True, slots=True)
class Chain:
    central: ServiceProcess
    sidecars: Sequence[ServiceProcess]

    def start(self) -> None:
        for service in (self.central, *self.sidecars):
            service.launch()
        for service in (self.central, *self.sidecars):
            service.ready()

    def forwarded(self) -> float:
        """Rows that the central service has acknowledged to its sidecars, as these count them since their start."""
        return sum(metric(each, "driftwarden_forwarded_rows_total") for each in self.sidecars)


@contextmanager
def a_chain(directory: Path, sidecars: int, url: str | None = None, port: int = 0, **settings: str) -> Iterator[Chain]:
    """Not started yet. `url`: where the sidecars find the central service, which listens on `port`."""
    port = port or free_port()  # it keeps its address when it is started again
    arguments = ("sidecar", "--forward-to", url or f"http://127.0.0.1:{port}")
    central = ServiceProcess(directory / "central", "serve", DRIFT_HTTP__PORT=str(port), **CENTRAL)
    made = [
        ServiceProcess(directory / f"sidecar-{number}", *arguments, **{**QUICK, **settings})
        for number in range(sidecars)
    ]
    try:
        yield Chain(central, made)
    finally:
        for service in (*made, central):
            service.ask_to_stop()
        for service in (*made, central):
            service.stop()
            service.end_orphan()


def post(client: httpx.Client, model: str, body: dict[str, Any], key: str) -> httpx.Response:
    return client.post(f"/v1/models/{model}/observations", json=body, headers={"Idempotency-Key": key})


def accepted(client: httpx.Client, model: str, body: dict[str, Any], key: str) -> None:
    answer = post(client, model, body, key)
    assert answer.status_code == 200, answer.text


def all_forwarded(chain: Chain, rows: float) -> None:
    eventually(lambda: chain.forwarded() >= rows, f"{rows} rows are forwarded")
