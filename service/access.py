"""The part of the composition root that decides who is let in."""

import logging
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from service.adapters.access.callers_file import CallersFile
from service.domain.errors import InvalidConfiguration
from service.http.tls import RenewedTls, ServerFiles
from service.settings import AuthenticationSettings, HttpSettings, Settings
from service.telemetry.metrics import Metrics
from service.usecases.admit_caller import AdmitCaller, Way

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Entrance:
    """What stands before the application."""

    admit: AdmitCaller | None
    """None: callers are not authenticated."""
    tls: RenewedTls | None
    watches: tuple[Callable[[], Coroutine[Any, Any, None]], ...]
    """To be run as long as the application is: they notice files that change."""


async def open_entrance(settings: Settings, metrics: Metrics, stack: AsyncExitStack) -> Entrance:
    """Says in the log how callers are authenticated, or that they are not. Raises `InvalidConfiguration`."""
    tls = _tls(settings.http)
    watches = [] if tls is None else [tls.watch]
    wanted = settings.authentication
    if wanted.mode == "none" or (wanted.callers_file is None and wanted.kubernetes_audience is None):
        _say_that_nobody_is_asked(settings)
        return Entrance(None, tls, tuple(watches))
    ways: list[Way] = []
    told: list[str] = []
    anonymous = False
    if wanted.callers_file is not None:
        file = CallersFile(wanted.callers_file)
        ways.append(file)
        watches.append(file.watch)
        anonymous = file.anonymous
        told.append(f"{file.callers} credentials in {wanted.callers_file}")
    if wanted.kubernetes_audience is not None:
        ways.append(await _kubernetes(wanted, wanted.kubernetes_audience, metrics, stack))
        told.append(f"Kubernetes tokens for the audience {wanted.kubernetes_audience}")
    _log.info("callers are authenticated by %s", " and ".join(told))
    if anonymous:
        _log.warning("callers without credentials are let in for what %s grants them", wanted.callers_file)
    if tls is None and not only_this_machine_reaches(settings.http):
        _log.warning("keys and tokens come over plain HTTP: set DRIFT_HTTP__TLS_CERTIFICATE_FILE or let a mesh do TLS")
    return Entrance(
        AdmitCaller(ways, lambda reason: metrics.refused_requests.labels(reason).inc()), tls, tuple(watches)
    )


def only_this_machine_reaches(http: HttpSettings) -> bool:
    """Whether it takes a process that runs here to send it anything."""
    return http.unix_socket is not None or on_this_machine(http.host)


def on_this_machine(host: str) -> bool:
    """Whether only what runs here can reach that address."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _say_that_nobody_is_asked(settings: Settings) -> None:
    if only_this_machine_reaches(settings.http):
        _log.info("callers are not authenticated: only this machine is listened to")
    elif settings.authentication.mode == "none":
        message = (
            "callers are not authenticated (DRIFT_AUTHENTICATION__MODE=none): whoever reaches %s may do everything"
        )
        _log.warning(message, settings.http.host)
    else:
        raise InvalidConfiguration(
            f"others reach DRIFT_HTTP__HOST {settings.http.host}, and nobody would be asked who they are: set "
            "DRIFT_AUTHENTICATION__CALLERS_FILE (`driftwarden key create` makes its lines) or "
            "DRIFT_AUTHENTICATION__KUBERNETES_AUDIENCE, or say DRIFT_AUTHENTICATION__MODE=none"
        )


def _tls(settings: HttpSettings) -> RenewedTls | None:
    if settings.tls_certificate_file is None:
        if settings.tls_key_file is not None or settings.client_ca_file is not None:
            raise InvalidConfiguration("DRIFT_HTTP__TLS_KEY_FILE and CLIENT_CA_FILE want a TLS_CERTIFICATE_FILE")
        return None
    return RenewedTls(ServerFiles(settings.tls_certificate_file, settings.tls_key_file, settings.client_ca_file))


async def _kubernetes(wanted: AuthenticationSettings, audience: str, metrics: Metrics, stack: AsyncExitStack) -> Way:
    # The client takes more than a second to import.
    from service.adapters.access.kubernetes_reviews import KubernetesReviews, Reviewed  # noqa: PLC0415
    from service.adapters.kubernetes_api import KubernetesApi  # noqa: PLC0415
    from service.adapters.kubernetes_credentials import find_credentials  # noqa: PLC0415

    credentials = find_credentials(wanted.kubeconfig, wanted.context)
    namespace = wanted.kubernetes_namespace or credentials.namespace()
    api = await stack.enter_async_context(
        KubernetesApi(credentials, request_timeout_s=wanted.kubernetes_timeout_seconds)
    )
    reviewed = Reviewed(audience, namespace, wanted.kubernetes_seconds, wanted.kubernetes_timeout_seconds)
    reviews = KubernetesReviews(
        api, reviewed, time.monotonic, lambda *labels: metrics.access_reviews.labels(*labels).inc()
    )
    stack.callback(reviews.stop)
    return reviews
