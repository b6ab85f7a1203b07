"""The wheel that the image installs: complete, without tests, and at work where there is no checkout."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest

from service.app import VERSION
from tests.integration.image.conftest import give_up
from tests.integration.image.engine import ROOT, UNREACHABLE

pytestmark = pytest.mark.timeout(600)

TEMPLATE = "service/adapters/trigger/job.yaml"
# What a build may read, apart from the packages.
PROJECT_FILES = ("pyproject.toml", "uv.lock", "README.md", "LICENSE", "deploy/retraining/job.yaml")


class Installed(NamedTuple):
    """A fresh environment with the wheel and the locked dependencies."""

    bin: Path
    elsewhere: Path
    """A folder with nothing of ours in or above it."""

    def run(self, *command: str) -> str:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "DRIFT"))}
        done = subprocess.run(
            [self.bin / command[0], *command[1:]],
            cwd=self.elsewhere,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def _uv(*arguments: str | Path, **environment: str) -> str:
    beside_python = Path(sys.executable).with_name("uv")
    uv = shutil.which("uv") or (str(beside_python) if beside_python.exists() else None)
    if uv is None:
        give_up("install uv (https://docs.astral.sh/uv)")
    done = subprocess.run(
        [uv, *arguments], cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0 and any(message in done.stderr for message in UNREACHABLE):
        give_up(f"no package index can be reached: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module", params=["from the checkout", "from the source distribution"])
def wheel(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built both ways: a link that is followed in a checkout may be lost in a source distribution."""
    directory = tmp_path_factory.mktemp("wheel")
    _uv("build", *(["--wheel"] if request.param == "from the checkout" else []), "--out-dir", directory)
    return next(directory.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    directory = tmp_path_factory.mktemp("installed")
    environment, locked = directory / "environment", directory / "locked.txt"
    locked.write_text(_uv("export", "--quiet", "--frozen", "--no-dev", "--no-emit-project"))
    _uv("venv", "--quiet", "--python", sys.executable, environment)
    python = environment / "bin" / "python"
    _uv("pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", locked)
    _uv("pip", "install", "--quiet", "--python", python, "--no-deps", wheel)
    elsewhere = directory / "elsewhere"
    elsewhere.mkdir()
    return Installed(environment / "bin", elsewhere)


def _packaged(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def test_it_has_every_file_of_the_packages_and_no_other(wheel: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "service", "detectors"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout: cannot tell which files belong to the packages")
    assert _packaged(wheel) == {name for name in listed.stdout.split() if (ROOT / name).exists()}


def test_it_has_the_packages_the_data_and_the_template_but_no_tests(wheel: Path) -> None:
    packaged = _packaged(wheel)
    assert {name.split("/")[0] for name in packaged} == {"service", "detectors"}
    assert {"service/__main__.py", "detectors/registry.py", TEMPLATE} < packaged
    assert any(name.startswith("service/demo/data/") and name.endswith(".csv.gz") for name in packaged)
    assert [name for name in packaged if "test" in Path(name).stem.split("_")] == []


def test_the_template_in_it_is_the_one_of_the_deployment(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read(TEMPLATE) == (ROOT / "deploy" / "retraining" / "job.yaml").read_bytes()


def test_it_carries_its_license(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert any(name.endswith(".dist-info/licenses/LICENSE") for name in archive.namelist())


def test_its_command_runs_outside_the_checkout(installed: Installed) -> None:
    assert VERSION in installed.run("driftwarden", "--version")
    assert "DRIFT_STORE__URL" in installed.run("driftwarden", "settings")


def test_every_module_of_it_can_be_imported_outside_the_checkout(installed: Installed) -> None:
    script = """
import importlib, pkgutil, detectors, service
for package in (detectors, service):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if module.name != "service.__main__":
            importlib.import_module(module.name)
            print(module.name)
"""
    imported = installed.run("python", "-c", script).split()
    assert {"service.app", "service.adapters.trigger.kubernetes_object", "detectors.registry"} <= set(imported)


def test_the_build_for_the_image_gets_all_that_a_wheel_needs(tmp_path: Path, wheel: Path) -> None:
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert {*PROJECT_FILES, "service", "detectors"} == set(allowed)
    context = tmp_path / "context"
    for name in allowed:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / name, context / name, **({"symlinks": True} if (ROOT / name).is_dir() else {}))
    _uv("build", "--quiet", "--wheel", "--out-dir", tmp_path, context)
    assert _packaged(next(tmp_path.glob("*.whl"))) == _packaged(wheel)
