"""What README.md tells a newcomer to type works as it stands there."""

import json
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

from service.domain.plan import Plan
from tests.processes.stores import free_port
from tests.processes.waiting import eventually

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


def documents(text: str) -> list[dict[str, Any]]:
    """JSON objects one after another, as curl prints answers."""
    found, decoder = [], json.JSONDecoder()
    while (text := text.lstrip()).startswith("{"):
        document, end = decoder.raw_decode(text)
        found.append(document)
        text = text[end:]
    assert not text, text
    return found


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A shell in a directory that has an environment and nothing else.

    8080 may be somebody else's port on this machine: another one stands behind it, for the service by its setting and
    for curl by its configuration file. What is typed is not changed.
    """
    port = free_port()
    (tmp_path / ".venv").symlink_to(COMMAND.parents[1])
    (tmp_path / ".curlrc").write_text(
        f'silent\nshow-error\nnoproxy = "*"\nconnect-to = "localhost:8080:127.0.0.1:{port}"\n'
    )
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("DRIFT_")}
    environment = {**inherited, "CURL_HOME": str(tmp_path), "HOME": str(tmp_path), "DRIFT_HTTP__PORT": str(port)}
    with (tmp_path / "said.log").open("wb") as said:
        process = subprocess.Popen(
            ["bash"],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            start_new_session=True,
        )
    assert process.stdin is not None
    yield process
    process.stdin.write("kill %1\nwait\n")
    process.stdin.close()
    try:
        process.wait(60)
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)  # the group that was made above
            process.wait(30)
        if process.stdout is not None:
            process.stdout.close()


def typed(shell: subprocess.Popen[str], commands: str) -> list[dict[str, Any]]:
    """What they answer, pasted as they are."""
    assert shell.stdin is not None
    assert shell.stdout is not None
    shell.stdin.write(f"{commands}\necho; echo that is all\n")
    shell.stdin.flush()
    return documents("".join(iter(shell.stdout.readline, "that is all\n")))


@pytest.mark.skipif(
    not (shutil.which("curl") and shutil.which("bash")), reason="no curl or no bash: install them to try the README"
)
def test_the_commands_for_a_model_of_ones_own_work_when_they_are_pasted(shell: subprocess.Popen[str]) -> None:
    block = block_under("Your own model")
    answers = typed(shell, block)
    assert not [each for each in answers if "status" in each], answers
    reference, plan, today, one, verdicts = answers
    assert (reference["features"], reference["reference_rows"]) == (["amount", "items", "score"], 3000)
    assert plan["plan"]["window"]["rows"] == 100
    assert plan["readiness"]["calibrated"]
    assert (today["rows"], one["rows"]) == (100, 1)
    assert "verdicts" in verdicts
    asking = block.strip().splitlines()[-1]
    (found,) = eventually(lambda: typed(shell, asking)[0]["verdicts"], "the verdict that the text promises")
    assert (found["finding"], found["rows"], found["drifted_features"]) == ("DRIFT", 100, ["amount"])


def test_the_readme_says_what_a_window_has_without_a_plan() -> None:
    assert f"windows have {Plan().window.rows} rows" in " ".join(README.split())


@pytest.mark.timeout(180)
def test_the_demonstration_finds_the_week_that_drifted_and_prints_the_job(tmp_path: Path) -> None:
    picture = tmp_path / "demo.png"
    done = subprocess.run(
        [COMMAND, "demo", "--plot", picture], capture_output=True, text=True, timeout=170, check=False
    )
    assert done.returncode == 0, done.stderr
    windows = [line for line in done.stdout.splitlines() if re.search(r"\d\.\d{3} +!?(DRIFT|STABLE)\b", line)]
    assert len(windows) == 56
    drifted = [line for line in windows if "DRIFT" in line]
    assert sum("furloughs" in line for line in drifted) >= 3
    assert all("!" in line for line in windows)  # what the usual test would have said, as the page has it
    assert "kind: Job" in done.stdout
    assert "…" not in done.stdout
    assert "What to try next" in done.stdout
    assert picture.stat().st_size > 10_000
