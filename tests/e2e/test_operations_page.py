"""What docs/operations.md says to type about a model's rows works as it stands there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

from service.settings import StoreSettings
from tests.integration.service.test_windows import judged, put_under_watch
from tests.processes.fixtures import MakeService, MakeStore
from tests.processes.traffic import FEATURES, payload, rows

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
WANTED = ("bash", "curl", "redis-cli")
WINDOWS = 16


def block_after(words: str, language: str = "sh") -> str:
    found = re.search(rf"{re.escape(words)}.*?```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None, words
    return found[1]


def typed(commands: str, directory: Path) -> None:
    """In a shell that finds this environment's commands, and those in the directory itself, first."""
    path = os.pathsep.join([str(directory / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail"],
        input=commands,
        cwd=directory,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(
    not all(map(shutil.which, WANTED)), reason=f"one of {', '.join(WANTED)} is missing: install it to try the page"
)
def test_rows_are_exported_and_a_model_is_forgotten_as_the_page_says(
    make_store: MakeStore, make_service: MakeService, tmp_path: Path
) -> None:
    store = make_store("valkey")
    service = make_service(DRIFT_STORE__URL=store.url)
    service.start()
    sent = rows(7, 50 * WINDOWS)
    with service.client() as client:
        for model in ("churn", "other"):
            put_under_watch(client, model, {"rows": 50})
        for number, part in enumerate(np.split(sent, WINDOWS)):
            named = {"Idempotency-Key": f"'{number}' \"with quotes\""}
            client.post("/v1/models/churn/observations", json=payload(part), headers=named).raise_for_status()
        judged(client, "churn", WINDOWS)
        with client.stream("GET", "/v1/models/churn/verdicts/12/rows") as answer:
            window = answer.read()
    commands = block_after("## Rows of judged windows")
    assert commands.count("localhost:8080") == 4
    typed(commands.replace("http://localhost:8080", service.url), tmp_path)
    assert (tmp_path / "window.csv").read_bytes() == window
    assert parquet.read_table(tmp_path / "window.parquet").num_rows == 50
    period = parquet.read_table(tmp_path / "period.parquet")
    values = np.column_stack([period.column(name).to_numpy() for name in FEATURES])
    assert values.tobytes() == sent[11 * 50 : 15 * 50].tobytes()
    assert (tmp_path / "period.csv").read_text().count("\n") == 201
    said = subprocess.run(
        [sys.executable, "-c", block_after("## Rows of judged windows", "python")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert said.stdout.strip() in {"DRIFT", "STABLE"}

    (tmp_path / "bin").mkdir()
    wrapper = tmp_path / "bin" / "redis-cli"
    wrapper.write_text(f'#!/bin/sh\nexec {shutil.which("redis-cli")} -p {store.port} "$@"\n')
    wrapper.chmod(0o755)
    typed(block_after("**To forget a model**").replace("http://localhost:8080", service.url), tmp_path)
    with store.client() as direct:
        left = [key for key in direct.scan_iter("driftwarden:*") if b"churn" in key]
        assert all(key.split(b":")[2] in {b"batch", b"claim", b"retraining"} for key in left), left
        assert direct.smembers("driftwarden:models") == {b"other"}
        assert direct.exists("driftwarden:{other}:registrations") == 1
    assert service.stop() == 0
    service.start()
    with service.client() as client:
        assert client.get("/v1/models/churn/verdicts").status_code == 404
        assert client.get("/v1/models/other/verdicts").status_code == 200


def test_the_page_says_what_settings_are_without_being_set() -> None:
    store = StoreSettings()
    retained = re.search(r"^\| (\d+) \(16 MiB, default\)", PAGE, re.MULTILINE)
    assert retained is not None
    assert store.retained_bytes == int(retained[1])
    assert f"({store.retained_batches:,} batches) are retained" in PAGE
    assert f"`kept_batches` ({store.kept_batches:,})" in PAGE


def test_the_page_counts_rows_as_the_store_does() -> None:
    table = re.findall(r"^\| (\d{7,}) \([^|]*\| ([\d,]+) \| ([\d.]+) MB", PAGE, re.MULTILINE)
    assert len(table) == 3
    for size, retained, memory in table:
        batch = 8 * 20 * 100 + 200
        assert float(retained.replace(",", "")) == pytest.approx(int(size) / batch * 100, rel=0.02)
        assert 1.2 < float(memory) * 1e6 / int(size) < 1.4
