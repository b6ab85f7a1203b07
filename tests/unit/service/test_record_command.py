"""`driftwarden verify-record` and `verify-provenance` say in the first line whether all is well, and end so."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from service.__main__ import cli
from service.adapters.artifacts.elliptic_keys import EllipticKey
from service.domain.integrity.envelope import Bundle, signed_bytes
from service.domain.models import ModelName, TriggerOutcome
from service.domain.retraining.provenance import provenance
from service.domain.retraining.record import Line, written
from service.domain.retraining.signed_event import statement_of
from tests.unit.service.domain.retraining.records import KEY, MADE, handed_out, head, public, record, request

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


def test_a_run_that_was_only_shown_is_told_from_one_that_was_started(tmp_path: Path) -> None:
    entry = LINES[2].entry
    assert entry.receipt is not None
    shown = replace(entry, receipt=replace(entry.receipt, outcome=TriggerOutcome.DRY_RUN))
    lines = [*LINES[:2], written(shown)]
    file = tmp_path / "churn.jsonl"
    file.write_bytes(handed_out(lines, head(lines)))
    done = run(file, "--key", public(tmp_path), "--list")
    assert "STARTED retrain-churn-1 DRY_RUN" in done.output.splitlines()[-1]


def test_a_record_that_was_cut_off_ends_the_command_with_1(handed: Path) -> None:
    handed.write_bytes(handed_out(LINES[:-1], head(LINES)))
    command = [sys.executable, "-m", "service", "verify-record", str(handed), "--key", str(public(handed.parent))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr == f"Error: {handed} is not verified: its newest entry is 6, and was 7 when it was signed\n"


def test_a_record_that_nobody_signed_is_said_to_be_one(handed: Path) -> None:
    handed.write_bytes(b"".join(line.text + b"\n" for line in LINES))
    done = run(handed, "--key", public(handed.parent))
    assert done.exit_code == 1
    assert "(was it cut off, or has the service no key?)" in done.output


def test_digests_that_were_written_into_the_store_are_nothing_that_a_terminal_obeys(handed: Path) -> None:
    told = replace(LINES[4].entry, model_digest="\x1b]0;\u202e")
    lines = [*LINES[:4], written(told)]
    handed.write_bytes(handed_out(lines, head(lines)))
    done = run(handed, "--key", public(handed.parent), "--list")
    assert done.exit_code == 0, done.output
    assert not {"\x1b", "\u202e"} & set(done.output)


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


def signed(file: Path, payload: bytes, key: EllipticKey = KEY) -> Path:
    file.write_bytes(Bundle(payload, key.sign(signed_bytes(payload)), key.fingerprint).encode())
    return file


@pytest.fixture
def made(tmp_path: Path) -> Path:
    return signed(tmp_path / "churn.provenance", provenance(LINES[:5], "urn:driftwarden:service:0"))


def look(file: Path, *arguments: object) -> Result:
    return CliRunner().invoke(cli, ["verify-provenance", str(file), *map(str, arguments)])


def test_provenance_says_what_a_model_was_made_from(made: Path, handed: Path) -> None:
    done = look(made, "--key", public(made.parent), "--payload-digest", MADE, "--record", handed)
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[:2] == [f"verified: {made}", f"  of: churn {MADE}"]
    assert "  from: dataset sha256:" + "3" * 64 in done.output
    assert '"by": "ana"' in done.output
    assert done.output.isascii()
    assert "\x1b" not in done.output


def test_provenance_of_another_model_is_none_of_this_one(made: Path) -> None:
    done = look(made, "--key", public(made.parent), "--payload-digest", "sha256:" + "0" * 64)
    assert done.exit_code == 1
    assert f"is not verified: it is of another artifact than the one expected: {MADE}" in done.output
    assert look(made, "--key", public(made.parent), "--payload-digest", "sha256:0").exit_code == 2


@pytest.mark.parametrize("lines", [LINES[:4], record(ModelName("fraud"))], ids=["earlier", "of another model"])
def test_provenance_goes_back_to_a_record_that_has_all_of_it(made: Path, lines: list[Line]) -> None:
    file = made.parent / "record.jsonl"
    file.write_bytes(handed_out(lines, head(lines, model=lines[0].entry.model)))
    done = look(made, "--key", public(made.parent), "--record", file)
    assert done.exit_code == 1
    assert "do not stand in the record" in done.output


def test_what_is_signed_by_others_or_is_something_else_is_no_provenance(made: Path) -> None:
    payload, key = provenance(LINES[:5], "urn:x"), ["--key", public(made.parent)]
    assert "not trusted" in look(signed(made, payload, EllipticKey.new("P-256")), *key).output
    assert "of another kind" in look(signed(made, statement_of(request())), *key).output
    assert "buildType" in look(signed(made, payload.replace(b"driftwarden.io/retraining", b"other")), *key).output
    made.write_bytes(made.read_bytes()[:-20])
    assert look(made, *key).exit_code == 1
