"""How much one request may bring, and for how long; refused before it is read to the end."""

import asyncio

from starlette.datastructures import Headers
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from service.domain.errors import SlowBody
from service.http.errors import BodyTooLarge, too_large


class BodyLimits:
    """References may be larger than batches; everything else is held to the limit of batches."""

    def __init__(self, app: ASGIApp, max_body_bytes: int, max_reference_bytes: int) -> None:
        self._usual = RequestBodyLimitMiddleware(app, max_body_bytes)
        self._reference = RequestBodyLimitMiddleware(app, max_reference_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reference = scope["type"] == "http" and scope["path"].endswith("/reference") and scope["method"] == "PUT"
        limited = self._reference if reference else self._usual
        declared = Headers(scope=scope).get("content-length", "") if scope["type"] == "http" else ""
        if declared.isdecimal() and int(declared) > limited.max_body_size:
            await too_large()(scope, receive, send)
            return
        await limited(scope, receive, send)


async def bounded_body(receive: Receive, max_bytes: int, seconds: float) -> bytes:
    """Raises `BodyTooLarge`, `SlowBody`, `ClientDisconnect`."""
    try:
        async with asyncio.timeout(seconds):
            body, more = await _next_part(receive)
            if not more and len(body) <= max_bytes:  # as most are: nothing is joined, so nothing is copied
                return body
            parts, size = [body], len(body)
            while more and size <= max_bytes:
                body, more = await _next_part(receive)
                parts.append(body)
                size += len(body)
    except TimeoutError:
        raise SlowBody(f"the body did not arrive within {seconds:g} seconds") from None
    if size > max_bytes:
        raise BodyTooLarge
    return b"".join(parts)


async def _next_part(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message.get("body", b""), message.get("more_body", False)
