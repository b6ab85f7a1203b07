"""What a run verifies for itself: the dataset that was permitted, and no other one (case 53, after the trigger)."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from service.__main__ import cli
from service.adapters.trigger.manifest import render
from service.adapters.trigger.template import containers, read_template
from service.domain.retraining.gate import Evidence
from service.domain.retraining.run import Order
from service.run_sources import read_sources
from service.settings import TriggerSettings
from service.usecases.vet_run import VetRun
from tests.processes.vetted import Vetted
from tests.unit.service.adapters.trigger.requests import retrain_request

pytestmark = pytest.mark.anyio


async def environment(vetted: Vetted) -> dict[str, str]:
    """What the containers of a permitted run are told."""
    settings = TriggerSettings(retrainings=vetted.file, vetting="enforce")
    sources = read_sources(settings, "retraining", None, lambda: datetime.now(UTC))
    evidence = await VetRun(sources.source_of, None, enforced=True).vet(retrain_request(), None)
    assert isinstance(evidence, Evidence)
    manifest = render(read_template(vetted.template, "retraining"), Order(retrain_request(), evidence))
    [(_, container)] = containers(manifest)
    return {entry["name"]: entry["value"] for entry in container["env"]}


def passes(vetted: Vetted, told: dict[str, str]) -> bool:
    """As the init container of deploy/retraining says it."""
    digest, trust = told["DRIFTWARDEN_DATASET_DIGEST"], str(vetted.folder / "datasets.yaml")
    arguments = ["verify", str(vetted.dataset), "--trust", trust, "--kind", "dataset", "--payload-digest", digest]
    return CliRunner().invoke(cli, arguments).exit_code == 0


async def test_a_run_takes_the_dataset_that_was_permitted(tmp_path: Path) -> None:
    vetted = Vetted(tmp_path)
    assert passes(vetted, await environment(vetted))


async def test_a_dataset_that_was_changed_since_is_refused(tmp_path: Path) -> None:
    vetted = Vetted(tmp_path)
    told = await environment(vetted)
    (vetted.dataset / "rows.csv").write_text("a,b\n1,3\n")
    assert not passes(vetted, told)


async def test_one_that_was_signed_since_is_refused_however_valid_it_is(tmp_path: Path) -> None:
    vetted = Vetted(tmp_path)
    told = await environment(vetted)
    (vetted.dataset / "rows.csv").write_text("a,b\n1,3\n")
    vetted.sign_dataset(version=4)
    vetted.vet()
    assert not passes(vetted, told)
    assert passes(vetted, await environment(vetted))
