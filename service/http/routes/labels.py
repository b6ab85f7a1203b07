"""/v1/models/{model}/labels: what was true of inferences that were observed before."""

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Request
from pydantic import Field, TypeAdapter

from service.domain.errors import Fault, InvalidInput, InvalidLabels, UnreadableBody
from service.domain.models import model_name
from service.http.bodies import Bodies
from service.http.document import Document
from service.http.formats.content_coding import refuse_coded
from service.http.formats.json_document import read_document, require_json
from service.http.routes import in_one_piece, problems
from service.http.routes.models import ModelPath
from service.http.routes.observations import MAXIMUM_KEY
from service.telemetry.tracing import checked_traceparent
from service.usecases.join_labels import BatchLabels, JoinLabels

MAXIMUM_BATCHES = 1_000
MAXIMUM_LABELS = 100_000
MAXIMUM_COMMAS = MAXIMUM_LABELS + 2 * MAXIMUM_BATCHES
"""Between members and batches, too. Looked for before anything is parsed, which holds everybody else up."""
_EXAMPLE = '{"labels": [{"id": "2026-01-31-0007", "values": [1, 0, null]}]}'
Label = Annotated[float, Field(strict=True, allow_inf_nan=False)] | None


class LabelsOfABatch(Document):
    """What was true, of each row of one batch."""

    id: Annotated[str, Field(min_length=1, max_length=MAXIMUM_KEY)]
    """The name that the batch was sent under (`Idempotency-Key`, `ce-id`)."""
    values: Annotated[list[Label], Field(min_length=1)]
    """One for each of its rows, in their order; null where it is not known."""


class Labels(Document):
    """Of several batches."""

    labels: Annotated[list[LabelsOfABatch], Field(min_length=1, max_length=MAXIMUM_BATCHES)]


class JoinedView(Document):
    """What became of the labels."""

    batches: int
    """Whose labels were joined with their predictions; those that were sent before are among them, and count once."""
    rows: int
    """Labels of these."""
    unknown: list[str]
    """Places of those of whose batch nothing is kept: it did not come yet, or is too long ago."""
    conflicting: list[str]
    """Places of those whose batch had other labels before, which are the ones that count."""


_LABELS: TypeAdapter[Labels] = TypeAdapter(Labels)
_BODY: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": in_one_piece(Labels)}}}
}


def routes(join: JoinLabels, bodies: Bodies) -> APIRouter:
    """The route over its use case."""
    router = APIRouter(prefix="/v1/models/{model}", tags=["observations"])

    @router.post("/labels", responses=problems(400, 404, 408, 413, 415, 422, 429, 503), openapi_extra=_BODY)
    async def post_labels(model: ModelPath, request: Request) -> JoinedView:
        """Hand in what turned out to be true. Labels are told apart by their batches' names, and count once."""
        name, headers = model_name(model), request.headers
        refuse_coded(headers.get("content-encoding"))
        require_json(headers.get("content-type"))
        async with bodies.held(name, request) as body:
            read = await bodies.read(name, None, body, _read)
            joined = await join(name, read, checked_traceparent(headers.get("traceparent")))
        return JoinedView(
            batches=joined.batches,
            rows=joined.rows,
            unknown=[f"labels[{place}]" for place in joined.unknown],
            conflicting=[f"labels[{place}]" for place in joined.conflicting],
        )

    return router


def _read(body: bytes) -> list[BatchLabels]:
    if body.count(b",") > MAXIMUM_COMMAS:
        message = f"has more than {MAXIMUM_LABELS} labels: send them in several requests"
        raise InvalidLabels(Fault("body", message))
    try:
        read = read_document(_LABELS, body, _EXAMPLE)
    except UnreadableBody:
        raise
    except InvalidInput as error:
        raise InvalidLabels(*error.faults) from error
    return [BatchLabels(each.id, np.array(each.values, dtype=np.float64)) for each in read.labels]
