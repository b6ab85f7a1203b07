"""The part of the composition root that opens what starts retraining."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from service.adapters.artifacts.elliptic_keys import EllipticKey, PassphraseWanted, read_private_key, signature_holds
from service.adapters.trigger.dry_run import DryRunTrigger
from service.adapters.trigger.template import SHIPPED_TEMPLATE, read_template
from service.domain.errors import InvalidConfiguration
from service.ports import Runs, Trigger
from service.settings import TriggerSettings
from service.usecases.sign_events import SignEvents

_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True, slots=True)
class OpenedTrigger:
    """A trigger, and the file that its template was read from."""

    trigger: Trigger
    template: Path
    digest: str
    events: SignEvents | None = None
    """None: they are not signed."""
    runs: Runs | None = None
    """None: nothing is started that could be seen."""


async def open_trigger(settings: TriggerSettings, stack: AsyncExitStack) -> OpenedTrigger:
    """Raises `InvalidConfiguration`."""
    path = settings.template or SHIPPED_TEMPLATE
    key = service_key(settings)
    events = None if key is None else SignEvents(key, signature_holds)
    if settings.kind == "dry_run":
        template = read_template(path, settings.namespace or _own_namespace())
        return OpenedTrigger(DryRunTrigger(template), path, template.digest, events)
    # The client takes more than a second to import, and a dry run does not need it.
    from service.adapters.kubernetes_credentials import find_credentials  # noqa: PLC0415
    from service.adapters.trigger.kubernetes_object import KubernetesObjectTrigger  # noqa: PLC0415
    from service.adapters.trigger.kubernetes_runs import KubernetesRuns  # noqa: PLC0415

    credentials = find_credentials(settings.kubeconfig, settings.context)
    template = read_template(path, settings.namespace or credentials.namespace())
    trigger = KubernetesObjectTrigger(template, credentials, request_timeout_s=settings.timeout_seconds)
    runs = KubernetesRuns([template.objects], credentials, request_timeout_s=settings.timeout_seconds)
    await stack.enter_async_context(trigger)
    await stack.enter_async_context(runs)
    return OpenedTrigger(trigger, path, template.digest, events, runs)


def service_key(settings: TriggerSettings) -> EllipticKey | None:
    """What the service signs with. Raises `InvalidConfiguration`."""
    if settings.signing_key_file is None:
        return None
    try:
        return read_private_key(settings.signing_key_file, None)
    except PassphraseWanted:
        raise InvalidConfiguration(
            "DRIFT_TRIGGER__SIGNING_KEY_FILE is encrypted, and nobody is there to say its passphrase: mount a key "
            "without one from a Secret"
        ) from None
    except InvalidConfiguration as error:
        raise InvalidConfiguration(f"DRIFT_TRIGGER__SIGNING_KEY_FILE: {error}") from error


def _own_namespace() -> str:
    try:
        return _NAMESPACE_FILE.read_text().strip()
    except OSError:
        return "default"
