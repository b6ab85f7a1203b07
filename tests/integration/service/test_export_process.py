"""`driftwarden export` against a service, both as processes; and what becomes of a file that cannot be had whole."""

import csv
import io
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from pyarrow import parquet

from service.__main__ import cli
from tests.integration.service.test_windows import judged, put_under_watch
from tests.processes.fixtures import MakeService
from tests.processes.services import ServiceProcess
from tests.processes.stores import free_port
from tests.processes.traffic import FEATURES, payload, rows
from tests.processes.waiting import eventually

COMMAND = Path(sys.executable).with_name("driftwarden")
LARGE = {"DRIFT_STORE__RETAINED_BYTES": str(2**30), "DRIFT_HTTP__MAX_BODY_BYTES": str(8 * 2**20)}
LARGE_BATCHES, LARGE_ROWS = 40, 100_000
ARROW = "application/vnd.apache.arrow.stream"
PERIOD = "/v1/models/churn/rows?from_verdict=1"
NPY = {"Content-Type": "application/x-npy"}


def export(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, "export", *arguments], cwd=directory, capture_output=True, text=True, timeout=120, check=False
    )


def values_of(table: pa.Table) -> NDArray[np.float64]:
    return np.column_stack([table.column(name).to_numpy() for name in FEATURES])


@pytest.fixture
def service(make_service: MakeService) -> ServiceProcess:
    service = make_service(**LARGE)
    service.start()
    return service


def test_the_command_writes_the_rows_of_a_window_and_of_a_period(service: ServiceProcess, tmp_path: Path) -> None:
    sent = rows(7, 230)
    with service.client() as client:
        put_under_watch(client, "churn", {"rows": 50})
        for number, part in enumerate(np.split(sent, 23)):
            client.post("/v1/models/churn/observations", json=payload(part), headers={"Idempotency-Key": str(number)})
        judged(client, "churn", 4)
    asked = ("churn", "--url", service.url, "--verdict", "2")
    for suffix in ("parquet", "arrows", "csv"):
        done = export(tmp_path, *asked, "--output", f"window.{suffix}")
        assert done.returncode == 0, done.stderr
        assert done.stdout == ""
        assert f"window.{suffix}: " in done.stderr
    window = sent[50:100]
    assert values_of(parquet.read_table(tmp_path / "window.parquet")).tobytes() == window.tobytes()
    assert values_of(pa.ipc.open_stream((tmp_path / "window.arrows").read_bytes()).read_all()).tobytes() == (
        window.tobytes()
    )
    with (tmp_path / "window.csv").open(newline="") as file:
        lines = [[float(line[name]) for name in FEATURES] for line in csv.DictReader(file)]
    assert np.array(lines).tobytes() == window.tobytes()
    done = export(tmp_path, *asked, "--to", "4", "--output", "period.parquet")
    assert done.returncode == 0, done.stderr
    assert values_of(parquet.read_table(tmp_path / "period.parquet")).tobytes() == sent[50:200].tobytes()


