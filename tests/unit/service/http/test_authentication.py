"""The layer in front: what a request asks for by its head, and that nothing else of a refused one is read."""

import json
from typing import Any, NoReturn

import pytest
from starlette.types import Message, Scope

from service.domain.access import Access, Caller, Credentials, Verb
from service.domain.errors import AccessUndecided
from service.domain.models import model_name
from service.http.authentication import (
    ADMITTED_SECONDS,
    CALLER,
    CERTIFICATE_NAMES,
    CONNECTION,
    AuthenticationFirst,
    wanted,
)
from service.usecases.admit_caller import AdmitCaller

pytestmark = pytest.mark.anyio

FRAUD = model_name("fraud")
TOKENS = {"good"}
OBSERVATIONS = "/v1/models/fraud/observations"


@pytest.mark.parametrize(
    ("method", "path", "access"),
    [
        ("POST", OBSERVATIONS, Access(Verb.INGEST, FRAUD)),
        ("POST", "/v1/models/fraud/summaries", Access(Verb.INGEST, FRAUD)),
        ("GET", "/v1/models/fraud", Access(Verb.READ, FRAUD)),
        ("GET", "/v1/models/fraud/verdicts", Access(Verb.READ, FRAUD)),
        ("POST", "/v1/models/fraud/evaluations", Access(Verb.READ, FRAUD)),
        ("POST", "/v1/models/fraud/labels", Access(Verb.INGEST, FRAUD)),
        ("POST", "/v1/models/fraud/registrations/2/activate", Access(Verb.MANAGE, FRAUD)),
        ("POST", "/v1/models/fraud/retrainings", Access(Verb.MANAGE, FRAUD)),
        ("POST", "/v1/models/fraud/retrainings/retrain-fraud/release", Access(Verb.MANAGE, FRAUD)),
        ("GET", "/v1/models/fraud/retrainings/record", Access(Verb.READ, FRAUD)),
        ("GET", "/v1/detectors", None),
        ("POST", "/v1/models/fraud/cloudevents", Access(Verb.INGEST, FRAUD)),
        ("POST", "/v1/cloudevents", Access(Verb.INGEST)),
        ("GET", "/v1/cloudevents", Access(Verb.MANAGE)),
        ("GET", "/v1/integrity", Access(Verb.READ)),
        ("POST", "/v1/integrity", Access(Verb.MANAGE)),
        ("POST", "/v1/detectors", Access(Verb.MANAGE)),
        ("HEAD", "/v1/models/fraud/reference", Access(Verb.READ, FRAUD)),
        ("GET", "/v1/models", Access(Verb.READ)),
        ("GET", "/v1/models/", Access(Verb.READ)),
        ("PUT", "/v1/models/fraud/reference", Access(Verb.MANAGE, FRAUD)),
        ("PUT", "/v1/models/fraud/plan", Access(Verb.MANAGE, FRAUD)),
        ("DELETE", "/v1/models/fraud", Access(Verb.MANAGE, FRAUD)),
        ("PUT", OBSERVATIONS, Access(Verb.MANAGE, FRAUD)),
        ("get", "/v1/models/fraud", Access(Verb.MANAGE, FRAUD)),
        ("OPTIONS", "/v1/models/fraud", Access(Verb.MANAGE, FRAUD)),
        ("GET", "/metrics", Access(Verb.METRICS)),
        ("POST", "/metrics", Access(Verb.METRICS)),
        # Tricks: what another layer might take for the route above is no easier to get; no model's name is all models.
        ("POST", OBSERVATIONS + "/", Access(Verb.MANAGE, FRAUD)),
        ("POST", "/v1/models//observations", Access(Verb.INGEST)),
        ("POST", "/v1/models/fraud;x/observations", Access(Verb.INGEST)),
        ("POST", "/v1/models/fraud/../churn/observations", Access(Verb.MANAGE, FRAUD)),
        ("POST", "/v1/models/a\n/observations", Access(Verb.INGEST)),
        ("GET", "/v1/models/%66raud", Access(Verb.READ)),
        ("GET", "/v1/models/" + "a" * 5000, Access(Verb.READ)),
        ("GET", "/v1/integrity/x", Access(Verb.MANAGE)),
        ("GET", "/v1/", Access(Verb.MANAGE)),
        # Nobody's own: being known is enough to be told that there is no such thing, or what there is.
        ("GET", "/docs", None),
        ("GET", "/openapi.json", None),
        ("GET", "/", None),
        ("GET", "//v1/models/fraud", None),
        ("GET", "/V1/models/fraud", None),
    ],
)
def test_what_a_request_asks_for(method: str, path: str, access: Access | None) -> None:
    assert wanted(method, path) == access


