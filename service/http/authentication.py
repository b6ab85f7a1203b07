"""Who may come in at all: the layer in front of everything, which reads a request's head and nothing of its body."""

import hmac
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from service.domain.access import Access, Credentials, Verb, sender_of
from service.domain.errors import AccessUndecided, InvalidModelName, NotAllowed, NotAuthenticated
from service.domain.models import ModelName, model_name
from service.domain.retraining.by_hand import caller_named
from service.http.errors import answer_to
from service.usecases.admit_caller import AdmitCaller

CONNECTION = "driftwarden.connection"
"""Extension of a request's scope, which only the server sets: what is known of its connection, while it lasts."""
CERTIFICATE_NAMES, ADMITTED = "certificate_names", "admitted"
"""What the verified client certificate is called; and what was let in last."""
ADMITTED_SECONDS = 1.0
"""The same request on the same connection is let in again for so long: asking would cost it some hundredths."""
OPEN_PATHS = frozenset({"/livez", "/readyz", "/readyz/integrity"})
SENDER = "driftwarden.sender"
"""Of a request's scope: digest of the caller that was let in."""
CALLER = "driftwarden.caller"
"""And its name."""
MAXIMUM_TOKEN_BYTES = 8 * 2**10
DISCARDED_BYTES = 64 * 2**10
"""A refused body up to this size is read past, so that its connection can be used again; beyond it that ends."""
_LONGEST_REMEMBERED = 200
_READING = frozenset({"GET", "HEAD"})
_INGESTING = frozenset({"observations", "summaries", "labels", "cloudevents"})
_ASKING = frozenset({"evaluations"})
"""Sent with rows, and read for all that: nothing of them is stored."""


class AuthenticationFirst:
    """Lets callers through to the application behind it, and everybody to what Kubernetes probes."""

    def __init__(self, app: ASGIApp, admit: AdmitCaller, monotonic: Callable[[], float]) -> None:
        self._app = app
        self._admit = admit
        self._monotonic = monotonic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._other(scope, receive, send)
            return
        method, path = scope["method"], scope["path"]
        if path not in OPEN_PATHS or method not in _READING:
            try:
                connection = scope["extensions"].get(CONNECTION) if "extensions" in scope else None
                authorization = _authorization(scope)
                if connection is None or not self._was_let_in(connection, method, path, authorization):
                    caller = await self._admit(_credentials(authorization, connection), wanted(method, path))
                    scope[SENDER], scope[CALLER] = sender_of(caller), caller.name
                    if connection is not None:
                        until = self._monotonic() + ADMITTED_SECONDS
                        connection[ADMITTED] = (until, method, path, authorization, scope[SENDER], scope[CALLER])
                else:
                    scope[SENDER], scope[CALLER] = connection[ADMITTED][-2:]
            except (NotAuthenticated, NotAllowed, AccessUndecided) as error:
                await _refuse(error, scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _was_let_in(self, connection: dict[str, Any], method: str, path: str, authorization: bytes) -> bool:
        if ADMITTED not in connection:
            return False
        until, same_method, same_path, same, *_ = connection[ADMITTED]
        return (
            self._monotonic() < until
            and path == same_path
            and method == same_method
            and hmac.compare_digest(authorization, same)  # behind a proxy, others may be on the same connection
        )

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # there are none, and none shall be without this
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._app(scope, receive, send)


def caller_of(scope: Scope) -> str:
    """Whose request it is, by the name that what is done goes on record under."""
    return caller_named(scope.get(CALLER))


def wanted(method: str, path: str) -> Access | None:
    """What a request asks for; None: nothing that is anybody's own, such as the description of the interface.

    What is not known here takes the right to manage everything: a route that is forgotten here is closed.
    """
    return _remembered(method, path) if len(path) <= _LONGEST_REMEMBERED else _wanted(method, path)


def _wanted(method: str, path: str) -> Access | None:
    parts = path.split("/")
    if parts[1:] == ["metrics"]:
        return Access(Verb.METRICS)
    if len(parts) < 3 or parts[1] != "v1" or (parts[2] == "detectors" and method in _READING):
        return None
    if parts[2:] == ["integrity"] and method in _READING:
        return Access(Verb.READ)
    if parts[2] != "models":
        loggers = parts[2:] == ["cloudevents"] and method == "POST"  # which model, the body says
        return Access(Verb.INGEST if loggers else Verb.MANAGE)
    return Access(_verb(method, parts[4:]), _name(parts[3]) if len(parts) > 3 else None)


def _verb(method: str, of_model: Sequence[str]) -> Verb:
    if method in _READING:
        return Verb.READ
    asked = of_model[0] if method == "POST" and len(of_model) == 1 else None
    if asked in _INGESTING:
        return Verb.INGEST
    return Verb.READ if asked in _ASKING else Verb.MANAGE


_remembered = lru_cache(1024)(_wanted)  # a path is asked for thousands of times a second


def _authorization(scope: Scope) -> bytes:
    """Empty without one; raises `NotAuthenticated` for several."""
    found = None
    for name, value in scope["headers"]:
        if name == b"authorization":
            if found is not None:
                raise NotAuthenticated("there is more than one Authorization", presented=True)
            found = value or b"-"  # an empty one is none that anybody could have
    return found or b""


def _credentials(authorization: bytes, connection: dict[str, Any] | None) -> Credentials:
    """A token decides alone. Raises `NotAuthenticated` for a header that brings none."""
    if not authorization:
        return Credentials(None, () if connection is None else connection.get(CERTIFICATE_NAMES, ()))
    token = authorization[7:].strip()
    if authorization[:7].lower() != b"bearer " or not 0 < len(token) <= MAXIMUM_TOKEN_BYTES or not token.isascii():
        raise NotAuthenticated("Authorization is not a Bearer with a key or a token", presented=True)
    return Credentials(token.decode())


def _name(text: str) -> ModelName | None:
    """What is no model's name is nobody's model: asking about it takes the right to ask about all of them."""
    try:
        return model_name(text)
    except InvalidModelName:
        return None


async def _refuse(
    error: NotAuthenticated | NotAllowed | AccessUndecided, scope: Scope, receive: Receive, send: Send
) -> None:
    answer = answer_to(error)
    if isinstance(error, NotAuthenticated):
        # RFC 6750, 3: what was wrong is said only to those who tried.
        wrong = ', error="invalid_token"' if error.presented else ""
        answer.headers["WWW-Authenticate"] = f'Bearer realm="driftwarden"{wrong}'
    if _would_be_read_past(scope):
        answer.headers["Connection"] = "close"
    await answer(scope, receive, send)


def _would_be_read_past(scope: Scope) -> bool:
    for name, value in scope["headers"]:
        if name == b"transfer-encoding":
            return True
        if name == b"content-length":
            return not (value.isdigit() and len(value) < 19 and int(value) <= DISCARDED_BYTES)
    return False
