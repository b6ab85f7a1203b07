"""The example's README, typed as it stands there but for the ports: a model's traffic is watched from beside it."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_readme import typed
from tests.processes.services import BYTECODE, environment
from tests.processes.stores import free_port, redis_binary
from tests.processes.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "inference_pod"
BLOCKS = re.findall(r"```sh\n(.*?)```", (EXAMPLE / "README.md").read_text(encoding="utf-8"), re.DOTALL)
STORE, SERVICE, SIDECAR, APPLICATION = "6379", "8080", "8090", "8000"


@pytest.fixture
def ports() -> dict[str, str]:
    redis_binary()  # or this is skipped
    return {port: str(free_port()) for port in (STORE, SERVICE, SIDECAR, APPLICATION)}


@pytest.fixture
def shell(tmp_path: Path, ports: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """One in a copy of the example, as far below an environment as it is in a checkout."""
    directory = shutil.copytree(EXAMPLE, tmp_path / "examples" / "inference_pod")
    (tmp_path / ".venv").symlink_to(Path(sys.executable).parents[1])
    told = {"DRIFT_HTTP__PORT": ports[SERVICE], "SIDECAR_URL": f"http://127.0.0.1:{ports[SIDECAR]}", "no_proxy": "*"}
    with (tmp_path / "said.log").open("wb") as said:
        process = subprocess.Popen(
            ["bash"],
            cwd=directory,
            env={**environment(), **told, "PYTHONPYCACHEPREFIX": str(BYTECODE), "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            start_new_session=True,
        )
    assert process.stdin is not None
    assert process.stdout is not None
    yield process
    process.stdin.write(f"{BLOCKS[-2]}\n")  # ends them again, if they are still there
    process.stdin.close()
    try:
        process.wait(60)
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)  # the group that was made above
            process.wait(30)
        process.stdout.close()


@pytest.mark.skipif(
    not (shutil.which("curl") and shutil.which("bash")), reason="no curl or no bash: install them to try the example"
)
def test_calm_traffic_is_stable_and_shifted_traffic_is_drift(
    shell: subprocess.Popen[str], ports: dict[str, str]
) -> None:
    def asked(block: str) -> list[dict[str, Any]]:
        return typed(shell, re.sub("|".join(ports), lambda found: ports[found[0]], block))

    start, register, calm, verdicts, shifted, again, copies, _, _ = BLOCKS
    assert again == verdicts
    asked(start)
    reference, plan, none_yet = asked(register)
    assert (reference["reference_rows"], plan["readiness"]["calibrated"]) == (400, True)
    assert none_yet["offered"] == 0

    def judged(number: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = asked(verdicts)[0]["verdicts"]
        return found if found and max(each["number"] for each in found) >= number else []

    asked(calm)
    found = eventually(lambda: judged(8), "eight windows are judged")
    assert [each["finding"] for each in found] == ["STABLE"] * 8
    asked(shifted)
    found = eventually(lambda: judged(16), "eight more are")
    assert [(each["finding"], each["drifted_features"]) for each in found] == [("DRIFT", ["mean_radius"])] * 8
    (counters,) = asked(copies)
    assert (counters["accepted"], counters["offered"], counters["dropped"]) == (86, 86, {})
