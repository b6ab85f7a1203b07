"""/v1/models/{model}/observations: the way in.

Thousands of these come a second where one comes of everything else, and the framework's own work for a request (five
layers, the search for a route, arguments, response models) is several times that of storing its rows. So they are taken
before the framework; its route below is what describes them.
"""

import hashlib
import re
from functools import partial
from typing import Annotated
from uuid import uuid4

import msgspec
from fastapi import APIRouter, Header, Request
from fastapi.responses import Response
from starlette.types import Receive, Scope

from service.domain.errors import DriftwardenError, Fault, InvalidBatch, InvalidInput, UnreadableBody, UnsupportedFormat
from service.domain.models import ModelName, model_name
from service.http.admission import Admission
from service.http.authentication import SENDER
from service.http.bodies import Bodies
from service.http.errors import BodyTooLarge, answer_to, too_large
from service.http.formats import read_table
from service.http.formats.open_inference import head_bytes
from service.http.formats.table import Table
from service.http.routes import problems
from service.http.routes.examples import BODIES
from service.http.routes.models import ModelPath
from service.http.schemas import Acknowledgement
from service.telemetry.metrics import Metrics
from service.telemetry.tracing import checked_traceparent
from service.usecases.observe_batch import Observations, ObserveBatch

MAXIMUM_KEY = 200
PATH = re.compile(r"/v1/models/(?P<model>[^/]+)/observations")
_LENGTH = b"inference-header-content-length"
_HEADERS = frozenset(
    {b"content-type", b"content-encoding", b"content-length", b"idempotency-key", b"ce-id", b"traceparent", _LENGTH}
)
_to_json = msgspec.json.Encoder().encode


class TakeObservations:
    """One request, from its headers to its acknowledgement."""

    def __init__(self, observe: ObserveBatch, metrics: Metrics, admission: Admission, bodies: Bodies) -> None:
        self._observe = observe
        self._metrics = metrics
        self._admission = admission
        self._bodies = bodies

    async def __call__(self, model: str, scope: Scope, receive: Receive) -> Response:
        """An acknowledgement or a problem; raises `ClientDisconnect`."""
        try:
            with self._metrics.ingest_seconds.time():
                return await self._acknowledged(model_name(model), headers_of(scope), receive, scope.get(SENDER))
        except BodyTooLarge:
            return too_large()
        except DriftwardenError as error:
            return answer_to(error)

    async def _acknowledged(
        self, model: ModelName, headers: dict[bytes, str], receive: Receive, sender: bytes | None
    ) -> Response:
        identifier, named = identifier_of(headers)
        coding = headers.get(b"content-encoding")
        with self._admission.place(model, self._bodies.size(headers.get(b"content-length"), coding)):
            body = await self._bodies.receive(receive)
            keeps_text = await self._observe.keeps_text(model)
            observations = await observations_of(self._bodies, model, headers, body, keeps_text=keeps_text)
            digest = hashlib.sha256(body).digest() if named else None
            del body  # the store may take its time
            traceparent = checked_traceparent(headers.get(b"traceparent"))
            position = await self._observe(model, identifier, observations, traceparent, digest, sender)
        acknowledgement = {"batch": identifier, "rows": len(observations.rows), "position": position}
        return Response(_to_json(acknowledgement), media_type="application/json")


def routes(take: TakeObservations) -> APIRouter:
    """The same for the framework, whose document describes it."""
    router = APIRouter(prefix="/v1/models/{model}", tags=["observations"])

    @router.post(
        "/observations",
        responses=problems(400, 404, 408, 409, 413, 415, 422, 429, 503),
        openapi_extra=BODIES,
        response_model=Acknowledgement,
    )
    async def post_observations(
        model: ModelPath,
        request: Request,
        idempotency_key: Annotated[  # noqa: ARG001 - read from the headers
            str | None,
            Header(description="Any name for this batch: sent again under the same name, it counts once."),
        ] = None,
    ) -> Response:
        """Hand in the features of inferences. The answer means that they are kept; tests follow by themselves."""
        return await take(model, request.scope, request.receive)

    return router


async def observations_of(
    bodies: Bodies, model: ModelName, headers: dict[bytes, str], body: bytes, *, keeps_text: bool
) -> Observations:
    """What is in a body with these headers. Raises `InvalidBatch`, `UnreadableBody`, `UnsupportedFormat`, and more."""
    head = head_bytes(headers.get(_LENGTH))
    read = partial(_table, headers.get(b"content-type"), head, bodies.max_bytes, keeps_text)
    table = await bodies.read(model, headers.get(b"content-encoding"), body, read)
    return Observations(
        table.rows, table.features, table.observed_at, table.times, table.texts, table.place, table.matched
    )


def headers_of(scope: Scope) -> dict[bytes, str]:
    """Those that say what a batch is."""
    return {name: value.decode("latin-1") for name, value in scope["headers"] if name in _HEADERS}


def identifier_of(headers: dict[bytes, str]) -> tuple[str, bool]:
    """The sender's name for the batch, or one made for it; which of the two. Raises `InvalidBatch`."""
    for header, called in ((b"idempotency-key", "Idempotency-Key"), (b"ce-id", "ce-id")):
        key = headers.get(header)
        if key is None:
            continue
        if not 1 <= len(key) <= MAXIMUM_KEY or not key.isascii() or not key.isprintable():
            message = f"must be 1 to {MAXIMUM_KEY} printable ASCII characters"
            raise InvalidBatch(Fault(called, message))
        return key, True
    return uuid4().hex, False


def _table(content_type: str | None, head: int | None, most_bytes: int, keeps_text: bool, body: bytes) -> Table:
    try:
        return read_table(content_type, body, head, most_bytes=most_bytes, keeps_text=keeps_text)
    except (UnreadableBody, UnsupportedFormat):
        raise
    except InvalidInput as error:
        raise InvalidBatch(*error.faults) from error
