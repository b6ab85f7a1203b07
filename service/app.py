"""The composition root: settings -> adapters -> use cases -> application. The only place that knows all of them."""

import logging
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from os import environ
from typing import Literal

import anyio
from anyio import CapacityLimiter
from fastapi import APIRouter, FastAPI

from detectors.alibi.engine import LICENCE_NOTICE, alibi_detect
from detectors.arrays import Backend, open_backend
from detectors.errors import BackendUnavailable, EngineUnavailable
from service.access import Entrance, open_entrance
from service.adapters.claims import RedisClaims, RedisSigns
from service.adapters.embedded_store import running_store
from service.adapters.embedded_watch import EmbeddedStoreWatch
from service.adapters.log import (
    RedisPredictions,
)
from service.adapters.store import connection, is_writable
from service.adapters.trigger.template import MAXIMUM_BYTES
from service.after_runs import look_after_retraining
from service.custody import Target, retraining_routes
from service.domain.errors import DriftwardenError, InvalidConfiguration, StoreLost
from service.domain.integrity.statement import Kind
from service.domain.models import ModelName
from service.domain.pairing import Pairs
from service.domain.sharing import Outlook
from service.http import errors
from service.http.admission import Admission
from service.http.authentication import AuthenticationFirst
from service.http.before_framework import TakenFirst
from service.http.bodies import Bodies, BodyBounds
from service.http.limits import BodyLimits
from service.http.logged_events import LoggedEvents
from service.http.routes import (
    bearer,
    events,
    integrity,
    labels,
    management,
    models,
    observations,
    operations,
    registrations,
    summaries,
)
from service.http.routes.events import TakeEvents
from service.http.routes.observations import TakeObservations
from service.integrity import open_integrity, pinned_template
from service.labelled_rows import label_rows, row_routes
from service.opened_store import Stores, acknowledging, finish, open_stores, store_access
from service.ports import Appends
from service.publishing import open_publishing
from service.retraining import OpenedTrigger, deliver_actions, open_trigger
from service.settings import ComputeSettings, HttpSettings, Settings, StoreSettings
from service.sidecar import OwnStore, Sidecar, open_sidecar, refuse_what_no_sidecar_can, settle_down
from service.telemetry.metrics import Metrics
from service.telemetry.tracing import Tracing
from service.usecases.deliver_actions import Kept
from service.usecases.evaluate_rows import EvaluateRows
from service.usecases.evaluate_window import EvaluateWindow, Tuning
from service.usecases.fitted_models import FittedModels
from service.usecases.forget_model import ForgetModel
from service.usecases.join_labels import JoinLabels
from service.usecases.keep_watch import KeepWatch, Pace, Task
from service.usecases.observe_batch import ObserveBatch
from service.usecases.observe_event import ObserveEvent
from service.usecases.read_integrity import ReadIntegrity
from service.usecases.read_registrations import ReadRegistrations
from service.usecases.read_verdicts import ReadVerdicts
from service.usecases.register_model import RegisterModel
from service.usecases.registered_models import RegisteredModels
from service.usecases.share_work import Evaluator, SharedWork
from service.usecases.steady_clock import SteadyClock
from service.usecases.tell_integrity import TellIntegrity
from service.usecases.tell_retraining import TellRetraining
from service.usecases.trusted_registrations import TrustedRegistrations
from service.usecases.watch_artifacts import WatchArtifacts

VERSION = version("driftwarden")
_log = logging.getLogger(__name__)
_TURN_SECONDS = 0.0005
"""A thread that fits, summarises or tests gives the interpreter back to the event loop after so long: the usual 5 ms,
several times a request, would be most of what an acknowledgement takes."""


