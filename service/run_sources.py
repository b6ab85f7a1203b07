"""The part of the composition root that says what runs are made from, and what vets it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from service.adapters.artifacts.retrainings_file import Retraining, read_retrainings
from service.adapters.artifacts.run_files import FilesOfRuns
from service.adapters.trigger.template import (
    MAXIMUM_BYTES,
    SHIPPED_TEMPLATE,
    CronJobTemplate,
    MadeFrom,
    read_template,
)
from service.domain.errors import InvalidConfiguration
from service.domain.models import ModelName
from service.domain.retraining.sources import ALL_OTHERS, of_model
from service.settings import TriggerSettings
from service.usecases.vet_run import RunSource


@dataclass(frozen=True, slots=True)
class FromWhat:
    """What the runs of one model, or of all others, are made from."""

    made_from: MadeFrom
    source: RunSource


@dataclass(frozen=True, slots=True)
class RunSources:
    """By model."""

    named: Mapping[str, FromWhat]

    def source_of(self, model: ModelName) -> RunSource | None:
        """What is to be vetted; None: nothing is named for this model, nor for all others."""
        found = of_model(self.named, model)
        return None if found is None else found.source


def is_enforced(settings: TriggerSettings) -> bool:
    """Whether what is wrong with a dataset refuses."""
    return (settings.vetting or ("advisory" if settings.kind == "dry_run" else "enforce")) == "enforce"


def read_sources(
    settings: TriggerSettings, namespace: str, service_key: str | None, clock: Callable[[], datetime]
) -> RunSources:
    """`service_key`: fingerprint of the service's own. Raises `InvalidConfiguration`."""
    if settings.retrainings is None:
        if is_enforced(settings):
            raise InvalidConfiguration(
                "DRIFT_TRIGGER__RETRAININGS is not set, so nobody says what may be trained on: write that file "
                "(docs/vetting.md), or set DRIFT_TRIGGER__VETTING=advisory"
            )
        return RunSources({ALL_OTHERS: _of_one_template(settings.template or SHIPPED_TEMPLATE, namespace, clock)})
    if settings.template is not None:
        raise InvalidConfiguration("leave DRIFT_TRIGGER__TEMPLATE out: the file of DRIFT_TRIGGER__RETRAININGS has them")
    said = read_retrainings(settings.retrainings)
    if settings.kind == "dry_run" and any(each.pins or each.cron_job for each in said.values()):
        raise InvalidConfiguration("pins and cron_job need a cluster to look at: DRIFT_TRIGGER__KIND=kubernetes")
    return RunSources({model: _read(each, namespace, service_key, clock) for model, each in said.items()})


def _of_one_template(path: Path, namespace: str, clock: Callable[[], datetime]) -> FromWhat:
    """Pinned to what it is now: while the file is another one, runs wait (`GuardedTrigger`), and are not refused."""
    template = read_template(path, namespace)
    files = FilesOfRuns(None, MAXIMUM_BYTES, None, None, None, clock)
    return FromWhat(template, RunSource(files, f"sha256:{template.digest}", template.document))


def _read(said: Retraining, namespace: str, service_key: str | None, clock: Callable[[], datetime]) -> FromWhat:
    file = None if said.template is None else said.template.file
    files = FilesOfRuns(file, MAXIMUM_BYTES, said.dataset, said.base_model, service_key, clock)
    if said.cron_job is not None:
        source = RunSource(files, said.cron_job.digest, None, said.cron_job, said.pins)
        return FromWhat(CronJobTemplate(said.cron_job, namespace), source)
    assert said.template is not None  # noqa: S101 - the file has one of the two
    template = read_template(said.template.file, namespace)
    if f"sha256:{template.digest}" != said.template.digest:
        raise InvalidConfiguration(
            f"the retraining template {said.template.file} is sha256:{template.digest}, and another one is pinned: "
            "look at it, and pin it again (driftwarden pin)"
        )
    return FromWhat(template, RunSource(files, said.template.digest, template.document, None, said.pins))