class Known:
    """Knows one token and one certificate, which may hand in rows for `fraud`."""

    asked = 0

    async def authenticate(self, credentials: Credentials, /) -> Caller | None:
        self.asked += 1
        if credentials.token == "away":  # noqa: S105
            raise AccessUndecided("nobody could be asked")
        known = credentials.token in TOKENS or (credentials.token is None and "CN:pod" in credentials.certificate_names)
        return Caller("pods") if known else None

    async def allows(self, caller: Caller, wanted: Access, /) -> bool:
        return caller.name == "pods" and wanted == Access(Verb.INGEST, FRAUD)


class Layer:
    """The layer before an application that only notes that it was reached."""

    def __init__(self) -> None:
        self.refused: list[str] = []
        self.reached = 0
        self.callers: list[str | None] = []
        self.known = Known()
        self.now = 0.0
        admit = AdmitCaller([self.known], self.refused.append)
        self._layer = AuthenticationFirst(self._application, admit, lambda: self.now)

    async def _application(self, scope: Scope, *_: Any) -> None:
        self.reached += 1
        self.callers.append(scope.get(CALLER))

    async def asked(self, method: str, path: str, *headers: tuple[bytes, bytes], **scope: Any) -> list[Message]:
        """What is answered in place of the application, if anything."""
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        asked: Scope = {"type": "http", "method": method, "path": path, "headers": list(headers), **scope}
        await self._layer(asked, _nothing_is_read, send)
        return sent


async def _nothing_is_read() -> NoReturn:
    raise AssertionError("the body was asked for")


def bearer(token: bytes) -> tuple[bytes, bytes]:
    return b"authorization", b"Bearer " + token


def head(sent: list[Message]) -> tuple[int, dict[bytes, bytes]]:
    return int(sent[0]["status"]), dict(sent[0]["headers"])


async def test_who_may_is_let_through_by_token_or_certificate() -> None:
    layer = Layer()
    assert not await layer.asked("POST", OBSERVATIONS, bearer(b"good"))
    assert not await layer.asked("POST", OBSERVATIONS, (b"authorization", b"bearer   good "))
    assert not await layer.asked(
        "POST", OBSERVATIONS, extensions={CONNECTION: {CERTIFICATE_NAMES: ("DNS:x", "CN:pod")}}
    )
    assert layer.reached == 3
    assert layer.refused == []


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"Bearer",
        b"Bearer ",
        b"Basic Z29vZA==",
        b"good",
        b"Bearer \xff\xfe",
        b"Bearer " + b"x" * 2**20,
        b"Bearerx good",
    ],
)
async def test_what_is_no_bearer_is_not_authenticated(value: bytes) -> None:
    layer = Layer()
    status, headers = head(await layer.asked("POST", OBSERVATIONS, (b"authorization", value)))
    assert status == 401
    assert headers[b"www-authenticate"] == b'Bearer realm="driftwarden", error="invalid_token"'
    assert layer.reached == 0


async def test_two_tokens_are_none() -> None:
    layer = Layer()
    assert head(await layer.asked("POST", OBSERVATIONS, bearer(b"bad"), bearer(b"good")))[0] == 401
    assert head(await layer.asked("POST", OBSERVATIONS, bearer(b"good"), bearer(b"good")))[0] == 401


async def test_every_refusal_is_counted_by_its_kind_and_repeats_nothing() -> None:
    layer = Layer()
    for path, token, status, kind in (
        (OBSERVATIONS, None, 401, "anonymous"),
        (OBSERVATIONS, b"secret-of-mine", 401, "unknown"),
        ("/v1/models/fraud/verdicts", b"good", 403, "not_allowed"),
        (OBSERVATIONS, b"away", 503, "undecided"),
    ):
        sent = await layer.asked("POST", path, *([] if token is None else [bearer(token)]))
        assert head(sent)[0] == status
        document = json.loads(sent[1]["body"])
        assert document["status"] == status
        assert "secret" not in str(sent)
        assert layer.refused.pop() == kind
    assert layer.reached == 0


