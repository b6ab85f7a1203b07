"""The part of the composition root that makes a sidecar: rows are taken as ever, and forwarded instead of judged."""

import ctypes
import gc
import random
import time
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass

from anyio import CapacityLimiter

from service.adapters.central import CentralAddress, central_service
from service.adapters.forward_progress import RedisForwardProgress
from service.adapters.store import Client, Keys
from service.domain.errors import InvalidConfiguration
from service.ports import ObservationLog, Registrations
from service.settings import ForwardSettings, Settings
from service.telemetry.metrics import Metrics
from service.usecases.backlog import Backlog, PaneBounds
from service.usecases.deliver_actions import BackOff
from service.usecases.fetched_models import FetchedModels
from service.usecases.forward_observations import Bounds, ForwardObservations
from service.usecases.keep_forwarding import KeepForwarding, Pacing
from service.usecases.summarising_plans import SummarisingPlans

_M_ARENA_MAX = -8
"""In glibc's malloc.h."""


@dataclass(frozen=True, slots=True)
class Sidecar:
    """What takes the place of registrations, log and evaluation."""

    models: FetchedModels
    backlog: Backlog
    keep: KeepForwarding


@dataclass(frozen=True, slots=True)
class OwnStore:
    """The embedded store, which is nobody else's."""

    redis: Client
    keys: Keys
    registrations: Registrations
    observations: ObservationLog


def refuse_what_no_sidecar_can(settings: Settings) -> None:
    """Raise `InvalidConfiguration`, before anything is opened."""
    if settings.forward.url is None:
        raise InvalidConfiguration("a sidecar forwards to a central service: --forward-to, or DRIFT_FORWARD__URL")
    if settings.store.url is not None:
        raise InvalidConfiguration(
            "a sidecar keeps rows in a store of its own until they are forwarded: leave out DRIFT_STORE__URL"
        )
    if settings.store.acknowledge == "memory":
        message = "a sidecar answers for rows that its store has: DRIFT_STORE__ACKNOWLEDGE must be log or fsync"
        raise InvalidConfiguration(message)


async def open_sidecar(settings: Settings, own: OwnStore, metrics: Metrics, stack: AsyncExitStack) -> Sidecar:
    """Nothing is asked of the central service yet. Raises `InvalidConfiguration`, `StoreUnavailable`."""
    _one_heap()
    forward = settings.forward
    central = await stack.enter_async_context(central_service(_address(forward), forward.timeout_seconds))
    progress = RedisForwardProgress(own.redis, own.keys)
    await progress.refuse_another_role()
    await progress.identity()
    engines = settings.compute.alibi_detect
    models = FetchedModels(own.registrations, central, time.monotonic, optional_engines=engines)
    bounds = PaneBounds(forward.pane_seconds, forward.pane_rows)
    backlog = Backlog(own.observations, progress, bounds, forward.max_bytes, time.monotonic, metrics)
    metrics.forward_limit_bytes.set(forward.max_bytes)
    limiter = CapacityLimiter(1)
    plans = SummarisingPlans(own.registrations, limiter, give_back_memory)
    at_once = Bounds(forward.pane_rows, settings.store.kept_batches, limiter)
    step = ForwardObservations(own.registrations, models, own.observations, progress, central, plans, metrics, at_once)
    back_off = BackOff(forward.first_retry_seconds, forward.longest_retry_seconds)
    # Only so that sidecars do not all come at once: nothing else depends on it.
    pacing = Pacing(back_off, forward.refresh_seconds, forward.flush_seconds, random.random, give_back_memory)
    return Sidecar(models, backlog, KeepForwarding(own.registrations, models, backlog, step, pacing, metrics))


def _one_heap() -> None:
    """Threads share it: of those that they would get for themselves, glibc gives nothing back."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def settle_down() -> None:
    """Everything is started: what there is now stays, and need not be looked through for garbage again and again."""
    give_back_memory()
    gc.freeze()


def give_back_memory() -> None:
    """What starting or fitting took and nobody needs any more: beside it is an inference server that can use it."""
    gc.collect()
    with suppress(OSError, AttributeError):  # only glibc keeps so much, and can be told
        ctypes.CDLL(None).malloc_trim(0)


def _address(forward: ForwardSettings) -> CentralAddress:
    assert forward.url is not None  # noqa: S101 - refused before
    return CentralAddress(
        forward.url,
        forward.token_file,
        forward.tls_ca_file,
        forward.tls_certificate_file,
        forward.tls_key_file,
    )
