"""`driftwarden keygen`, `sign` and `verify`, as they are typed; and Model Signing's own tool as the other side."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner, Result

from service.__main__ import cli
from service.domain.errors import ArtifactUnreadable, DriftwardenError

COMMAND = Path(sys.executable).with_name("driftwarden")


def ran(*arguments: str | Path, standard_input: str | None = None) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], input=standard_input)


def typed(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """As a process of its own: what it ends with, and what it says on which stream."""
    return subprocess.run([COMMAND, *arguments], capture_output=True, text=True, check=False, timeout=60)


def other_tool(*arguments: str | Path) -> bool:
    """Whether `model_signing` says that all is well."""
    done = subprocess.run(
        [sys.executable, "-m", "model_signing", *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode == 0


@pytest.fixture
def model(tmp_path: Path) -> Path:
    root = tmp_path / "fraud"
    (root / "a").mkdir(parents=True)
    for name, text in (
        ("model.onnx", b"weights" * 999),
        ("a/z", b""),
        ("a-b", b"-"),
        ("caf\u00e9", b"3"),
        (".dot", b"4"),
    ):
        (root / name).write_bytes(text)
    return root


@pytest.fixture
def key(tmp_path: Path) -> Path:
    assert ran("keygen", tmp_path / "key").exit_code == 0
    return tmp_path / "key"


def private(key: Path) -> Path:
    return key.with_suffix(".pem")


def public(key: Path) -> Path:
    return key.with_suffix(".pub")


@pytest.mark.parametrize("curve", ["P-256", "P-384", "P-521"])
def test_what_is_signed_here_verifies_there(model: Path, curve: str) -> None:
    key = model.parent / "key"
    assert ran("keygen", key, "--curve", curve).exit_code == 0
    signed = ran("sign", model, "--key", private(key), "--kind", "model", "--version", "3")
    assert signed.exit_code == 0, signed.output
    there = ("verify", "key", model, "--signature", f"{model}.sig", "--public_key", public(key))
    assert other_tool(*there)
    (model / "a" / "z").write_bytes(b"x")
    assert not other_tool(*there)


def test_what_is_signed_there_verifies_here(model: Path, key: Path) -> None:
    for path in (model, model / "model.onnx"):
        signature = path.parent / "model.sig"
        assert other_tool("sign", "key", path, "--private_key", private(key), "--signature", signature)
        done = ran("verify", path, "--key", public(key), "--signature", signature)
        assert done.exit_code == 0, done.output
        signature.unlink()
    inside = model / "model.sig"
    assert other_tool("sign", "key", model, "--private_key", private(key), "--signature", inside)
    assert ran("verify", model, "--key", public(key), "--signature", inside).exit_code == 0


def test_a_file_alone_and_a_signature_within_verify_there(model: Path, key: Path) -> None:
    assert ran("sign", model / "model.onnx", "--key", private(key), "--signature", model.parent / "one").exit_code == 0
    one = ("--signature", model.parent / "one", "--public_key", public(key))
    assert other_tool("verify", "key", model / "model.onnx", *one)
    inside = model / "model.sig"
    assert ran("sign", model, "--key", private(key), "--signature", inside).exit_code == 0
    assert ran("sign", model, "--key", private(key), "--signature", inside).exit_code == 0
    assert ran("verify", model, "--key", public(key), "--signature", inside).exit_code == 0
    there = ("verify", "key", model, "--signature", inside, "--public_key", public(key))
    assert other_tool(*there, "--ignore-paths", inside)


def test_an_encrypted_key_signs_with_its_passphrase(model: Path) -> None:
    key, passphrase = model.parent / "key", model.parent / "passphrase"
    passphrase.write_text("correct horse\n")
    assert ran("keygen", key, "--passphrase-file", passphrase).exit_code == 0
    refused = ran("sign", model, "--key", private(key))
    assert isinstance(refused.exception, DriftwardenError)
    assert "--passphrase-file" in str(refused.exception)
    assert ran("sign", model, "--key", private(key), "--passphrase-file", passphrase).exit_code == 0
    assert ran("verify", model, "--key", public(key)).exit_code == 0


@pytest.fixture
def signed(model: Path, key: Path) -> Path:
    done = ran("sign", model, "--key", private(key), "--version", "3")
    assert done.exit_code == 0, done.output
    return model


def test_every_one_of_500_bits_that_flip_is_found(signed: Path, key: Path) -> None:
    random = Random(7)  # noqa: S311 - nothing secret
    weights = signed / "model.onnx"
    clean = weights.read_bytes()
    for bit in [0, 8 * len(clean) - 1, *random.choices(range(8 * len(clean)), k=498)]:
        dirty = bytearray(clean)
        dirty[bit // 8] ^= 1 << bit % 8
        weights.write_bytes(dirty)
        done = ran("verify", signed, "--key", public(key))
        assert done.exit_code == 1
        assert "changed: model.onnx" in done.output
    weights.write_bytes(clean)
    assert ran("verify", signed, "--key", public(key)).exit_code == 0


@pytest.mark.parametrize(
    "name",
    ["evil.py", ".evil", ".git/hooks/x", ".github/x", "__pycache__/x.pyc", "a\nb", "a/..x", "MODEL.onnx"],
)
def test_a_file_that_is_added_is_found_wherever_it_is(signed: Path, key: Path, name: str) -> None:
    place = signed / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"")
    done = ran("verify", signed, "--key", public(key))
    assert done.exit_code == 1
    assert "not signed: " in done.output


def test_what_is_removed_renamed_linked_or_emptied_is_found(signed: Path, key: Path) -> None:
    def said() -> str:
        done = ran("verify", signed, "--key", public(key))
        assert done.exit_code == 1
        return done.output

    (signed / "a-b").rename(signed / "a-c")
    assert "missing: a-b" in said()
    assert "not signed: a-c" in said()
    (signed / "a-c").rename(signed / "a-b")
    (signed / "nothing").mkdir()
    assert "folder without anything in it: nothing" in said()
    (signed / "nothing").rmdir()
    (signed / "a-b").rename(signed.parent / "a-b")
    (signed / "a-b").symlink_to(signed.parent / "a-b")
    assert "symbolic link: a-b" in said()
    (signed / "a-b").unlink()
    (signed / "a-b").mkdir()
    assert "missing: a-b" in said()
    (signed / "a-b").rmdir()
    os.link(public(key), signed / "a-b")
    assert "changed: a-b" in said()


def test_an_older_artifact_with_its_own_signature_is_refused_where_it_is_pinned(signed: Path, key: Path) -> None:
    old = signed.with_name("old")
    shutil.copytree(signed, old)
    shutil.copy(f"{signed}.sig", f"{old}.sig")
    (signed / "model.onnx").write_bytes(b"better")
    digest = ran("sign", signed, "--key", private(key), "--version", "4").stdout.strip()
    pinned = ("--key", public(key), "--payload-digest", digest)
    assert ran("verify", signed, *pinned, "--minimum-version", "4").exit_code == 0
    assert ran("verify", old, "--key", public(key)).exit_code == 0
    for limits in (pinned, ("--key", public(key), "--minimum-version", "4")):
        done = ran("verify", old, *limits)
        assert done.exit_code == 1
        assert "expected" in done.output


def test_a_key_that_lies_in_the_artifact_vouches_for_nothing(signed: Path, key: Path) -> None:
    shutil.copy(public(key), signed / "key.pub")
    pointing = signed.parent / "trust.yaml"
    pointing.write_text("keys: [{id: a, key: fraud/key.pub}]")
    for given in (("--key", signed / "key.pub"), ("--trust", signed / "key.pub"), ("--trust", pointing)):
        done = ran("verify", signed, *given)
        assert done.exit_code == 1
        assert "keep keys in another place" in str(done.exception)


def test_files_that_are_not_there_are_not_verified(signed: Path, key: Path) -> None:
    Path(f"{signed}.sig").rename(signed.parent / "moved")
    unsigned = typed("verify", signed, "--key", public(key))
    assert unsigned.returncode == 1
    assert unsigned.stderr == f"Error: {signed}.sig cannot be found: --signature says where the signature is\n"
    shutil.rmtree(signed)
    done = ran("verify", signed, "--key", public(key), "--signature", signed.parent / "moved")
    assert isinstance(done.exception, ArtifactUnreadable)


def test_it_ends_with_0_1_or_2(signed: Path, key: Path) -> None:
    right = typed("verify", signed, "--key", public(key))
    assert (right.returncode, right.stderr) == (0, "")
    assert right.stdout.startswith(f"verified: {signed}\n  files: 5\n  signed by: key (")
    (signed / "evil.py").write_bytes(b"")
    wrong = typed("verify", signed, "--key", public(key))
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "not signed: evil.py" in wrong.stderr
    for arguments in (
        (),
        ("--key", public(key), "--trust", public(key)),
        ("--key", public(key), "--payload-digest", "x"),
    ):
        assert typed("verify", signed, *arguments).returncode == 2


def test_a_key_is_written_once_for_its_owner_alone_and_never_shown(tmp_path: Path) -> None:
    done = ran("keygen", tmp_path / "key")
    assert stat.S_IMODE((tmp_path / "key.pem").stat().st_mode) == 0o600
    assert "PRIVATE" not in done.output
    text = (tmp_path / "key.pem").read_bytes()
    assert ran("keygen", tmp_path / "key").exit_code == 1
    assert (tmp_path / "key.pem").read_bytes() == text


def test_a_passphrase_can_be_asked_for(tmp_path: Path) -> None:
    done = ran("keygen", tmp_path / "key", "--passphrase", standard_input="correct horse\ncorrect horse\n")
    assert done.exit_code == 0, done.output
    assert "correct" not in done.output
    assert b"ENCRYPTED" in (tmp_path / "key.pem").read_bytes()


def test_a_signature_replaces_a_signature_and_nothing_else(signed: Path, key: Path) -> None:
    text = private(key).read_bytes()
    done = ran("sign", signed, "--key", private(key), "--signature", private(key))
    assert done.exit_code == 1
    assert private(key).read_bytes() == text