@dataclass(frozen=True, slots=True)
class Role:
    """What this process does of what the service does; chosen on the command line."""

    ingests: bool = True
    """Takes references, plans and observations, and shows verdicts."""
    evaluates: bool = True
    """Judges windows and delivers actions."""
    name: str = "one of its kind"
    """Of this evaluator: nobody else's at the same time, and the same again after a restart."""
    forwards: bool = False
    """Takes observations, and hands them on to a central service instead of judging them."""

    @property
    def title(self) -> str:
        if self.forwards:
            return "sidecar"
        if not self.evaluates:
            return "ingest only"
        return "everything" if self.ingests else "worker"


@dataclass(frozen=True, slots=True)
class _Instruments:
    metrics: Metrics
    tracing: Tracing


@dataclass(frozen=True, slots=True)
class _Watched:
    artifacts: WatchArtifacts
    registrations: TrustedRegistrations
    tell: TellRetraining


@asynccontextmanager
async def running(settings: Settings, role: Role = Role()) -> AsyncIterator[FastAPI]:
    """The application with its store, connections and loops, while the context lasts.

    `app.state.stop_begins` is to be called when no more requests are taken; `app.state.tls` is what the server speaks
    TLS with, and `app.state.side` the application of the metrics port, each None if there is none. Raises
    `InvalidConfiguration`, `StoreLost`.
    """
    _refuse_what_cannot_be(settings, role)
    backend = _backend(settings.compute)
    metrics = _metrics(settings)
    async with AsyncExitStack() as stack:
        # A worker has nothing that anybody could ask for but its metrics.
        entrance = await open_entrance(settings, metrics, stack) if role.ingests else Entrance(None, None, ())
        url, store_watch = _store(settings.store, metrics, stack)
        redis = await stack.enter_async_context(
            connection(url, settings.store.timeout_seconds, store_access(settings.store))
        )
        tracing = Tracing(VERSION, export=_traces_wanted())
        stack.callback(tracing.close)
        # A process that judges nothing starts nothing, and needs no permission to.
        trigger = await open_trigger(settings.trigger, stack) if role.evaluates else None
        pinned = None if trigger is None else trigger.pinned
        kept = [] if pinned is None else [pinned_template(*pinned, MAXIMUM_BYTES)]
        publish = await open_publishing(settings.events, metrics, stack)
        tell = TellIntegrity(metrics, tracing, _now, publish.announce)
        artifacts = open_integrity(settings.integrity, kept, tell)
        tell_retraining = TellRetraining(metrics, publish.announce)
        stores = open_stores(
            settings.store, redis, await acknowledging(settings.store, redis), tell_retraining, forwards=role.forwards
        )
        stack.push_async_callback(finish, stores.observations, settings.http.drain_seconds)
        sidecar = None
        if role.forwards:
            own = OwnStore(redis, stores.keys, stores.registrations, stores.observations)
            sidecar = await open_sidecar(settings, own, metrics, stack)
        watched = _Watched(artifacts, _trusted(settings, stores, metrics), tell_retraining)
        app, watch = _wire(settings, role, stores, trigger, watched, _Instruments(metrics, tracing), backend, sidecar)
        if entrance.admit is not None:
            # Added last: outermost.
            app.add_middleware(AuthenticationFirst, admit=entrance.admit, monotonic=time.monotonic)
        app.state.tls = entrance.tls
        if role.ingests:
            stack.push_async_callback(app.state.finish_events, settings.http.drain_seconds)  # before the log's
        app.state.stop_begins = store_watch.stop_begins if store_watch is not None else _nothing_to_do
        with _plain(StoreLost):
            async with anyio.create_task_group() as tasks:
                keeping = (
                    store_watch,
                    watch,
                    None if sidecar is None else sidecar.keep,
                    artifacts,
                    publish,
                    watched.registrations,
                )
                for loop in (*(each.run for each in keeping if each is not None), *entrance.watches):
                    tasks.start_soon(loop)
                sys.setswitchinterval(_TURN_SECONDS)
                if sidecar is not None:
                    settle_down()
                try:
                    yield app
                    if sidecar is not None:
                        await sidecar.keep.flush()
                finally:
                    tasks.cancel_scope.cancel()


