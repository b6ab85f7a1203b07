"""`driftwarden vet`, as it is typed."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from service.__main__ import cli
from service.domain.errors import DriftwardenError, UnsignableArtifact
from service.domain.integrity.envelope import parse_bundle
from service.domain.retraining.vetting_statement import parse_vetting
from tests.processes.vetted import Vetted


@pytest.fixture
def vetted(tmp_path: Path) -> Vetted:
    made = Vetted(tmp_path)
    for name in ("signer", "approver"):
        key = getattr(made, name)
        key.write(tmp_path / f"{name}.pem", None)
        (tmp_path / f"{name}.pub").write_bytes(key.public_key)
    (tmp_path / "fraud.vetting").unlink()
    return made


def vet(vetted: Vetted, *more: str, key: str = "approver.pem", check: str = "labels", expires: str = "30d") -> Result:
    return CliRunner().invoke(
        cli,
        ["vet", str(vetted.dataset), "--key", str(vetted.folder / key), "--check", check, "--expires", expires, *more],
    )


def by_signer(vetted: Vetted) -> tuple[str, str]:
    return "--signer", str(vetted.folder / "signer.pub")


def test_it_says_who_vetted_what_and_until_when(vetted: Vetted) -> None:
    done = vet(vetted, *by_signer(vetted), "--check", "privacy")
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{vetted.digest}\n"
    bundle = parse_bundle((vetted.folder / "fraud.vetting").read_bytes())
    said = parse_vetting(bundle.payload)
    assert (said.dataset_digest, said.checks) == (vetted.digest, {"labels", "privacy"})
    assert (said.approver, said.requester) == (vetted.approver.fingerprint, vetted.signer.fingerprint)
    assert said.expires - said.issued == timedelta(days=30)
    assert said.issued <= datetime.now(UTC)


@pytest.mark.parametrize("expires", ["12h", "2999-12-31", "2999-12-31T23:59:59+01:00"])
def test_its_end_can_be_said_in_several_ways(vetted: Vetted, expires: str) -> None:
    assert vet(vetted, "--trust", str(vetted.folder / "datasets.yaml"), expires=expires).exit_code == 0
    assert vet(vetted, *by_signer(vetted), expires=expires).exit_code == 0, "a statement may be replaced"


def test_a_statement_takes_the_place_of_no_signature_nor_a_signature_that_of_a_statement(vetted: Vetted) -> None:
    """Either would be gone, and the dataset refused from then on."""
    signature, statement = vetted.folder / "fraud.sig", vetted.folder / "fraud.vetting"
    before = signature.read_bytes()
    done = vet(vetted, *by_signer(vetted), "--statement", str(signature))
    assert (done.exit_code, signature.read_bytes()) == (1, before)
    assert "exists and is a signature over something else" in done.output
    assert vet(vetted, *by_signer(vetted)).exit_code == 0
    key = str(vetted.folder / "signer.pem")
    signing = ["sign", str(vetted.dataset), "--key", key, "--kind", "dataset", "--signature"]
    assert CliRunner().invoke(cli, [*signing, str(statement)]).exit_code == 1
    assert CliRunner().invoke(cli, [*signing, str(signature)]).exit_code == 0


def test_a_dataset_that_would_be_refused_for_want_of_a_version_is_not_vetted(vetted: Vetted) -> None:
    vetted.sign_dataset(version=None)
    done = vet(vetted, *by_signer(vetted))
    assert isinstance(done.exception, UnsignableArtifact)
    assert not (vetted.folder / "fraud.vetting").exists()


@pytest.mark.parametrize("expires", ["", "soon", "0d", "30m", "2999-12-31T23:59:59"])
def test_another_end_is_a_wrong_use(vetted: Vetted, expires: str) -> None:
    done = vet(vetted, *by_signer(vetted), expires=expires)
    assert done.exit_code == 2
    assert "Invalid value for --expires: must be" in done.output
    assert not (vetted.folder / "fraud.vetting").exists()


@pytest.mark.parametrize("check", ["", "La bels", "-labels", "a" * 64])
def test_a_checks_name_is_plain(vetted: Vetted, check: str) -> None:
    assert vet(vetted, *by_signer(vetted), check=check).exit_code == 2


def test_whose_dataset_it_should_be_is_said_once(vetted: Vetted) -> None:
    assert vet(vetted).exit_code == 2
    assert vet(vetted, *by_signer(vetted), "--trust", str(vetted.folder / "datasets.yaml")).exit_code == 2


def test_nobody_vets_what_is_not_what_was_signed(vetted: Vetted) -> None:
    (vetted.dataset / "rows.csv").write_text("")
    done = vet(vetted, *by_signer(vetted))
    assert done.exit_code == 1
    assert "changed: rows.csv" in done.output
    assert not (vetted.folder / "fraud.vetting").exists()


def test_nobody_vets_what_they_signed(vetted: Vetted) -> None:
    done = vet(vetted, *by_signer(vetted), key="signer.pem")
    assert isinstance(done.exception, DriftwardenError)
    assert "for somebody else to do" in str(done.exception)


def test_it_does_not_write_over_anything_else_nor_into_the_dataset(vetted: Vetted) -> None:
    (vetted.folder / "fraud.vetting").write_text("notes")
    assert "is no signature" in vet(vetted, *by_signer(vetted)).output
    inside = vet(vetted, *by_signer(vetted), "--statement", str(vetted.dataset / "vetting"))
    assert "is in the dataset" in inside.output
    assert (vetted.folder / "fraud.vetting").read_text() == "notes"
