"""The manifests, built: the base alone, and the way deploy/README.md says to use it."""

import hashlib
import os
import re
from collections.abc import Generator, Sequence
from pathlib import Path

import pytest
import yaml

from tests.integration.manifests.kustomize import ROOT, KustomizeUnavailable, Manifest, build, find_or_build
from tests.integration.manifests.objects import one

NO_KUSTOMIZE = "no kustomize"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let all tests that are skipped for want of kustomize be one line of the summary, not one each."""
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple) and NO_KUSTOMIZE in report.longrepr[2]:
        report.longrepr = (__file__, 1, report.longrepr[2])
    return report


@pytest.fixture(scope="session")
def kustomize() -> Sequence[str]:
    try:
        return find_or_build()
    except KustomizeUnavailable as error:
        if "manifests" in os.environ.get("DRIFTWARDEN_REQUIRE", ""):
            pytest.fail(f"DRIFTWARDEN_REQUIRE asks for manifests: {error}", pytrace=False)
        pytest.skip(f"{NO_KUSTOMIZE}: {error}")


@pytest.fixture(scope="session")
def base(kustomize: Sequence[str]) -> list[Manifest]:
    return build(kustomize, ROOT / "deploy" / "kustomize" / "base")


@pytest.fixture(scope="session")
def documented(kustomize: Sequence[str], tmp_path_factory: pytest.TempPathFactory) -> list[Manifest]:
    """The example of deploy/README.md, word for word, in a folder beside the checkout."""
    return _as_documented(kustomize, tmp_path_factory.mktemp("documented"), "")


@pytest.fixture(scope="session")
def split(kustomize: Sequence[str], tmp_path_factory: pytest.TempPathFactory) -> list[Manifest]:
    """The same with workers of their own, as it says further down."""
    workers = "  - ../driftwarden/deploy/kustomize/components/workers\n"
    assert workers in (ROOT / "deploy" / "README.md").read_text(encoding="utf-8")
    return _as_documented(kustomize, tmp_path_factory.mktemp("split"), workers)


def _as_documented(kustomize: Sequence[str], directory: Path, component: str) -> list[Manifest]:
    readme = (ROOT / "deploy" / "README.md").read_text(encoding="utf-8")
    example = re.search(r"```yaml\n(# kustomization\.yaml\n.*?)```", readme, re.DOTALL)
    assert example is not None
    (directory / "driftwarden").symlink_to(ROOT, target_is_directory=True)
    ours = directory / "ours"
    ours.mkdir()
    (ours / "kustomization.yaml").write_text(example[1].replace("components:\n", f"components:\n{component}"))
    shipped = (ROOT / "deploy" / "retraining" / "job.yaml").read_text(encoding="utf-8")
    job = shipped.replace("replace-me", "your-team")
    (ours / "job.yaml").write_text(job)
    digests = [hashlib.sha256(text.encode()).hexdigest() for text in (shipped, job)]
    pinned = (ROOT / "deploy" / "retraining" / "retrainings.yaml").read_text(encoding="utf-8")
    (ours / "retrainings.yaml").write_text(pinned.replace(*digests))
    return build(kustomize, ours)


@pytest.fixture(scope="session")
def pod(base: list[Manifest]) -> Manifest:
    """The service's Pod."""
    template: Manifest = one(base, "Deployment", "driftwarden")["spec"]["template"]
    return template


@pytest.fixture(scope="session")
def container(pod: Manifest) -> Manifest:
    found: Manifest = pod["spec"]["containers"][0]
    return found


@pytest.fixture(scope="session")
def retraining(base: list[Manifest]) -> Manifest:
    """The retraining template, as it is mounted."""
    data = one(base, "ConfigMap", "driftwarden-retraining-template")["data"]
    job: Manifest = yaml.safe_load(data["job.yaml"])
    return job
