"""The part of the composition root for what people ask and say of retraining, and for what is handed out of it."""

from dataclasses import dataclass

from fastapi import APIRouter

from service.adapters.artifacts.elliptic_keys import signature_holds
from service.adapters.artifacts.service_key import read_service_key
from service.http.admission import Admission
from service.http.bodies import Bodies, BodyBounds
from service.http.routes import retrainings
from service.ports import Clock, ObservationLog, RetrainingRecord, Runs, VerdictLog, Vetting
from service.settings import Settings
from service.usecases.read_retraining import ReadRetraining
from service.usecases.registered_models import RegisteredModels
from service.usecases.retrain_by_hand import RetrainByHand
from service.usecases.sign_events import SignEvents
from service.usecases.steer_runs import SteerRuns


@dataclass(frozen=True, slots=True)
class Target:
    """What a process that starts runs has beside the record."""

    vetting: Vetting | None = None
    runs: Runs | None = None


def retraining_routes(
    settings: Settings,
    known: RegisteredModels,
    record: RetrainingRecord,
    verdicts: VerdictLog,
    log: ObservationLog,
    clock: Clock,
    target: Target,
    admission: Admission,
) -> list[APIRouter]:
    """Raises `InvalidConfiguration`."""
    key = read_service_key(settings.trigger.signing_key_file)
    read = ReadRetraining(known, record, verdicts, clock, key)
    sign = None if key is None else SignEvents(key, signature_holds)
    by_hand = RetrainByHand(known, record, clock, target.vetting, sign)
    steer = SteerRuns(read, record, log, target.runs, clock)
    bodies = Bodies(admission, BodyBounds(retrainings.MAXIMUM_BODY_BYTES, settings.http.body_seconds))
    return [retrainings.reading(read), retrainings.acting(by_hand, steer, bodies)]