def _refuse_what_cannot_be(settings: Settings, role: Role) -> None:
    if role.forwards:
        refuse_what_no_sidecar_can(settings)
    elif settings.store.url is None and not (role.ingests and role.evaluates):
        raise InvalidConfiguration(
            "one process that takes observations and another that judges them share a store, and the embedded one "
            "belongs to one process: give both the same DRIFT_STORE__URL"
        )


def _store(settings: StoreSettings, metrics: Metrics, stack: AsyncExitStack) -> tuple[str, EmbeddedStoreWatch | None]:
    """Where it is, and who looks after it if it is ours."""
    if settings.url is not None:
        return settings.url, None
    always = settings.acknowledge == "fsync"
    store = stack.enter_context(running_store(settings.embedded_directory, fsync_always=always))
    return store.url, EmbeddedStoreWatch(store, metrics.embedded_store_restarts.inc, time.monotonic)


@contextmanager
def _plain(kind: type[DriftwardenError]) -> Iterator[None]:
    """An error of that kind out of a group of tasks as itself, for the command line to say."""
    try:
        yield
    except BaseExceptionGroup as group:
        found = group.subgroup(kind)
        if found is None:
            raise
        raise next(error for error in found.exceptions if isinstance(error, kind)) from None


def _nothing_to_do() -> None:
    """The store of somebody else is not ours to leave alone."""


def _metrics(settings: Settings) -> Metrics:
    metrics = Metrics(settings.telemetry.max_models, settings.telemetry.max_features)
    metrics.log_limit_batches.set(settings.store.max_waiting_batches)
    metrics.log_kept_batches.set(settings.store.retained_batches if settings.store.retained_bytes else 0)
    return metrics


def _backend(settings: ComputeSettings) -> Backend:
    if settings.alibi_detect:
        try:
            alibi_detect()
        except EngineUnavailable as error:
            raise InvalidConfiguration(f"DRIFT_COMPUTE__ALIBI_DETECT: {error}") from error
        _log.warning("alibi-detect is switched on. %s", LICENCE_NOTICE)
    try:
        return open_backend(settings.library, settings.device)
    except BackendUnavailable as error:
        raise InvalidConfiguration(f"DRIFT_COMPUTE__LIBRARY, DRIFT_COMPUTE__DEVICE: {error}") from error


def _wire(
    settings: Settings,
    role: Role,
    stores: Stores,
    trigger: OpenedTrigger | None,
    watched: _Watched,
    instruments: _Instruments,
    backend: Backend,
    sidecar: Sidecar | None,
) -> tuple[FastAPI, KeepWatch | None]:
    metrics, tracing = instruments.metrics, instruments.tracing
    trusted = watched.registrations
    fitted = FittedModels(trusted, CapacityLimiter(1), backend, trusted.refuse_untrusted)
    watch = None if trigger is None else _watch(settings, role, stores, trigger, watched, instruments, fitted)
    read_integrity = ReadIntegrity(watched.artifacts, watched.registrations)

    async def check_ready() -> None:
        read_integrity.refuse_unless_own_files_hold()
        await is_writable(stores.redis, stores.keys)

    app = FastAPI(
        title="Driftwarden",
        version=VERSION,
        summary="Drift detection and model integrity for models on Kubernetes.",
        redoc_url=None,
        redirect_slashes=False,  # to wherever a Host header says
    )
    app.add_middleware(
        BodyLimits, max_body_bytes=settings.http.max_body_bytes, max_reference_bytes=settings.http.max_reference_bytes
    )
    errors.install(app)
    if role.ingests:
        known: RegisteredModels = RegisteredModels(stores.registrations, time.monotonic)
        log: Appends = stores.observations
        notify = watch.rows_came if watch is not None else _nobody_here
        if sidecar is not None:
            known, log, notify = sidecar.models, sidecar.backlog, sidecar.keep.rows_came
        observe = ObserveBatch(known, fitted, log, notify, SteadyClock(_now, time.monotonic), metrics, tracing)
        admission = Admission(settings.http.max_requests, settings.http.max_bytes_under_way)
        bodies = Bodies(admission, BodyBounds(settings.http.max_body_bytes, settings.http.body_seconds))
        described = _ways_in(app, settings.http, known, observe, admission, bodies, metrics)
        described += [integrity.routes(read_integrity)]
        if sidecar is None:
            described += [summaries.routes(observe, admission, bodies)]
            predictions = RedisPredictions(stores.redis, stores.keys)
            described += [labels.routes(JoinLabels(known, predictions, log, notify, metrics, tracing), bodies)]
            described += _manage(settings, stores, watched, known, fitted, admission, bodies)
            target = Target() if trigger is None else Target(trigger.vetting, trigger.runs)
            kept = (stores.record, stores.verdicts, stores.observations)
            described += retraining_routes(settings, known, *kept, _now, target, admission)
        for routes in described:
            app.include_router(routes, dependencies=bearer.DESCRIBED, responses=bearer.REFUSALS)
    apart = role.ingests and settings.http.metrics_port is not None
    check_integrity = read_integrity.refuse_unless_ready
    app.include_router(operations.routes(check_ready, check_integrity, None if apart else metrics))
    app.state.side = _side(operations.routes(check_ready, check_integrity, metrics)) if apart else None
    return app, watch


