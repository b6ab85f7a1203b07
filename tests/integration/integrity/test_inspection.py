"""`driftwarden inspect`, and what `verify` refuses besides, as they are typed."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from service.__main__ import cli
from tests.unit.service.domain.integrity.contents.corpus import CODE, DATA


def ran(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.fixture
def model(tmp_path: Path) -> Path:
    root = tmp_path / "fraud"
    (root / "a").mkdir(parents=True)
    (root / "model.onnx").write_bytes(DATA["model.onnx"])
    (root / "a" / "README.md").write_text("a model")
    return root


@pytest.fixture
def signed(model: Path) -> Path:
    assert ran("keygen", model.parent / "key").exit_code == 0
    (model / "model.safetensors").write_bytes(CODE["torch.pt"])
    assert ran("sign", model, "--key", model.parent / "key.pem").exit_code == 0
    return model


def test_every_file_is_told_and_the_worst_is_first(model: Path) -> None:
    (model / "a" / "model.safetensors").write_bytes(CODE["torch.pt"])
    done = ran("inspect", model)
    assert done.exit_code == 0
    assert done.output.splitlines() == [
        "code     a/model.safetensors  zip: fraud/data.pkl: pickle of protocol 2",
        "data     a/README.md          text",
        "data     model.onnx           ONNX",
        "files: 3 (1 code, 0 may, 0 unknown, 2 data)",
    ]


def test_programs_are_told_in_json(model: Path) -> None:
    document = json.loads(ran("inspect", model / "model.onnx", "--json").output)
    assert document == {
        "counts": {"code": 0, "may": 0, "unknown": 0, "data": 1},
        "files": [{"name": ".", "content": "data", "form": "ONNX"}],
    }


def test_what_is_asked_to_be_refused_ends_with_1_and_is_named(model: Path) -> None:
    assert ran("inspect", model, "--refuse", "unknown").exit_code == 0
    (model / "model.h5").write_bytes(CODE["lambda.h5"].replace(b"Lambda", b"Dense"))
    assert ran("inspect", model, "--refuse", "code").exit_code == 0
    done = ran("inspect", model, "--refuse", "may")
    assert done.exit_code == 1
    assert "may: model.h5 (Keras model in HDF5)" in done.stderr
    assert ran("inspect", model, "--refuse", "nothing").exit_code == 2


def test_what_is_no_file_is_not_known_to_be_data(model: Path) -> None:
    os.mkfifo(model / "pipe")
    (model / "link").symlink_to("/etc/passwd")
    done = ran("inspect", model, "--refuse", "unknown")
    assert done.exit_code == 1
    assert "unknown: pipe (neither file nor folder)" in done.stderr
    assert "unknown: link (symbolic link, which is not followed)" in done.stderr


def test_a_signed_pickle_verifies_and_is_refused_where_only_data_may_be(signed: Path) -> None:
    key = ("--key", signed.parent / "key.pub")
    assert ran("verify", signed, *key).exit_code == 0
    done = ran("verify", signed, *key, "--data-only")
    assert done.exit_code == 1
    assert "code: model.safetensors (zip: fraud/data.pkl: pickle of protocol 2)" in done.stderr


def test_a_key_can_be_trusted_for_data_only(signed: Path) -> None:
    trust = signed.parent / "trust.yaml"
    trust.write_text("keys: [{id: a, key: key.pub, data_only: true}]")
    done = ran("verify", signed, "--trust", trust)
    assert done.exit_code == 1
    assert "code: model.safetensors" in done.stderr
    trust.write_text("keys: [{id: a, key: key.pub, data_only: false}]")
    assert ran("verify", signed, "--trust", trust).exit_code == 0
    trust.write_text("keys: [{id: a, key: key.pub, data_only: 1}]")
    assert "true or false" in str(ran("verify", signed, "--trust", trust).exception)