def test_the_command_says_what_is_wrong_and_writes_nothing(
    service: ServiceProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with service.client() as client:
        put_under_watch(client, "churn", {"rows": 50})
    (tmp_path / "rows.csv").write_text("what was there before\n")
    there = ("--url", service.url, "--output", "rows.csv")
    nowhere = f"http://127.0.0.1:{free_port()}"
    for arguments, message in (
        (("churn", "--verdict", "1", *there), "No such verdict: there is no verdict 1 of model churn: it has none yet"),
        (("unknown", "--verdict", "1", *there), "No such model"),
        (("a/../b", "--verdict", "1", *there), "a model name has"),
        (("churn", "--verdict", "3", "--to", "2", *there), "to_verdict"),
        (("churn", "--verdict", "1", "--url", service.url, "--output", "rows.xlsx"), ".parquet, .arrows, .csv"),
        (("churn", "--verdict", "1", "--url", service.url, "--output", "no/where.csv"), "No such file or directory"),
        (("churn", "--verdict", "1", "--url", nowhere, "--output", "rows.csv"), "cannot be asked"),
        (("churn", "--verdict", "1", "--url", f"{service.url}/metrics?", "--output", "rows.csv"), "Driftwarden's URL"),
        (("churn", "--verdict", "1", "--url", "here", "--output", "rows.csv"), "cannot be asked"),
    ):
        done = CliRunner().invoke(cli, ["export", *arguments])
        assert done.exit_code == 1, arguments
        told = done.output if isinstance(done.exception, SystemExit) else str(done.exception)
        assert message in " ".join(told.split()), told
        assert [path.name for path in tmp_path.glob("*rows*")] == ["rows.csv"]
        assert (tmp_path / "rows.csv").read_text() == "what was there before\n"
    for arguments in (("churn",), ("churn", "--verdict", "0", *there), ("--verdict", "1", *there)):
        assert CliRunner().invoke(cli, ["export", *arguments]).exit_code == 2
    done = export(tmp_path, "a/../b", "--verdict", "1", *there)
    assert (done.returncode, done.stderr.partition(" has")[0]) == (1, "driftwarden: model: a model name")


@pytest.fixture
def large(service: ServiceProcess) -> ServiceProcess:
    """One with a window of a hundred megabytes; two, if the hour ends meanwhile."""
    sent = rows(7, LARGE_ROWS)
    with service.client() as client:
        put_under_watch(client, "churn", {"every_seconds": 3600})
        for number in range(LARGE_BATCHES):
            file = io.BytesIO()
            np.save(file, sent + number)
            body, headers = file.getvalue(), {**NPY, "Idempotency-Key": str(number)}
            answer = client.post("/v1/models/churn/observations", content=body, headers=headers)
            assert answer.status_code == 200, answer.text
        later = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
        client.post("/v1/models/churn/observations", json=payload(sent[:1], observed_at=later)).raise_for_status()

        def all_are_judged() -> bool:
            found = client.get("/v1/models/churn/verdicts").json()["verdicts"]
            return sum(verdict["rows"] for verdict in found) == LARGE_BATCHES * LARGE_ROWS

        eventually(all_are_judged, "the hour is judged")
    return service


def peak_bytes(service: ServiceProcess) -> int:
    status = Path(f"/proc/{service.pid}/status").read_text()
    return 1024 * int(re.search(r"VmHWM:\s+(\d+)", status)[1])  # type: ignore[index]


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="no /proc: the size of a process is not known")
def test_a_window_of_any_size_goes_through_in_pieces(large: ServiceProcess) -> None:
    received, last = 0, b""
    with large.client() as client:  # so that everything is imported
        put_under_watch(client, "small", {"rows": 50})
        client.post("/v1/models/small/observations", json=payload(rows(1, 50)))
        judged(client, "small", 1)
        assert client.get("/v1/models/small/verdicts/1/rows", headers={"Accept": ARROW}).status_code == 200
    Path(f"/proc/{large.pid}/clear_refs").write_text("5")  # forget the peak so far
    before = peak_bytes(large)
    with large.client() as client, client.stream("GET", PERIOD, headers={"Accept": ARROW}) as answer:
        assert answer.status_code == 200
        assert "content-length" not in answer.headers
        for piece in answer.iter_raw():
            received, last = received + len(piece), piece
    assert last.endswith(b"\xff\xff\xff\xff\x00\x00\x00\x00"), "the stream says that it is whole"
    assert received > LARGE_BATCHES * LARGE_ROWS * 8 * 5
    assert peak_bytes(large) - before < received * 2 / 3  # what it holds goes by the size of batches


def test_a_period_whose_rows_are_dropped_while_it_is_read_is_cut_off(large: ServiceProcess, tmp_path: Path) -> None:
    with large.client() as client, client.stream("GET", PERIOD, headers={"Accept": ARROW}) as answer:
        pieces = answer.iter_raw()
        next(pieces)
        with large.embedded_server() as direct:
            direct.xtrim("driftwarden:{churn}:observations", maxlen=1, approximate=False)
        with pytest.raises(httpx.RemoteProtocolError):
            for _ in pieces:
                pass
    assert "an export was cut off: the log does not give the rows of verdict" in large.said()
    assert "Traceback" not in large.said()
    with large.client() as client:
        assert client.get(PERIOD).status_code == 410
    done = export(tmp_path, "churn", "--verdict", "1", "--url", large.url, "--output", "rows.csv")
    assert (done.returncode, list(tmp_path.glob("*rows*"))) == (1, [])
    assert "These rows are not kept any more" in done.stderr