async def test_only_one_who_tried_is_told_that_it_was_wrong_and_one_who_is_to_wait_how_long() -> None:
    layer = Layer()
    assert head(await layer.asked("GET", "/docs"))[1][b"www-authenticate"] == b'Bearer realm="driftwarden"'
    assert int(head(await layer.asked("GET", "/docs", bearer(b"away")))[1][b"retry-after"]) > 0


async def test_a_refusal_is_the_same_whichever_model_was_asked_about() -> None:
    layer = Layer()
    told = [await layer.asked("POST", f"/v1/models/{name}/observations", bearer(b"good")) for name in ("churn", "nope")]
    assert told[0] == told[1]


@pytest.mark.parametrize(
    ("header", "ends"),
    [
        ((b"content-length", b"1000000000"), True),
        ((b"content-length", b"9" * 30), True),
        ((b"content-length", b"-1"), True),
        ((b"transfer-encoding", b"chunked"), True),
        ((b"content-length", b"1000"), False),
        ((b"accept", b"*/*"), False),
    ],
)
async def test_a_connection_with_a_large_body_to_come_ends(header: tuple[bytes, bytes], ends: bool) -> None:
    headers = head(await Layer().asked("POST", OBSERVATIONS, bearer(b"bad"), header))[1]
    assert (headers.get(b"connection") == b"close") is ends


async def test_probes_are_let_through_and_nothing_that_looks_like_them() -> None:
    layer = Layer()
    for path in ("/livez", "/readyz", "/readyz/integrity"):
        assert not await layer.asked("GET", path)
    for method, path in (
        ("POST", "/livez"),
        ("GET", "/livez/"),
        ("GET", "/Livez"),
        ("GET", "//livez"),
        ("GET", "/metrics"),
    ):
        assert head(await layer.asked(method, path))[0] == 401


async def test_a_websocket_is_closed_and_the_servers_own_messages_pass() -> None:
    layer = Layer()
    assert await layer.asked("GET", "/livez", type="websocket") == [{"type": "websocket.close", "code": 1008}]
    assert not await layer.asked("GET", "/", type="lifespan")
    assert layer.reached == 1


async def test_the_same_request_on_the_same_connection_is_let_in_again_for_a_moment() -> None:
    layer, connection = Layer(), {CONNECTION: {}}
    for layer.now in (0.0, ADMITTED_SECONDS / 2):
        assert not await layer.asked("POST", OBSERVATIONS, bearer(b"good"), extensions=connection)
    assert layer.known.asked == 1
    layer.now = ADMITTED_SECONDS
    assert not await layer.asked("POST", OBSERVATIONS, bearer(b"good"), extensions=connection)
    assert layer.known.asked == 2
    assert not await layer.asked("POST", OBSERVATIONS, bearer(b"good"), extensions={CONNECTION: {}})
    assert layer.known.asked == 3
    assert layer.callers == ["pods"] * 4


async def test_nothing_else_on_that_connection_is_let_in_by_it() -> None:
    layer, connection = Layer(), {CONNECTION: {}}
    for method, path, headers, status in (
        ("POST", OBSERVATIONS, [bearer(b"bad")], 401),
        ("POST", OBSERVATIONS, [bearer(b"goo")], 401),
        ("POST", OBSERVATIONS, [bearer(b"goodd")], 401),
        ("POST", OBSERVATIONS, [], 401),
        ("POST", OBSERVATIONS, [(b"authorization", b"")], 401),
        ("POST", OBSERVATIONS, [bearer(b"good"), bearer(b"good")], 401),
        ("PUT", OBSERVATIONS, [bearer(b"good")], 403),
        ("POST", "/v1/models/churn/observations", [bearer(b"good")], 403),
    ):
        assert not await layer.asked("POST", OBSERVATIONS, bearer(b"good"), extensions=connection)
        sent = await layer.asked(method, path, *headers, extensions=connection)
        assert head(sent)[0] == status, (method, path, headers)
    # And what was refused is not remembered as let in.
    assert head(await layer.asked("PUT", OBSERVATIONS, bearer(b"good"), extensions=connection))[0] == 403