def _side(routes: APIRouter) -> FastAPI:
    """What is served on a port of its own to whoever reaches that."""
    side = FastAPI(title="Driftwarden", version=VERSION, openapi_url=None)
    errors.install(side)
    side.include_router(routes)
    return side


def _ways_in(
    app: FastAPI,
    http: HttpSettings,
    known: RegisteredModels,
    observe: ObserveBatch,
    admission: Admission,
    bodies: Bodies,
    metrics: Metrics,
) -> list[APIRouter]:
    """For rows: the ways that are hot are taken before the framework, in front of what is there already."""
    pairs = Pairs(http.pair_seconds, http.pair_bytes)
    observe_event = ObserveEvent(known, observe, pairs, time.monotonic, metrics)
    logged = LoggedEvents(observe_event, bodies, metrics, time.monotonic)
    app.state.finish_events = logged.finish
    take_events = TakeEvents(logged, admission, bodies)
    app.add_middleware(TakenFirst, path=events.PATH, take=take_events)
    take = TakeObservations(observe, metrics, admission, bodies)
    app.add_middleware(TakenFirst, path=observations.PATH, take=take)
    return [observations.routes(take), events.routes(take_events)]


def _manage(
    settings: Settings,
    stores: Stores,
    watched: _Watched,
    known: RegisteredModels,
    fitted: FittedModels,
    admission: Admission,
    bodies: Bodies,
) -> list[APIRouter]:
    """Registrations, verdicts and rows, which a sidecar has none of."""
    engines = settings.compute.alibi_detect
    register = RegisterModel(stores.registrations, known, fitted, stores.observations, _now, optional_engines=engines)
    read_verdicts = ReadVerdicts(known, stores.verdicts, stores.deliveries)
    evaluate = EvaluateRows(known, fitted, CapacityLimiter(1))
    horizon = settings.store.kept_batches
    return [
        models.routes(register, read_verdicts, bodies, _references(settings.http)),
        registrations.routes(ReadRegistrations(watched.registrations, fitted)),
        management.routes(
            register, ForgetModel(stores.registrations, known, stores.record, _now), evaluate, admission, bodies
        ),
        row_routes(stores.redis, stores.keys, known, stores.registrations, stores.verdicts, fitted, horizon),
    ]


def _references(http: HttpSettings) -> Bodies:
    """Room of their own, for two of the largest and what is spared, and as much time for each byte as batches have."""
    seconds = http.body_seconds * max(1.0, http.max_reference_bytes / http.max_body_bytes)
    admission = Admission(http.max_requests, 3 * http.max_reference_bytes)
    return Bodies(admission, BodyBounds(http.max_reference_bytes, seconds))


