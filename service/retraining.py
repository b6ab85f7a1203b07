"""The part of the composition root that opens what starts retraining."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from service.adapters.trigger.dry_run import DryRunTrigger
from service.adapters.trigger.template import SHIPPED_TEMPLATE, read_template
from service.ports import Trigger
from service.settings import TriggerSettings

_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True, slots=True)
class OpenedTrigger:
    """A trigger, and the file that its template was read from."""

    trigger: Trigger
    template: Path
    digest: str


async def open_trigger(settings: TriggerSettings, stack: AsyncExitStack) -> OpenedTrigger:
    """Raises `InvalidConfiguration`."""
    path = settings.template or SHIPPED_TEMPLATE
    if settings.kind == "dry_run":
        template = read_template(path, settings.namespace or _own_namespace())
        return OpenedTrigger(DryRunTrigger(template), path, template.digest)
    # The client takes more than a second to import, and a dry run does not need it.
    from service.adapters.kubernetes_credentials import find_credentials  # noqa: PLC0415
    from service.adapters.trigger.kubernetes_object import KubernetesObjectTrigger  # noqa: PLC0415

    credentials = find_credentials(settings.kubeconfig, settings.context)
    template = read_template(path, settings.namespace or credentials.namespace())
    trigger = KubernetesObjectTrigger(template, credentials, request_timeout_s=settings.timeout_seconds)
    return OpenedTrigger(await stack.enter_async_context(trigger), path, template.digest)


def _own_namespace() -> str:
    try:
        return _NAMESPACE_FILE.read_text().strip()
    except OSError:
        return "default"
