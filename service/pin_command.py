"""`driftwarden pin`: what the retrainings file has to say of a template, or of a CronJob, as they are now."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from service.adapters.trigger.template import read_template
from service.domain.retraining.pinned import CRON_JOB, ObjectName, Pin, digest_of, references
from service.usecases.pin_run import PinRun

if TYPE_CHECKING:
    from service.adapters.cluster_objects import KubernetesObjects


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be pinned; one of `template` and `cron_job` is there."""

    template: Path | None
    cron_job: str | None
    also: tuple[ObjectName, ...]
    namespace: str | None
    """None: that of the kubeconfig's context."""
    kubeconfig: Path | None
    context: str | None


def pin(asked: Asked) -> str:
    """YAML, for the model's entry in the file. Raises `InvalidConfiguration`, `VettingUnavailable`."""
    return asyncio.run(_pinned(asked))


async def _pinned(asked: Asked) -> str:
    async with AsyncExitStack() as stack:
        template = None if asked.template is None else read_template(asked.template, asked.namespace or "default")
        if template is not None and not asked.also and not references(template.document):
            run = PinRun(None)  # a template that leads to nothing needs no cluster
        else:
            run = PinRun(await stack.enter_async_context(_cluster(asked)))
        entry: dict[str, Any]
        if template is not None:
            document = template.document
            entry = {"template": {"file": str(asked.template), "digest": f"sha256:{template.digest}"}}
        else:
            document = await run.read(ObjectName("batch/v1", CRON_JOB, str(asked.cron_job)))
            entry = {"cron_job": {"name": asked.cron_job, "digest": digest_of(document)}}
        if pins := await run(document, asked.also):
            entry["pins"] = [_said(pin) for pin in pins]
    return yaml.safe_dump(entry, sort_keys=False).strip()


def _cluster(asked: Asked) -> "KubernetesObjects":
    # The client takes more than a second to import.
    from service.adapters.cluster_objects import KubernetesObjects  # noqa: PLC0415
    from service.adapters.kubernetes_credentials import find_credentials  # noqa: PLC0415

    credentials = find_credentials(asked.kubeconfig, asked.context)
    return KubernetesObjects(credentials, asked.namespace or credentials.namespace())


def _said(pin: Pin) -> dict[str, str]:
    named = pin.named
    return {"api_version": named.api_version, "kind": named.kind, "name": named.name, "digest": pin.digest}
