"""What docs/promises.md points to is there: every test, and every section of `make soak`."""

import re
import subprocess
import sys
from pathlib import Path

from tests.soak.__main__ import SECTIONS

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
TESTS = dict(re.findall(r'^\[(.+?)\]: \.\./(\S+ "\w+")$', DOCUMENT, re.MULTILINE))
ROWS = re.findall(r"^\| (R\d+) \|(.*)\|$", DOCUMENT, re.MULTILINE)


def test_every_test_that_is_named_is_collected() -> None:
    wanted = {each.replace(' "', "::").removesuffix('"') for each in TESTS.values()}
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *sorted(wanted)]
    answer = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    collected = {line.partition("[")[0] for line in answer.stdout.splitlines() if "::" in line}
    assert collected == wanted


def test_every_promise_names_tests_that_are_there_and_every_one_of_them_is_named() -> None:
    assert [promise for promise, _ in ROWS] == [
        *(f"R{n}" for n in range(1, 18)),
        "R19",
        "R20",
        "R21",
        "R22",
        "R23",
        "R24",
    ]
    prose = DOCUMENT.partition("\n[")[0]
    named = set(re.findall(r"\[([^\]]+)\](?!\()", prose))
    assert named == TESTS.keys()
    for promise, cells in ROWS:
        assert re.search(r"\[[^\]]+\](?!\()", cells), promise


def test_every_section_of_the_soak_is_of_a_promise_and_the_other_way_round() -> None:
    named = {section for _, cells in ROWS for section in re.findall(r"`(\w+)`", cells.rpartition("|")[2])}
    assert named == SECTIONS.keys()
