"""`driftwarden verify-record` says in its first line whether a record is whole, and ends accordingly."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from service.__main__ import cli
from service.adapters.artifacts.elliptic_keys import EllipticKey
from service.domain.models import ModelName
from tests.unit.service.domain.retraining.records import KEY, handed_out, head, public, record

LINES = record()


@pytest.fixture
def handed(tmp_path: Path) -> Path:
    file = tmp_path / "churn.jsonl"
    file.write_bytes(handed_out(LINES, head(LINES)))
    return file


def run(file: Path, *arguments: object) -> Result:
    return CliRunner().invoke(cli, ["verify-record", str(file), *map(str, arguments)])


def test_what_stands_in_a_whole_record_is_listed_without_anything_that_a_terminal_obeys(handed: Path) -> None:
    done = run(handed, "--key", public(handed.parent), "--model", "churn", "--list")
    assert done.exit_code == 0, done.output
    said = done.output.splitlines()
    assert said[:3] == [f"verified: {handed}", "  model: churn", "  entries: 1 to 7"]
    assert KEY.fingerprint in said[3]
    assert "5 2026-01-31T12:04:00+00:00 TOLD retrain-churn-1 by trainer" in done.output
    assert "REFUSED retrain-churn-2 by ana pace: cool_down" in said[-1]
    assert "\x1b" not in done.output


def test_a_record_that_was_cut_off_ends_the_command_with_1(handed: Path) -> None:
    handed.write_bytes(handed_out(LINES[:-1], head(LINES)))
    command = [sys.executable, "-m", "service", "verify-record", str(handed), "--key", str(public(handed.parent))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr == f"Error: {handed} is not verified: its newest entry is 6, and was 7 when it was signed\n"


def test_another_models_record_is_not_the_one_that_was_asked_about(handed: Path) -> None:
    fraud = record(ModelName("fraud"))
    handed.write_bytes(handed_out(fraud, head(fraud, model="fraud")))
    done = run(handed, "--key", public(handed.parent), "--model", "churn")
    assert done.exit_code == 1
    assert "another model's record" in done.output


def test_after_a_change_of_keys_both_are_named(handed: Path) -> None:
    older = EllipticKey.new("P-256")
    (handed.parent / "older.pub").write_bytes(older.public_key)
    earlier = handed.parent / "earlier.jsonl"
    earlier.write_bytes(handed_out(LINES[:3], head(LINES[:3], older)))
    keys = ["--key", public(handed.parent), "--key", handed.parent / "older.pub"]
    assert run(handed, *keys, "--earlier", earlier).exit_code == 0
    assert "not trusted" in run(handed, *keys[:2], "--earlier", earlier).output


def test_a_record_that_does_not_go_on_from_an_earlier_one_is_named(handed: Path) -> None:
    longer, keys = handed, ["--key", public(handed.parent)]
    shorter = handed.parent / "shorter.jsonl"
    shorter.write_bytes(handed_out(LINES[:3], head(LINES[:3])))
    done = run(shorter, *keys, "--earlier", longer)
    assert done.exit_code == 1
    assert "does not go on from" in done.output


def test_who_is_trusted_has_to_be_said(handed: Path) -> None:
    assert run(handed).exit_code == 2
