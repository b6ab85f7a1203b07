"""Signatures with certificates, as they are typed; and Model Signing's own tool as the other side."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from service.__main__ import cli
from tests.unit.service.adapters.artifacts.authorities import BETWEEN, DAY, MAIL, ROOT, SIGNER, Made, signer, usage


def ran(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def other_tool(*arguments: str | Path) -> bool:
    """Whether `model_signing` says that all is well."""
    done = subprocess.run(
        [sys.executable, "-m", "model_signing", *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode == 0


@pytest.fixture
def model(tmp_path: Path) -> Path:
    root = tmp_path / "fraud"
    root.mkdir()
    (root / "weights").write_bytes(b"weights")
    (tmp_path / "root.pem").write_bytes(ROOT.pem)
    (tmp_path / "between.pem").write_bytes(BETWEEN.pem)
    (tmp_path / "leaf.pem").write_bytes(SIGNER.pem)
    (tmp_path / "chain.pem").write_bytes(SIGNER.pem + BETWEEN.pem)
    (tmp_path / "key.pem").write_bytes(SIGNER.key_pem)
    trusted(root)
    return root


def trusted(model: Path, limits: str = "") -> None:
    (model.parent / "trust.yaml").write_text(
        f"keys: [{{id: ca, ca: root.pem, alternative_name: {MAIL}, subject: CN=release{limits}}}]"
    )


def signed(model: Path, made: Made | None = None, *more: str) -> Result:
    if made is not None:
        (model.parent / "chain.pem").write_bytes(made.pem)
        (model.parent / "key.pem").write_bytes(made.key_pem)
    folder = model.parent
    return ran("sign", model, "--key", folder / "key.pem", "--certificate", folder / "chain.pem", *more)


def verified(model: Path, *more: str | Path) -> Result:
    return ran("verify", model, "--trust", model.parent / "trust.yaml", *more)


def test_what_is_signed_here_verifies_there(model: Path) -> None:
    assert signed(model).exit_code == 0
    there = (
        "verify",
        "certificate",
        model,
        "--signature",
        f"{model}.sig",
        "--certificate_chain",
        model.parent / "root.pem",
    )
    assert other_tool(*there)
    (model / "weights").write_bytes(b"other")
    assert not other_tool(*there)


def test_what_is_signed_there_verifies_here(model: Path) -> None:
    folder = model.parent
    keys = ("--private_key", folder / "key.pem", "--signing_certificate", folder / "leaf.pem")
    chain = ("--certificate_chain", folder / "between.pem", "--certificate_chain", folder / "root.pem")
    assert other_tool("sign", "certificate", model, *keys, *chain, "--signature", folder / "fraud.sig")
    done = verified(model)
    assert done.exit_code == 0, done.output
    assert "signed by: ca (" in done.output


def test_a_certified_key_is_trusted_within_the_limits_of_its_root(model: Path) -> None:
    assert signed(model, None, "--kind", "model").exit_code == 0
    assert verified(model, "--kind", "model").exit_code == 0
    for limits, said in (
        (", revoked: true", "revoked"),
        (", not_after: 2020-01-01", "valid until"),
        (", kinds: [dataset]", "not trusted for a model"),
    ):
        trusted(model, limits)
        done = verified(model)
        assert done.exit_code == 1
        assert said in done.output


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (signer(ROOT, name="other"), "another subject"),
        (signer(ROOT, replaced=[(usage(signs=True), True)]), "another name"),
        (signer(ROOT, ends=-DAY / 2), "do not hold now"),
    ],
)
def test_another_signer_of_the_same_root_is_refused(model: Path, made: Made, said: str) -> None:
    assert signed(model, made).exit_code == 0
    done = verified(model)
    assert done.exit_code == 1
    assert said in done.output


def test_certificates_are_no_keys_and_keys_no_certificates(model: Path) -> None:
    assert ran("keygen", model.parent / "bare").exit_code == 0
    assert signed(model).exit_code == 0
    done = ran("verify", model, "--key", model.parent / "bare.pub")
    assert "no root of certificates is trusted" in done.output
    assert ran("sign", model, "--key", model.parent / "key.pem").exit_code == 0
    assert "not trusted" in verified(model).output


def test_a_certificate_for_another_key_is_not_signed_with(model: Path) -> None:
    (model.parent / "chain.pem").write_bytes(BETWEEN.pem + SIGNER.pem)
    done = signed(model)
    assert done.exit_code == 1
    assert "the signer's comes first" in done.output
    assert not Path(f"{model}.sig").exists()
