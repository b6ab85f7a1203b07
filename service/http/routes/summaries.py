"""/v1/models/{model}/summaries: the way in for senders that keep their rows to themselves."""

import hashlib
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request

from service.domain.errors import Fault, UnsupportedFormat
from service.domain.models import model_name
from service.http.admission import Admission
from service.http.bodies import Bodies
from service.http.formats.content_coding import refuse_coded
from service.http.formats.json_document import media_type_of
from service.http.routes import problems
from service.http.routes.models import ModelPath
from service.http.routes.observations import headers_of, identifier_of
from service.http.schemas import Acknowledgement
from service.telemetry.tracing import checked_traceparent
from service.usecases.observe_batch import ObserveBatch

MEDIA_TYPE = "application/vnd.driftwarden.summaries"
_BODY: dict[str, Any] = {
    "requestBody": {"required": True, "content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}}
}


def routes(observe: ObserveBatch, admission: Admission, bodies: Bodies) -> APIRouter:
    """The route over its use case. One request stands for many rows, so that the framework's own work is no matter."""
    router = APIRouter(prefix="/v1/models/{model}", tags=["observations"])

    @router.post("/summaries", responses=problems(400, 404, 408, 409, 413, 415, 422, 429, 503), openapi_extra=_BODY)
    async def post_summaries(
        model: ModelPath,
        request: Request,
        idempotency_key: Annotated[  # noqa: ARG001 - read from the headers
            str | None,
            Header(description="Any name for these summaries: sent again under the same name, they count once."),
        ] = None,
    ) -> Acknowledgement:
        """Hand in summaries of rows, made for the model's current reference and plan (`window.keep: summaries`)."""
        name, headers = model_name(model), headers_of(request.scope)
        identifier, named = identifier_of(headers)
        refuse_coded(headers.get(b"content-encoding"))
        if media_type_of(headers.get(b"content-type")) != MEDIA_TYPE:
            raise UnsupportedFormat(Fault("Content-Type", f"must be {MEDIA_TYPE}"))
        with admission.place(name, bodies.size(headers.get(b"content-length"), None)):
            body = await bodies.receive(request.receive)
            digest = hashlib.sha256(body).digest() if named else None
            traceparent = checked_traceparent(headers.get(b"traceparent"))
            taken = await observe.summarised(name, identifier, body, traceparent, digest)
        return Acknowledgement(batch=identifier, rows=taken.rows, position=taken.position)

    return router