def _trusted(settings: Settings, stores: Stores, metrics: Metrics) -> TrustedRegistrations:
    return TrustedRegistrations(stores.registrations, settings.integrity.reference_seconds, time.monotonic, metrics)


def _evaluate_window(
    settings: Settings,
    stores: Stores,
    trigger: OpenedTrigger,
    watched: _Watched,
    instruments: _Instruments,
    fitted: FittedModels,
) -> EvaluateWindow:
    return EvaluateWindow(
        registrations=watched.registrations,
        fitted=fitted,
        log=stores.observations,
        verdicts=stores.verdicts,
        clock=_now,
        metrics=instruments.metrics,
        tracing=instruments.tracing,
        tuning=Tuning(
            CapacityLimiter(settings.evaluation.threads),
            settings.store.kept_batches,
            time.monotonic,
            settings.store.retained_batches,
            label_rows(stores.redis, stores.keys, fitted),
            trigger.events,
            watched.tell.drift,
        ),
    )


def _watch(
    settings: Settings,
    role: Role,
    stores: Stores,
    trigger: OpenedTrigger,
    watched: _Watched,
    instruments: _Instruments,
    fitted: FittedModels,
) -> KeepWatch:
    metrics, tracing = instruments.metrics, instruments.tracing
    artifacts = watched.artifacts
    evaluate = _evaluate_window(settings, stores, trigger, watched, instruments, fitted)
    deliver = deliver_actions(
        settings.trigger,
        trigger,
        watched.registrations,
        Kept(stores.verdicts, stores.deliveries, stores.record),
        lambda: artifacts.refuse_unless_verified(lambda target: target.kind is Kind.TEMPLATE),
        _now,
        metrics,
        tracing,
    )

    look_after = look_after_retraining(
        settings, stores, watched.registrations, fitted, deliver, trigger.runs, _now, metrics
    )

    async def evaluate_one(model: ModelName) -> Outlook:
        if await evaluate(model):
            return Outlook.MORE
        return Outlook.LATER if evaluate.awaits_silence(model) else Outlook.NOTHING

    def forget(model: ModelName) -> None:
        evaluate.forget(model)
        look_after.forget(model)

    evaluation = settings.evaluation
    return KeepWatch(
        stores.registrations,
        Task(evaluate_one, evaluate.follow, _shared("evaluation", settings, role, stores, metrics)),
        Task(look_after, deliver.follow, _shared("delivery", settings, role, stores, metrics), look_after.run),
        forget,
        Pace(evaluation.poll_seconds, evaluation.claim_seconds, evaluation.threads, time.monotonic),
        metrics,
    )


def _shared(
    work: Literal["evaluation", "delivery"], settings: Settings, role: Role, stores: Stores, metrics: Metrics
) -> SharedWork:
    # Nobody else can be at an embedded store; whoever was there before is gone.
    name = role.name if settings.store.url is not None else "the only one"
    evaluator = Evaluator(name, settings.evaluation.claim_seconds)
    redis, keys = stores.redis, stores.keys
    signs = {
        "evaluation": RedisSigns(redis, (keys.observations, keys.registrations), keys.verdicts),
        "delivery": RedisSigns(redis, (keys.verdicts, keys.retraining), keys.retraining),
    }
    claims = RedisClaims(redis, keys, work, evaluator.name, evaluator.claim_seconds)
    return SharedWork(work, claims, signs[work], evaluator, time.monotonic, metrics)


def _nobody_here(model: ModelName) -> None:
    """Rows are judged by another process, which looks by itself."""


def _traces_wanted() -> bool:
    # The names are the OpenTelemetry specification's, read by its SDK as well; so they are no settings of ours.
    endpoint = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    return bool(endpoint) and environ.get("OTEL_SDK_DISABLED", "").lower() != "true"


def _now() -> datetime:
    return datetime.now(UTC)
