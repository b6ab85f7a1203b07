"""The file that says what runs are made from: what it gives, and what it refuses by its place."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.adapters.artifacts.retrainings_file import read_retrainings
from service.domain.errors import InvalidConfiguration
from service.domain.models import ModelName
from service.domain.retraining.pinned import ObjectName, Pin
from service.domain.retraining.sources import of_model
from tests.processes.vetted import CHECKS, Vetted

DIGEST = "sha256:" + "0" * 64


@pytest.fixture
def vetted(tmp_path: Path) -> Vetted:
    return Vetted(tmp_path)


def test_files_are_found_beside_it_and_what_is_not_said_is_what_is_usual(vetted: Vetted) -> None:
    found = of_model(read_retrainings(vetted.file), ModelName("any"))
    assert found is not None
    assert found.template is not None
    assert found.dataset is not None
    assert found.dataset.vetting is not None
    assert found.template.file == vetted.template
    assert (found.dataset.files.path, found.dataset.files.signature) == (vetted.dataset, vetted.folder / "fraud.sig")
    assert (found.dataset.vetting.statement, found.dataset.vetting.checks) == (
        vetted.folder / "fraud.vetting",
        frozenset(CHECKS),
    )
    assert found.base_model is not None
    assert found.base_model.path == vetted.base_model
    assert (found.cron_job, found.pins) == (None, ())


def test_a_model_of_its_own_goes_before_all_others(vetted: Vetted) -> None:
    pin = {"api_version": "v1", "kind": "ConfigMap", "name": "scripts", "digest": DIGEST}
    vetted.say({"cron_job": {"name": "retrain", "digest": DIGEST}, "pins": [pin]}, "churn")
    said = read_retrainings(vetted.file)
    found = of_model(said, ModelName("churn"))
    assert found is not None
    assert found.cron_job == Pin(ObjectName("batch/v1", "CronJob", "retrain"), DIGEST)
    assert found.pins == (Pin(ObjectName("v1", "ConfigMap", "scripts"), DIGEST),)
    assert of_model(said, ModelName("fraud")) is None


def set_to(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(entry: dict[str, Any]) -> None:
        *outer, last = path.split(".")
        for member in outer:
            entry = entry[member]
        entry[last] = value

    return change


WRONG: dict[str, Callable[[dict[str, Any]], object]] = {
    "must have one of template and cron_job": lambda entry: entry.pop("template"),
    "must have one of template and cron_job ": set_to("cron_job", {"name": "retrain", "digest": DIGEST}),
    "unknown field `image`": set_to("image", "evil"),
    "unknown field `command`": set_to("template.command", ["sh"]),
    "unknown field `namespace`": set_to("dataset.namespace", "kube-system"),
    r"template.digest": set_to("template.digest", "sha256:0"),
    r"vetting.checks": set_to("dataset.vetting.checks", []),
    r"vetting.checks\[": set_to("dataset.vetting.checks", ["Labels!"]),
    "is a whole file system": set_to("dataset.path", "/"),
    r"retrainings\[\*\].dataset: .* cannot be read": set_to("dataset.trust", "missing.yaml"),
    r"retrainings\[\*\].dataset.vetting: .* cannot be read": set_to("dataset.vetting.approvers", "missing.yaml"),
    "statement is in the dataset": set_to("dataset.vetting.statement", "fraud/vetting"),
    "is in what it is to vouch for": set_to("dataset.trust", "fraud/datasets.yaml"),
    "is in what it says is signed": set_to("dataset.path", "."),
    r"pins\[": set_to("pins", [{"api_version": "v1", "kind": "ConfigMap", "name": "Up/../per", "digest": DIGEST}]),
}


@pytest.mark.parametrize("message", WRONG)
def test_what_is_wrong_is_refused_by_its_place(vetted: Vetted, message: str) -> None:
    entry = vetted.entry()
    WRONG[message](entry)
    vetted.say(entry)
    with pytest.raises(InvalidConfiguration, match=message.strip()) as caught:
        read_retrainings(vetted.file)
    assert str(vetted.file) in str(caught.value)


@pytest.mark.parametrize("model", ["", "a b", "x" * 64, "frau*", "../fraud"])
def test_only_names_of_models_and_all_others_are_known(vetted: Vetted, model: str) -> None:
    vetted.say(model=model)
    with pytest.raises(InvalidConfiguration):
        read_retrainings(vetted.file)


def test_a_model_twice_is_refused(vetted: Vetted) -> None:
    text = vetted.file.read_text()
    vetted.file.write_text(text + text.split("\n", 1)[1])
    with pytest.raises(InvalidConfiguration, match="says something twice"):
        read_retrainings(vetted.file)
