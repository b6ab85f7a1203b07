"""/v1/models/{model}/observations: the way in."""

from typing import Annotated
from uuid import uuid4

from anyio import to_thread
from fastapi import APIRouter, Header, Request

from service.domain.errors import Fault, InvalidBatch, InvalidInput, UnsupportedFormat
from service.domain.models import model_name
from service.http.formats import read_table, refuse_coded
from service.http.formats.table import Table
from service.http.routes import problems
from service.http.routes.models import BODIES, ModelPath
from service.http.schemas import Acknowledgement
from service.telemetry.metrics import Metrics
from service.telemetry.tracing import checked_traceparent
from service.usecases.observe_batch import Observations, ObserveBatch

MAXIMUM_KEY = 200
PARSED_ON_THE_LOOP = 128 * 2**10
"""Bytes. Handing a smaller body to a thread costs more than parsing it."""


def routes(observe: ObserveBatch, metrics: Metrics) -> APIRouter:
    """The ingest route over its use case."""
    router = APIRouter(prefix="/v1/models/{model}", tags=["observations"])

    @router.post("/observations", responses=problems(400, 404, 413, 415, 422, 429, 503), openapi_extra=BODIES)
    async def post_observations(
        model: ModelPath,
        request: Request,
        idempotency_key: Annotated[
            str | None, Header(description="Any name for this batch: sent twice under the same name, it counts once.")
        ] = None,
    ) -> Acknowledgement:
        """Hand in the features of inferences. The answer means that they are in the log; tests follow by themselves."""
        with metrics.ingest_seconds.time():
            name = model_name(model)
            identifier = _identifier(idempotency_key)
            table = await _table(request)
            observations = Observations(table.rows, table.features, table.observed_at, table.times)
            traceparent = checked_traceparent(request.headers.get("traceparent"))
            position = await observe(name, identifier, observations, traceparent)
        return Acknowledgement(batch=identifier, rows=len(table.rows), position=position)

    return router


def _identifier(key: str | None) -> str:
    if key is None:
        return uuid4().hex
    if not 1 <= len(key) <= MAXIMUM_KEY or not key.isascii() or not key.isprintable():
        message = f"must be 1 to {MAXIMUM_KEY} printable ASCII characters"
        raise InvalidBatch(Fault("Idempotency-Key", message))
    return key


async def _table(request: Request) -> Table:
    refuse_coded(request.headers.get("content-encoding"))
    body = await request.body()
    content_type = request.headers.get("content-type")
    try:
        if len(body) <= PARSED_ON_THE_LOOP:
            return read_table(content_type, body)
        return await to_thread.run_sync(read_table, content_type, body)
    except UnsupportedFormat:
        raise
    except InvalidInput as error:
        raise InvalidBatch(*error.faults) from error
