"""What a request is told that is still under way when the process has no more time to drain."""

import asyncio
from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.http.errors import RETRY_AFTER_SECONDS, problem


class AnswerWhenCutOff:
    """The server cancels what is under way at the end of its drain: not a defect, and another replica will take it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answering = False

        async def watched(message: Message) -> None:
            nonlocal answering
            answering = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except asyncio.CancelledError:
            if answering:  # half an answer cannot be made whole; the connection ends
                raise
            detail = "this process stops, and the request did not come to its end in time; send it again"
            headers = {"Retry-After": str(RETRY_AFTER_SECONDS), "Connection": "close"}
            answer = problem(HTTPStatus.SERVICE_UNAVAILABLE, "stopping", "Stopping", detail, headers=headers)
            await answer(scope, receive, send)
