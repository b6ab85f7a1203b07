"""The composition root's part for rows that have labels: who gives them, and who gives the rows back."""

from fastapi import APIRouter

from service.adapters.log import RedisJudgedBatches, RedisQuarantine, RedisVerdictLog
from service.adapters.reference_store import RedisRegistrations
from service.adapters.store import Client, Keys
from service.http.routes import rows
from service.usecases.export_rows import ExportRows
from service.usecases.fitted_models import FittedModels
from service.usecases.label_rows import LabelRows
from service.usecases.read_quarantine import ReadQuarantine
from service.usecases.registered_models import RegisteredModels


def label_rows(redis: Client, keys: Keys, fitted: FittedModels) -> LabelRows:
    """For an evaluator."""
    return LabelRows(fitted, RedisJudgedBatches(redis, keys), RedisQuarantine(redis, keys))


def row_routes(
    redis: Client,
    keys: Keys,
    known: RegisteredModels,
    registrations: RedisRegistrations,
    verdicts: RedisVerdictLog,
    fitted: FittedModels,
    horizon: int,
) -> APIRouter:
    """Exports and the quarantine; `horizon` is the evaluators' own."""
    export = ExportRows(known, registrations, verdicts, RedisJudgedBatches(redis, keys), fitted, horizon)
    return rows.routes(export, ReadQuarantine(known, RedisQuarantine(redis, keys)))
