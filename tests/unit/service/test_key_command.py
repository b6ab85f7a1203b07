"""`driftwarden key create`: the key once, and the line that is kept of it."""

from pathlib import Path

from click.testing import CliRunner, Result

from service.__main__ import cli
from service.adapters.access.callers_file import CallersFile
from service.domain.access import key_digest


def create(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["key", "create", *arguments])


def test_it_prints_the_key_and_a_line_that_does_not_contain_it(tmp_path: Path) -> None:
    done = create("pods", "--scope", "ingest", "--scope", "read", "--model", "fraud*", "--model", "churn")
    assert done.exit_code == 0
    key, line = [line for line in done.output.splitlines() if not line.startswith("#")]
    assert line == f"pods sha256:{key_digest(key).hex()} ingest,read fraud*,churn"
    (tmp_path / "callers").write_text(line)
    assert CallersFile(tmp_path / "callers").callers == 1


def test_two_keys_are_two() -> None:
    assert create("pods", "--scope", "ingest").output != create("pods", "--scope", "ingest").output


def test_it_adds_the_line_to_a_file_and_prints_the_key_alone(tmp_path: Path) -> None:
    file = tmp_path / "callers"
    keys = [create(name, "--scope", "ingest", "--append", str(file)).output.strip() for name in ("a", "b")]
    assert [line.split()[1] for line in file.read_text().splitlines()] == [
        f"sha256:{key_digest(key).hex()}" for key in keys
    ]
    assert CallersFile(file).callers == 2


def test_what_the_file_could_not_hold_is_not_made(tmp_path: Path) -> None:
    file = tmp_path / "callers"
    for arguments in (("a b", "--scope", "ingest"), ("a", "--scope", "ingest", "--model", "*x")):
        refused = create(*arguments, "--append", str(file))
        assert refused.exit_code == 1
        assert not file.exists()
    assert create("a", "--scope", "everything").exit_code == 2
    assert create("a").exit_code == 2
