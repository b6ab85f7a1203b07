"""The part of the composition root for what follows from a run: its end, and a new reference."""

import time

from service.opened_store import Stores
from service.ports import Clock, Registrations, Runs
from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.usecases.attempts import Attempts
from service.usecases.deliver_actions import DeliverActions
from service.usecases.fitted_models import FittedModels
from service.usecases.follow_runs import FollowRuns
from service.usecases.keep_renewing import KeepRenewing
from service.usecases.look_after_retraining import LookAfterRetraining
from service.usecases.register_model import RegisterModel
from service.usecases.registered_models import RegisteredModels
from service.usecases.renew_reference import RenewReference


def look_after_retraining(
    settings: Settings,
    stores: Stores,
    trusted: Registrations,
    fitted: FittedModels,
    deliver: DeliverActions,
    runs: Runs | None,
    clock: Clock,
    metrics: Metrics,
) -> LookAfterRetraining:
    """`runs` None: nothing is started that could be followed."""
    known, engines = RegisteredModels(stores.registrations, time.monotonic), settings.compute.alibi_detect
    register = RegisterModel(stores.registrations, known, fitted, stores.observations, clock, optional_engines=engines)
    horizon = settings.store.kept_batches
    renew = RenewReference(stores.record, trusted, stores.observations, stores.judged, fitted, register, clock, horizon)
    follow = None if runs is None else FollowRuns(runs, stores.record, trusted, clock, time.monotonic, metrics)
    renewing = KeepRenewing(renew, Attempts(metrics), settings.evaluation.poll_seconds)
    return LookAfterRetraining(stores.record, deliver, follow, renewing)
