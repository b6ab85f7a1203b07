"""An inference server of the tests, for `uvicorn`: what it answers says whether it was disturbed."""

import json
import os
import zlib
from dataclasses import asdict

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from driftwarden_client import Client, CopyInferences
from tests.integration.client.applications import LIMITS

client = Client(
    os.environ["SIDECAR_URL"], os.environ.get("MODEL", "churn"), token_file=os.environ.get("TOKEN_FILE"), limits=LIMITS
)


async def predict(request: Request) -> JSONResponse:
    """The sum of each instance."""
    body = await request.body()
    if request.headers.get("content-encoding") == "gzip":
        body = zlib.decompress(body, wbits=31)
    return JSONResponse({"predictions": [sum(row) for row in json.loads(body)["instances"]]})


async def size(request: Request) -> Response:
    """How long the body is."""
    return Response(str(len(await request.body())))


class Echo:
    """The body, piece by piece, while it still arrives. Starlette's own streaming answer takes pieces away."""

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        more = True
        while more:
            message = await receive()
            more = message.get("more_body", False)
            await send({"type": "http.response.body", "body": message["body"], "more_body": more})


async def fail(request: Request) -> Response:
    """An error of its own."""
    await request.body()
    raise LookupError


async def refuse(_: Request) -> Response:
    """Without reading what was sent."""
    return Response(status_code=422)


async def counters(_: Request) -> JSONResponse:
    """The client's."""
    return JSONResponse(asdict(client.counters))


PATHS = {"/predict": predict, "/size": size, "/echo": Echo(), "/fail": fail, "/refuse": refuse}
routes = [Route(path, each, methods=["GET", "POST"]) for path, each in PATHS.items()]
application = CopyInferences(
    Starlette(routes=[*routes, Route("/counters", counters)]), client, PATHS, responses="RESPONSES" in os.environ
)
