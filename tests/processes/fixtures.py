"""Pytest plugin: stores and services that are ended when the test is, whatever became of it."""

from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from tests.processes.services import ServiceProcess
from tests.processes.stores import REDIS_WANTED, StoreServer, binary

MakeStore = Callable[..., StoreServer]
MakeService = Callable[..., ServiceProcess]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let all tests that are skipped for want of a Redis be one line of the summary, not one each."""
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple) and REDIS_WANTED in report.longrepr[2]:
        report.longrepr = (__file__, 1, report.longrepr[2])
    return report


@pytest.fixture
def make_store(tmp_path: Path) -> Iterator[MakeStore]:
    """Give started servers: `make_store(flavour, *arguments)`."""
    made: list[StoreServer] = []

    def make(flavour: str = "valkey", *arguments: str) -> StoreServer:
        server = StoreServer(binary(flavour), tmp_path / f"store-{len(made)}", *arguments)
        made.append(server)
        server.start()
        return server

    yield make
    for server in made:
        server.resume()
        server.kill()


@pytest.fixture
def make_service(tmp_path: Path) -> Iterator[MakeService]:
    """Give services that are not started yet: `make_service("worker", DRIFT_STORE__URL=...)`."""
    made: list[ServiceProcess] = []

    def make(*arguments: str, **settings: str) -> ServiceProcess:
        service = ServiceProcess(tmp_path / f"service-{len(made)}", *arguments, **settings)
        made.append(service)
        return service

    yield make
    for service in made:
        service.stop()
        service.end_orphan()
