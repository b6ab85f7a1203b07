"""Several processes on one store, and what they say of themselves."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from redis import Redis

from tests.processes.services import ServiceProcess
from tests.processes.stores import StoreServer, valkey_binary
from tests.processes.waiting import eventually

SETTINGS = {
    "DRIFT_STORE__KEPT_BATCHES": "90000",
    "DRIFT_EVALUATION__POLL_SECONDS": "0.1",
    "DRIFT_EVALUATION__CLAIM_SECONDS": "1",
}


@dataclass(frozen=True, slots=True)
class Fleet:
    """Two that do everything, and a worker."""

    store: StoreServer
    ingesting: Sequence[ServiceProcess]
    worker: ServiceProcess

    @property
    def all(self) -> Sequence[ServiceProcess]:
        return [*self.ingesting, self.worker]

    def owner(self, direct: Redis, model: str, work: str = "evaluation") -> ServiceProcess | None:
        """Whose the model is now."""
        claim = direct.get(f"driftwarden:{{{model}}}:claim:{work}")
        port = "" if claim is None else claim.decode().rpartition(":")[2]
        return next((service for service in self.all if port and service.url.endswith(f":{port}")), None)


@contextmanager
def running_fleet(directory: Path) -> Iterator[Fleet]:
    store = StoreServer(valkey_binary(), directory / "store")
    settings = {"DRIFT_STORE__URL": store.url, **SETTINGS}
    serving = [ServiceProcess(directory / f"serve-{index}", "serve", **settings) for index in range(2)]
    fleet = Fleet(store, serving, ServiceProcess(directory / "worker", "worker", **settings))
    try:
        store.start()
        for service in fleet.all:
            service.launch()
        for service in fleet.all:
            service.ready()
        yield fleet
    finally:
        for service in fleet.all:
            service.stop()
        store.kill()


def metrics(service: ServiceProcess) -> str:
    return httpx.get(f"{service.url}/metrics", timeout=30, trust_env=False).text


def metric(service: ServiceProcess, name: str) -> float:
    """The sum over its series."""
    lines = metrics(service).splitlines()
    values = [line.rpartition(" ")[2] for line in lines if line.startswith((f"{name}{{", f"{name} "))]
    return sum(map(float, values))


def until(probe: Callable[[], object], what: str, meanwhile: Callable[[], object]) -> None:
    """Do something again and again until it is so."""

    def once() -> object:
        meanwhile()
        return probe()

    eventually(once, what)
