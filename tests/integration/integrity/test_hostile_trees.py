"""What somebody with write access to a volume can put there: every case is refused, and none is waited for.

The numbers are those of the list of bad inputs. The others of 40 to 50 are in test_commands.py (40, 42, 43, 45),
tests/unit/service/adapters/artifacts (43, 44, 47, 52) and tests/unit/service/domain/integrity (40, 46 to 50).
"""

import os
import shutil
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from service.__main__ import cli


def ran(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def refused(*arguments: str | Path) -> str:
    """What it says."""
    done = ran("verify", *arguments)
    assert done.exit_code == 1
    return done.output + str(done.exception)


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    key = tmp_path_factory.mktemp("keys") / "key"
    assert ran("keygen", key).exit_code == 0
    return key


@pytest.fixture
def model(tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "fraud"
    root.mkdir()
    (root / "weights").write_bytes(b"weights")
    (root / "config").write_bytes(b"{}")
    assert ran("sign", root, "--key", key.with_suffix(".pem"), "--version", "1").exit_code == 0
    monkeypatch.chdir(root)  # the address of a socket must be short
    return root


def public(key: Path) -> tuple[str, Path]:
    return "--key", key.with_suffix(".pub")


@pytest.mark.parametrize("name", [b"\xff", b"\xc3", b"line\nbreak", b"tab\t", b"\x1b[2J", b"-rf", b" "])
def test_a_file_is_found_whatever_bytes_its_name_is_of(model: Path, key: Path, name: bytes) -> None:
    """Case 42."""
    (model / os.fsdecode(name)).write_bytes(b"")
    said = refused(model, *public(key))
    assert "not signed: " in said
    assert said.count("\n") < 9
    assert "\x1b" not in said


def listen(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))


def device(place: Path) -> None:
    try:
        os.mknod(place, stat.S_IFCHR | 0o600, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("devices are made by root only")


def link(place: Path) -> None:
    place.symlink_to("/etc/shadow")


@pytest.mark.parametrize("make", [os.mkfifo, listen, device, link, Path.mkdir])
@pytest.mark.parametrize("name", ["weights", "more"])
def test_what_is_no_file_is_neither_followed_nor_waited_for(
    model: Path, key: Path, name: str, make: Callable[[Path], None]
) -> None:
    """Case 43: in the place of a file, and beside it."""
    (model / name).unlink(missing_ok=True)
    make(Path(name))
    assert name in refused(model, *public(key))


def test_a_hard_link_to_a_file_elsewhere_is_what_is_in_it(model: Path, key: Path) -> None:
    """Case 43."""
    secret = model.parent / "secret"
    secret.write_text("root:x")
    (model / "weights").unlink()
    os.link(secret, model / "weights")
    said = refused(model, *public(key))
    assert "changed: weights" in said
    assert "root:x" not in said


def test_a_sparse_file_of_a_terabyte_is_not_read(model: Path, key: Path) -> None:
    """Case 43."""
    os.truncate(model / "weights", 2**40)
    assert "nearly all holes" in refused(model, *public(key))
    with (model / "weights").open("r+b") as opened:
        for place in range(0, 2**40, 2**34):
            opened.seek(place)
            opened.write(b"data")
    assert "nearly all holes" in refused(model, *public(key))
    done = ran("sign", model, "--key", key.with_suffix(".pem"))
    assert done.exit_code == 1
    assert "nearly all holes" in str(done.exception)


def test_a_device_as_the_artifact_is_not_read(key: Path, model: Path) -> None:
    """Case 43."""
    said = refused("/dev/zero", *public(key), "--signature", f"{model}.sig")
    assert "neither file nor folder" in said


def test_another_artifacts_files_and_signature_are_told_apart_by_the_pin(model: Path, key: Path) -> None:
    """Case 45: the other one is validly signed, with the same version."""
    other = model.parent / "other"
    shutil.copytree(model, other)
    (other / "weights").write_bytes(b"other weights")
    assert ran("sign", other, "--key", key.with_suffix(".pem"), "--version", "1").exit_code == 0
    pinned = ran("sign", model, "--key", key.with_suffix(".pem"), "--version", "1").stdout.strip()
    for signature in (f"{model}.sig", f"{other}.sig"):
        refused(other, *public(key), "--payload-digest", pinned, "--signature", signature)
    assert ran("verify", model, *public(key), "--payload-digest", pinned).exit_code == 0


@pytest.mark.parametrize("make", [os.mkfifo, listen, Path.mkdir, lambda place: os.truncate(place, 2**40)])
def test_a_signature_that_is_no_file_or_is_very_long_is_not_waited_for(
    model: Path, key: Path, make: Callable[[Path], None]
) -> None:
    """Case 46."""
    signature = Path("signature")
    make(signature) if make in {os.mkfifo, listen, Path.mkdir} else (signature.touch(), make(signature))
    assert "signature" in refused(model, *public(key), "--signature", signature)
