"""/v1/cloudevents: what loggers of inference servers send by themselves, answered before it is read.

Taken before the framework, as observations are.
"""

import re
from contextlib import ExitStack

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.types import Receive, Scope

from service.domain.errors import DriftwardenError, Fault, InvalidInput
from service.domain.models import ModelName, model_name
from service.http.admission import Admission
from service.http.bodies import Bodies
from service.http.cloud_events import Event, from_body, from_headers, is_structured
from service.http.errors import BodyTooLarge, answer_to, too_large
from service.http.logged_events import Accepted, LoggedEvents
from service.http.routes import problems
from service.http.routes.examples import EVENT_BODIES
from service.http.routes.models import ModelPath
from service.http.schemas import AcceptedEvent
from service.telemetry.tracing import checked_traceparent

PATH = re.compile(r"/v1/(?:models/(?P<model>[^/]+)/)?cloudevents")
_HEADERS = frozenset(
    {b"content-type", b"content-encoding", b"content-length", b"traceparent", b"inference-header-content-length"}
)
_UNKNOWN_MODEL = "(structured)"
"""In whose name a body is held that says itself which model it is about; no model can be called so."""
_to_json = msgspec.json.Encoder().encode


class TakeEvents:
    """One event, from its headers to its acceptance."""

    def __init__(self, events: LoggedEvents, admission: Admission, bodies: Bodies) -> None:
        self._events = events
        self._admission = admission
        self._bodies = bodies

    async def __call__(self, model: str | None, scope: Scope, receive: Receive) -> Response:
        """Acceptance or a problem; raises `ClientDisconnect`."""
        try:
            named = None if model is None else model_name(model)
            identifier = await self._accepted(named, _headers(scope), receive)
        except BodyTooLarge:
            return too_large()
        except DriftwardenError as error:
            return answer_to(error)
        return Response(_to_json({"event": identifier}), media_type="application/json")

    async def _accepted(self, model: ModelName | None, headers: dict[bytes, str], receive: Receive) -> str:
        coding = headers.get(b"content-encoding")
        event = None if is_structured(headers.get(b"content-type")) else from_headers(headers)
        holder = (model or _named_by(event)) if event is not None else (model or _UNKNOWN_MODEL)
        size = self._bodies.size(headers.get(b"content-length"), coding)
        with ExitStack() as room:
            room.enter_context(self._admission.place(holder, size))
            body = await self._bodies.receive(receive)
            if event is None:
                opened = await self._bodies.read(holder, coding, body, from_body)
                event, body, coding = opened[0], opened[1], None
            traceparent = checked_traceparent(headers.get(b"traceparent"))
            accepted = Accepted(model or _named_by(event), event, body, coding, traceparent)
            self._events.take(accepted, room.pop_all())
            return event.identifier


def routes(take: TakeEvents) -> APIRouter:
    """The same for the framework, whose document describes it."""
    router = APIRouter(prefix="/v1", tags=["observations"])
    refusals = problems(400, 408, 413, 415, 422, 429, 503)

    @router.post("/cloudevents", responses=refusals, openapi_extra=EVENT_BODIES, response_model=AcceptedEvent)
    async def post_event(request: Request) -> Response:
        """Hand in a logged request or response; `inferenceservicename` names the model. Read after it is answered."""
        return await take(None, request.scope, request.receive)

    @router.post(
        "/models/{model}/cloudevents", responses=refusals, openapi_extra=EVENT_BODIES, response_model=AcceptedEvent
    )
    async def post_event_of_model(model: ModelPath, request: Request) -> Response:
        """Hand in a logged request or response of this model, whatever its inference service is called."""
        return await take(model, request.scope, request.receive)

    return router


def _headers(scope: Scope) -> dict[bytes, str]:
    return {
        name: value.decode("latin-1") for name, value in scope["headers"] if name in _HEADERS or name.startswith(b"ce-")
    }


def _named_by(event: Event) -> ModelName:
    if event.model is None:
        message = "must name the model, or else the path /v1/models/{model}/cloudevents does"
        raise InvalidInput(Fault("inferenceservicename", message))
    return model_name(event.model)
