"""The image, built once a run, and containers that are gone when the test is."""

import os
import tarfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

import pytest

from tests.integration.image.container import Container
from tests.integration.image.engine import UNREACHABLE, CommandFailed, Engine, EngineUnavailable, cache_directory

NO_ENGINE = "no container image"
TAG = "localhost/driftwarden:test"
StartContainer = Callable[..., Container]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let all tests that are skipped for want of an engine be one line of the summary, not one each."""
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple) and NO_ENGINE in report.longrepr[2]:
        report.longrepr = (__file__, 1, report.longrepr[2])
    return report


def give_up(reason: object) -> NoReturn:
    """Skip what this machine cannot do, or fail where it is asked for."""
    lines = str(reason).splitlines()
    if "image" in os.environ.get("DRIFTWARDEN_REQUIRE", ""):
        pytest.fail(f"DRIFTWARDEN_REQUIRE asks for image: {reason}", pytrace=False)
    pytest.skip(f"{NO_ENGINE}: {' '.join(dict.fromkeys((lines[0], lines[-1])))}")


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """A short path: those of Unix sockets are limited to 107 bytes."""
    with TemporaryDirectory(prefix="driftwarden-") as directory:
        yield Path(directory)


@pytest.fixture(scope="session")
def engine(scratch: Path) -> Engine:
    try:
        return Engine.in_directory(cache_directory(), scratch)
    except EngineUnavailable as error:
        give_up(error)


@pytest.fixture(scope="session")
def image(engine: Engine, pytestconfig: pytest.Config) -> str:
    """The unchanged Dockerfile, built on the official base image or a stand-in for it."""
    reporter = pytestconfig.pluginmanager.get_plugin("terminalreporter")
    say = reporter.write_line if reporter else print
    try:
        base = engine.provide_base(say)
    except CommandFailed as error:  # no registry, and nothing to make a stand-in of: not the Dockerfile's fault
        give_up(error)
    try:
        built = engine.build(TAG)
    except CommandFailed as error:
        if any(message in str(error) for message in UNREACHABLE):
            give_up(error)
        raise
    say(f"image: {engine.megabytes(built):.0f} MB on {base}")
    return built


@pytest.fixture(scope="session")
def files(engine: Engine, image: str, scratch: Path) -> dict[str, tarfile.TarInfo]:
    """Everything in the image, by path."""
    container = engine.run("podman", "create", image)
    archive = scratch / "image.tar"
    try:
        engine.run("podman", "export", "--output", archive, container, timeout_s=120)
    finally:
        engine.run("podman", "rm", "--volumes", container)
    with tarfile.open(archive) as tar:
        found = {f"/{member.name.rstrip('/')}": member for member in tar}
    archive.unlink()
    return found


@pytest.fixture
def volume(engine: Engine, image: str) -> Iterator[str]:  # noqa: ARG001 - no volume where there is no image
    with engine.volume() as name:
        yield name


@pytest.fixture
def start(engine: Engine, image: str, scratch: Path) -> Iterator[StartContainer]:
    """Give running containers: `start(volume, DRIFT_STORE__URL=...)`, ready unless `until` names another probe."""
    made: list[Container] = []

    def starter(volume: str, until: str = "/readyz", **environment: str) -> Container:
        container = Container(engine, image, scratch, volume, **environment)
        made.append(container)
        container.start(until)
        return container

    yield starter
    for container in made:
        container.remove()
