"""docs/client.md: what it says to type works, and what it says of limits and reasons is so."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from driftwarden_client import Dropped, Limits
from service.settings import StoreSettings
from tests.integration.client.scripted import Said, answering

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "client.md").read_text(encoding="utf-8")
INSTALL = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
MIDDLEWARE, ROWS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
SIDECAR = "http://127.0.0.1:8090"


ASKING = """
from fastapi.testclient import TestClient

with TestClient(application) as client:  # whose end is the application's
    assert client.post("/predict", json={"instances": [[1.0, 2.0]]}).json() == {"predictions": [3.0]}
"""


def run(program: str, directory: Path) -> str:
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=directory, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_line_of_the_middleware_copies_what_is_asked(tmp_path: Path) -> None:
    with answering(lambda _: Said()) as sidecar:
        run(MIDDLEWARE.replace(SIDECAR, sidecar.url) + ASKING, tmp_path)
        (asked,) = sidecar.asked
        assert asked.path == "/v1/models/churn/observations"
        assert asked.headers["content-type"] == "application/json"
        assert asked.body.replace(b" ", b"") == b'{"instances":[[1.0,2.0]]}'


def test_rows_are_handed_in_as_the_page_does_it(tmp_path: Path) -> None:
    with answering(lambda _: Said()) as sidecar:
        said = run(ROWS.replace(SIDECAR, sidecar.url), tmp_path)
        assert said.startswith("Counters(offered=2, accepted=2,")


def test_limits_and_reasons_are_those_of_the_page() -> None:
    limits = Limits()
    assert f"{limits.max_copies:,} copies, {limits.max_bytes // 2**20} MiB" in PAGE
    assert f"{limits.max_copy_bytes // 2**20} MiB of one body" in PAGE
    assert f"`patience_seconds` ({limits.patience_seconds:g})" in PAGE
    assert limits.patience_seconds < StoreSettings().remembered_seconds
    assert "flush_seconds" in {field.name for field in fields(limits)}
    table = PAGE.partition("| dropped | because |")[2]
    explained = re.findall(r"`(\w+)`", " ".join(line.split("|")[1] for line in table.splitlines() if "|" in line))
    assert sorted(set(explained) - {"patience_seconds"}) == sorted(Dropped)


@pytest.mark.skipif(shutil.which("uv", path=Path(sys.executable).parent) is None, reason="no uv beside Python")
def test_it_is_installed_alone(tmp_path: Path) -> None:
    """As the page says, by uv's pip, which makes an environment without one."""
    (command,) = INSTALL
    uv = str(Path(sys.executable).with_name("uv"))
    environment = {**os.environ, "VIRTUAL_ENV": str(tmp_path / "environment")}
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, tmp_path / "environment"], check=True)
    ran = subprocess.run([uv, *command.split()], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode != 0 and "hatchling" in ran.stderr:
        pytest.skip("no package index can be reached for what builds it")
    assert ran.returncode == 0, ran.stderr
    (site,) = (tmp_path / "environment").glob("lib/python*/site-packages")
    found = {each.metadata["Name"] for each in importlib.metadata.distributions(path=[str(site)])}
    assert found == {"driftwarden-client"}
    packaged = {
        str(file.relative_to(site)) for file in (site / "driftwarden_client").rglob("*") if file.suffix != ".pyc"
    }
    sources = ROOT / "clients" / "python"
    assert packaged >= {str(file.relative_to(sources)) for file in (sources / "driftwarden_client").glob("*.py*")}
