"""What README.md tells a newcomer to type works as it stands there."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from service.demo.service_process import running_service

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
COMMAND = Path(sys.executable).with_name("driftwarden")


def block_under(heading: str) -> str:
    """The first shell block of a section."""
    found = re.search(rf"^## {heading}\n.*?```sh\n(.*?)```", README, re.DOTALL | re.MULTILINE)
    assert found is not None, heading
    return found[1]


def test_the_two_commands_are_targets_of_the_makefile() -> None:
    makefile = (Path(__file__).resolve().parents[2] / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^make (\w+)", block_under("Two commands"), re.MULTILINE)
    assert targets == ["demo", "test"]
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl: install curl to try the README's commands")
def test_the_curl_commands_register_send_and_read(tmp_path: Path) -> None:
    rows = np.random.default_rng(1).normal(size=(200, 3))
    reference = "amount,items,score\n" + "".join(f"{a},{b},{c}\n" for a, b, c in rows)
    (tmp_path / "reference.csv").write_text(reference, encoding="utf-8")
    commands = [shlex.split(line) for line in block_under("One curl").splitlines() if line.startswith("curl")]
    assert len(commands) == 3
    with running_service(tmp_path) as url:
        answers = []
        for command in commands:
            here = [argument.replace("localhost:8080", url.removeprefix("http://")) for argument in command]
            done = subprocess.run([*here, "-sS", "--fail-with-body"], cwd=tmp_path, capture_output=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
            answers.append(done.stdout)
    assert b'"reference_rows":200' in answers[0]
    assert b'"rows":1' in answers[1]
    assert b'"verdicts":[]' in answers[2]


@pytest.mark.timeout(180)
def test_the_demonstration_finds_the_week_that_drifted_and_prints_the_job(tmp_path: Path) -> None:
    picture = tmp_path / "demo.png"
    done = subprocess.run(
        [COMMAND, "demo", "--plot", picture], capture_output=True, text=True, timeout=170, check=False
    )
    assert done.returncode == 0, done.stderr
    windows = [line for line in done.stdout.splitlines() if re.search(r"│ +(DRIFT|STABLE) ", line)]
    assert len(windows) == 56
    drifted = [line for line in windows if "DRIFT" in line]
    assert sum("furloughs" in line for line in drifted) >= 3
    assert "kind: Job" in done.stdout
    assert "What to try next" in done.stdout
    assert picture.stat().st_size > 10_000
