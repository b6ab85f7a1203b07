"""What ingest is measured against: an endpoint that parses the same body and stores nothing.

Written as anybody would write it with the same framework, served by the same server with the same settings, reading the
body by the same function of ours. It has no limits, metrics, checks or error documents either.
"""

import asyncio
import sys

from fastapi import FastAPI, Request

from service.__main__ import _new_event_loop
from service.http.formats import read_table
from service.server import Served, listening_socket, serve

application = FastAPI()


@application.post("/v1/models/{model}/observations")
async def parse(model: str, request: Request) -> dict[str, str | int]:
    table = read_table(request.headers.get("content-type"), await request.body())
    return {"model": model, "rows": len(table.rows)}


if __name__ == "__main__":
    with (
        listening_socket("127.0.0.1", int(sys.argv[1])) as listener,
        asyncio.Runner(loop_factory=_new_event_loop) as runner,
    ):
        runner.run(serve(Served(application, listener), 1, lambda: None))
