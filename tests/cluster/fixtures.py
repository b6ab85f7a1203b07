"""Pytest plugin: a Kubernetes API for the tests that ask for one, and nothing for those that do not.

`cluster` is any Kubernetes API (our own control plane, or the one in KUBECONFIG_FOR_TESTS); `control_plane` is our own,
which a test may break; `account` is the ServiceAccount of the shipped manifests, in namespaces made for one test.
"""

import os
import secrets
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.api import Cluster, load_manifests, wait_until
from tests.cluster.binaries import BinariesUnavailable, find_or_build
from tests.cluster.control_plane import ControlPlane
from tests.cluster.control_plane import control_plane as run_control_plane
from tests.cluster.shipped import BASE, moved, outside_of_namespaces

RBAC, AUTHENTICATION = BASE / "rbac.yaml", BASE / "authentication.yaml"
EXTERNAL = "KUBECONFIG_FOR_TESTS"
NO_API = "no Kubernetes API"
_used = pytest.StashKey[str]()


@dataclass(frozen=True, slots=True)
class Kubernetes:
    """What this run tests against."""

    cluster: Cluster
    own: ControlPlane | None
    """None when the cluster is somebody else's."""


@dataclass(frozen=True, slots=True)
class Account:
    """The shipped ServiceAccount with the shipped Roles and nothing else, in namespaces of one test's own."""

    cluster: Cluster
    service_namespace: str
    retraining_namespace: str
    kubeconfig: Path
    """Its `user` reads the token from the file `token` beside it."""

    @property
    def token(self) -> str:
        return self.kubeconfig.with_name("token").read_text(encoding="utf-8")

    def jobs(self) -> list[dict[str, Any]]:
        """List the retraining namespace's Jobs, as the administrator."""
        return self.cluster.items(f"/apis/batch/v1/namespaces/{self.retraining_namespace}/jobs")

    def pods(self) -> list[dict[str, Any]]:
        return self.cluster.items(f"/api/v1/namespaces/{self.retraining_namespace}/pods")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build before the first test starts, so that no test's time limit pays for it."""
    # Asked for by a fixture, or by a parameter such as `kubernetes_object` that will ask for one.
    needed = any("kubernetes" in f"{getattr(item, 'fixturenames', ())} {item.nodeid}" for item in session.items)
    if not needed or session.config.option.collectonly or os.environ.get(EXTERNAL):
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    try:
        find_or_build(reporter.write_line if reporter else print)
    except BinariesUnavailable:
        return  # the fixture asks again, and skips or fails with the reason


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say which Kubernetes the results are about."""
    if used := config.stash.get(_used, None):
        terminalreporter.write_line(used)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let all tests that are skipped for want of an API be one line of the summary, not one each."""
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple) and NO_API in report.longrepr[2]:
        report.longrepr = (__file__, 1, report.longrepr[2])
    return report


@pytest.fixture(scope="session")
def kubernetes(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubernetes]:
    """Run our own control plane, or use the cluster that the environment names."""
    directory = tmp_path_factory.mktemp("kubernetes")
    if external := os.environ.get(EXTERNAL):
        cluster = Cluster.from_kubeconfig(Path(external).expanduser().resolve(), directory)
        pytestconfig.stash[_used] = f"kubernetes: {cluster.version()} ({EXTERNAL})"
        yield Kubernetes(cluster, None)
        return
    try:
        find_or_build()
    except BinariesUnavailable as error:
        if "kubernetes" in os.environ.get("DRIFTWARDEN_REQUIRE", ""):
            pytest.fail(f"DRIFTWARDEN_REQUIRE asks for kubernetes: {error}", pytrace=False)
        pytest.skip(f"{NO_API}: {error}")
    with run_control_plane(directory) as own:
        pytestconfig.stash[_used] = (
            f"kubernetes: {own.cluster.version()} (own control plane: etcd, API server, controllers)"
        )
        yield Kubernetes(own.cluster, own)


@pytest.fixture(scope="session")
def cluster(kubernetes: Kubernetes) -> Cluster:
    """Any Kubernetes API, as its administrator."""
    return kubernetes.cluster


@pytest.fixture
def control_plane(kubernetes: Kubernetes) -> Iterator[ControlPlane]:
    """Give our own control plane to a test that breaks it; afterwards it is whole again."""
    if kubernetes.own is None:
        pytest.skip(f"{NO_API} to break: {EXTERNAL} names somebody else's")
    yield kubernetes.own
    if not kubernetes.own.is_ready():
        kubernetes.own.start_api_server()


@pytest.fixture
def account(cluster: Cluster, tmp_path: Path) -> Iterator[Account]:
    """Apply the shipped manifests to two fresh namespaces and act as the ServiceAccount in them."""
    with shipped_account(cluster, tmp_path / "account") as made:
        yield made


@contextmanager
def shipped_account(cluster: Cluster, directory: Path, *further: Path) -> Iterator[Account]:
    """The same for as long as a test or several like, with further manifests of those that are shipped."""
    suffix = secrets.token_hex(4)
    renamed = {name: f"{name}-test-{suffix}" for name in ("driftwarden", "driftwarden-retraining")}
    service, retraining = renamed.values()
    for namespace in (service, retraining):
        cluster.create_namespace(namespace, {"pod-security.kubernetes.io/enforce": "restricted"})
    files = (RBAC, AUTHENTICATION, *further)
    manifests = [moved(each, renamed) for file in files for each in load_manifests(file)]
    cluster.apply(manifests)
    # A Pod needs the `default` ServiceAccount, which a controller makes a moment after the namespace.
    accounts = f"/api/v1/namespaces/{retraining}/serviceaccounts"
    wait_until(lambda: bool(cluster.items(accounts)), "the namespace has its default ServiceAccount", timeout_s=30)
    kubeconfig = cluster.service_account_kubeconfig(service, "driftwarden", directory)
    yield Account(cluster, service, retraining, kubeconfig)
    for namespace in (service, retraining):
        cluster.delete_namespace(namespace)
    for manifest in outside_of_namespaces(manifests):
        cluster.request("DELETE", cluster.path_of(manifest))
