"""ASGI middleware: copies the bodies of inferences as they pass, and leaves everything else alone."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Collection, Iterable, MutableMapping
from typing import Any

from driftwarden_client.client import Client
from driftwarden_client.waiting import Dropped

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_ENDS_OF_LIFE = frozenset({"lifespan.shutdown.complete", "lifespan.shutdown.failed"})
_HEADERS = frozenset({b"content-type", b"content-encoding", b"inference-header-content-length", b"traceparent"})
"""Those that say what a body is, and whose trace it belongs to."""


class CopyInferences:
    """Copies what is posted to some paths, and what is answered to it if `responses` are wanted.

    A copy is the body as it came, in pieces that are not looked into; it is made when the application has answered with
    success. Requests alone are observations, which the sidecar acknowledges from its store. Of requests and responses
    each is an event, which it pairs. The client is closed when the application is (ASGI's lifespan).
    """

    def __init__(self, app: Application, client: Client, paths: Collection[str], *, responses: bool = False) -> None:
        self._app = app
        self._client = client
        self._paths = frozenset(paths)
        self._responses = responses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"] in self._paths:
            inference = _Inference(self._client, scope, responses=self._responses)
            try:
                await self._app(scope, inference.receiving(receive), inference.sending(send))
            finally:
                inference.leave()
        elif scope["type"] == "lifespan":
            await self._app(scope, receive, self._closing(send))
        else:
            await self._app(scope, receive, send)

    def _closing(self, send: Send) -> Send:
        async def send_when_closed(message: Message) -> None:
            if message["type"] in _ENDS_OF_LIFE:
                await asyncio.get_running_loop().run_in_executor(None, self._client.close)
            await send(message)

        return send_when_closed


class _Body:
    """One that is being copied; what it holds is reserved."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.headers: dict[str, str] = {}
        self.pieces: list[bytes] = []
        self.size = 0
        self.whole = False
        self.dropped: Dropped | None = None

    def is_said_by(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self.headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in headers if name.lower() in _HEADERS
        }

    def take(self, message: Message) -> None:
        piece = message.get("body", b"")
        if self.dropped is None and piece:
            if self.size + len(piece) > self._client.limits.max_copy_bytes:
                self._give_up(Dropped.TOO_LARGE)
            elif not self._client.reserve(len(piece)):
                self._give_up(Dropped.FULL)
            else:
                self.size += len(piece)
                self.pieces.append(piece)
        self.whole = not message.get("more_body", False)

    def leave(self) -> None:
        """What is offered, or not wanted any more, is not this one's."""
        self.pieces, self.size = [], 0

    def _give_up(self, reason: Dropped) -> None:
        self.dropped = reason
        self._client.give_back(self.size)
        self.leave()


class _Inference:
    """One request and its response."""

    def __init__(self, client: Client, scope: Scope, *, responses: bool) -> None:
        self._client = client
        self._request = _Body(client)
        self._response = _Body(client) if responses else None
        self._scope = scope
        self._succeeds = False
        self._over = False

    def receiving(self, receive: Receive) -> Receive:
        async def received() -> Message:
            message = await receive()
            if message["type"] == "http.request":
                self._guarded(self._request.take, message)
            return message

        return received

    def sending(self, send: Send) -> Send:
        async def sent(message: Message) -> None:
            await send(message)
            self._guarded(self._follow, message)

        return sent

    def leave(self) -> None:
        """Give back what is still held: of an inference that failed, or was broken off."""
        for body in self._bodies():
            self._client.give_back(body.size)
            body.leave()

    def _follow(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._succeeds = 200 <= message["status"] < 300
            if self._response is not None:
                self._response.is_said_by(message.get("headers", ()))
        elif message["type"] == "http.response.body" and self._succeeds:
            if self._response is not None:
                self._response.take(message)
            if not message.get("more_body", False) and self._request.whole:
                self._hand_over()

    def _hand_over(self) -> None:
        self._over = True
        bodies = self._bodies()
        dropped = next((body.dropped for body in bodies if body.dropped is not None), None)
        if dropped is not None:
            self._client.drop(dropped, len(bodies))
            return
        self._request.is_said_by(self._scope["headers"])
        request, response = self._request, self._response
        if response is None:
            copies = [self._client.observations(request.pieces, request.headers)]
        else:
            name = uuid.uuid4().hex
            copies = [
                self._client.event(name, "request", request.pieces, request.headers),
                self._client.event(name, "response", response.pieces, response.headers),
            ]
        reserved = sum(body.size for body in bodies)
        for body in bodies:
            body.leave()
        self._client.offer(copies, reserved)

    def _bodies(self) -> list[_Body]:
        return [self._request] if self._response is None else [self._request, self._response]

    def _guarded(self, follow: Callable[[Message], None], message: Message) -> None:
        if self._over:
            return
        try:
            follow(message)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is not the application's
            self._over = True
            self._client.defect(error, len(self._bodies()))
