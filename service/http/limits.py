"""How much one request may bring; refused before it is read to the end."""

from starlette.datastructures import Headers
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from service.http.errors import too_large


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
