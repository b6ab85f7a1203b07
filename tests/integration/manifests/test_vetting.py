"""The shipped manifests start nothing before somebody has said what may be trained on."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from service.domain.retraining.gate import Check, Refusal
from service.run_sources import is_enforced, read_sources
from service.settings import TriggerSettings
from service.usecases.vet_run import VetRun
from tests.integration.manifests.kustomize import Manifest
from tests.integration.manifests.objects import one
from tests.unit.service.adapters.trigger.requests import retrain_request

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("which", ["base", "documented"])
async def test_until_a_dataset_is_named_every_run_is_refused(
    which: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    manifests: list[Manifest] = request.getfixturevalue(which)
    mounted = one(manifests, "ConfigMap", "driftwarden-retraining-template")["data"]
    for name, text in mounted.items():
        (tmp_path / name).write_text(text)
    said = one(manifests, "ConfigMap", "driftwarden-settings")["data"]
    file = tmp_path / Path(said["DRIFT_TRIGGER__RETRAININGS"]).name
    settings = TriggerSettings(kind=said["DRIFT_TRIGGER__KIND"], retrainings=file)
    sources = read_sources(settings, "driftwarden-retraining", None, lambda: datetime.now(UTC))
    refusal = await VetRun(sources.source_of, None, enforced=is_enforced(settings)).vet(retrain_request(), None)
    assert isinstance(refusal, Refusal)
    assert (refusal.check, refusal.reason) == (Check.DATASET_SIGNATURE, "no_dataset")
