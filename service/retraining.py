"""The part of the composition root that opens what starts retraining."""

import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from service.adapters.artifacts.elliptic_keys import signature_holds
from service.adapters.artifacts.service_key import read_service_key
from service.adapters.trigger.dry_run import DryRunTrigger, Rehearsal
from service.adapters.trigger.template import SHIPPED_TEMPLATE, Template
from service.domain.retraining.sources import ALL_OTHERS
from service.ports import Clock, ClusterObjects, Registrations, Runs, Trigger, Vetting
from service.run_sources import RunSources, is_enforced, read_sources
from service.settings import TriggerSettings
from service.telemetry.metrics import Metrics
from service.telemetry.tracing import Tracing
from service.usecases.deliver_actions import BackOff, DeliverActions, Kept, Triggers
from service.usecases.guarded_trigger import GuardedTrigger
from service.usecases.retraining_gate import RetrainingGate
from service.usecases.sign_events import SignEvents
from service.usecases.sign_permissions import SignPermissions
from service.usecases.trigger_by_model import TriggerByModel
from service.usecases.vet_in_background import VetInBackground
from service.usecases.vet_run import CALLERS_WAITING, VetRun

_FRESH_SECONDS = 120.0
_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True, slots=True)
class OpenedTrigger:
    """A trigger, and what vets what it starts."""

    trigger: Trigger
    rehearsal: Trigger
    """Shows what that one would start."""
    vetting: Vetting
    """For callers, who wait for its answer."""
    gate_vetting: Vetting
    """For whoever starts runs, and is not to be held up."""
    pinned: tuple[Path, str] | None
    """File and SHA-256 of the only template, which must stay what it is at start; None: a file pins each."""
    events: SignEvents | None = None
    """None: they are not signed."""
    permissions: SignPermissions | None = None
    """None: they are not, either."""
    runs: Runs | None = None
    """None: nothing is started that could be seen."""


async def open_trigger(settings: TriggerSettings, stack: AsyncExitStack) -> OpenedTrigger:
    """Raises `InvalidConfiguration`."""
    key = read_service_key(settings.signing_key_file)
    events = None if key is None else SignEvents(key, signature_holds)
    permissions = None if key is None else SignPermissions(key, signature_holds)
    fingerprint = None if key is None else key.fingerprint
    if settings.kind == "dry_run":
        sources = read_sources(settings, settings.namespace or _own_namespace(), fingerprint, _now)
        shown = {
            model: DryRunTrigger(each.made_from)
            for model, each in sources.named.items()
            if isinstance(each.made_from, Template)  # a CronJob is refused: it needs a cluster
        }
        vetting, behind = _vettings(sources, None, settings, stack)
        by_model = TriggerByModel(shown)
        pinned = _pinned_at_start(settings, sources)
        return OpenedTrigger(by_model, by_model, vetting, behind, pinned, events, permissions)
    # The client takes more than a second to import, and a dry run does not need it.
    from service.adapters.cluster_objects import KubernetesObjects  # noqa: PLC0415
    from service.adapters.kubernetes_credentials import find_credentials  # noqa: PLC0415
    from service.adapters.trigger.kubernetes_object import KubernetesObjectTrigger  # noqa: PLC0415
    from service.adapters.trigger.kubernetes_runs import KubernetesRuns  # noqa: PLC0415

    credentials = find_credentials(settings.kubeconfig, settings.context)
    namespace, seconds = settings.namespace or credentials.namespace(), settings.timeout_seconds
    sources = read_sources(settings, namespace, fingerprint, _now)
    objects = await stack.enter_async_context(KubernetesObjects(credentials, namespace, request_timeout_s=seconds))
    made_from = {model: each.made_from for model, each in sources.named.items()}
    trigger = KubernetesObjectTrigger(made_from, credentials, request_timeout_s=seconds)
    await stack.enter_async_context(trigger)
    followed = [each.objects for each in made_from.values()]
    runs = await stack.enter_async_context(KubernetesRuns(followed, credentials, request_timeout_s=seconds))
    vetting, behind = _vettings(sources, objects, settings, stack)
    pinned = _pinned_at_start(settings, sources)
    return OpenedTrigger(trigger, Rehearsal(trigger.manifest), vetting, behind, pinned, events, permissions, runs)


def _vettings(
    sources: RunSources, objects: ClusterObjects | None, settings: TriggerSettings, stack: AsyncExitStack
) -> tuple[Vetting, Vetting]:
    """For callers, and for the gate."""
    enforced = is_enforced(settings)
    for_callers = VetRun(sources.source_of, objects, enforced=enforced, most_waiting=CALLERS_WAITING)
    return for_callers, _in_background(VetRun(sources.source_of, objects, enforced=enforced), settings, stack)


def _in_background(vetting: Vetting, settings: TriggerSettings, stack: AsyncExitStack) -> VetInBackground:
    # Whoever tries again after the longest wait still finds the answer.
    fresh_seconds = max(_FRESH_SECONDS, 2 * settings.longest_retry_seconds)
    behind = VetInBackground(vetting, time.monotonic, fresh_seconds)
    stack.callback(behind.close)
    return behind


def deliver_actions(
    settings: TriggerSettings,
    opened: OpenedTrigger,
    registrations: Registrations,
    kept: Kept,
    guard: Callable[[], None],
    clock: Clock,
    metrics: Metrics,
    tracing: Tracing,
) -> DeliverActions:
    """`guard` raises `IntegrityLost` while nothing is to be started."""
    is_ours = (lambda _: True) if opened.events is None else opened.events.is_ours
    return DeliverActions(
        kept=kept,
        gate=RetrainingGate(registrations, kept.verdicts, opened.gate_vetting, is_ours, opened.permissions),
        triggers=Triggers(GuardedTrigger(opened.trigger, guard), opened.rehearsal),
        clock=clock,
        monotonic=time.monotonic,
        back_off=BackOff(settings.first_retry_seconds, settings.longest_retry_seconds),
        metrics=metrics,
        tracing=tracing,
    )


def _pinned_at_start(settings: TriggerSettings, sources: RunSources) -> tuple[Path, str] | None:
    if settings.retrainings is not None:
        return None
    return settings.template or SHIPPED_TEMPLATE, sources.named[ALL_OTHERS].made_from.digest


def _now() -> datetime:
    return datetime.now(UTC)


def _own_namespace() -> str:
    try:
        return _NAMESPACE_FILE.read_text().strip()
    except OSError:
        return "default"
