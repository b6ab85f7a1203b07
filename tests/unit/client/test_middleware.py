"""What the middleware copies, and what it leaves alone, message by message."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest

from driftwarden_client import Client, CopyInferences, Limits
from driftwarden_client.middleware import Application, Message, Receive, Scope, Send
from driftwarden_client.waiting import OVERHEAD_BYTES

pytestmark = pytest.mark.anyio
MOST = 100
OK = {"type": "http.response.start", "status": 200, "headers": [(b"Content-Type", b"application/json")]}
WHOLE = {"type": "http.response.body", "body": b"[1]"}


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """With a sidecar that is not there, so that what is copied waits."""
    client = Client("unix:///nowhere", "fraud", limits=Limits(max_copy_bytes=MOST, max_bytes=4 * OVERHEAD_BYTES))
    yield client
    client.close(0)


def answering(*messages: Message, reads: int | None = None) -> Application:
    """An application that reads so many messages (None: to the end) and answers with these."""

    async def app(_: Scope, receive: Receive, send: Send) -> None:
        left = 1000 if reads is None else reads
        while left:
            left -= 1
            if not (await receive()).get("more_body", False):
                break
        for message in messages:
            await send(message)

    return app


def posted(*pieces: bytes) -> list[Message]:
    return [
        {"type": "http.request", "body": piece, "more_body": number < len(pieces)}
        for number, piece in enumerate(pieces, 1)
    ]


async def run(middleware: CopyInferences, messages: Iterable[Message], **scope: Any) -> list[Message]:
    """What the server is sent."""
    waiting, sent = iter(messages), list[Message]()

    async def receive() -> Message:
        return next(waiting, {"type": "http.disconnect"})

    async def send(message: Message) -> None:
        sent.append(message)

    usual = {"type": "http", "method": "POST", "path": "/predict", "headers": [(b"content-type", b"application/json")]}
    await middleware({**usual, **scope}, receive, send)
    return sent


async def test_a_body_in_pieces_is_copied_as_it_came(client: Client) -> None:
    middleware = CopyInferences(answering(OK, WHOLE), client, ["/predict"])
    assert await run(middleware, posted(b"[", b"", b"1", b"]")) == [OK, WHOLE]
    assert (client.counters.offered, client.counters.waiting) == (1, 1)
    assert client.counters.held_bytes == OVERHEAD_BYTES + 3


async def test_a_response_in_pieces_is_copied_with_its_request(client: Client) -> None:
    pieces = [{"type": "http.response.body", "body": each, "more_body": each != b"]"} for each in (b"[", b"1", b"]")]
    middleware = CopyInferences(answering(OK, *pieces), client, ["/predict"], responses=True)
    await run(middleware, posted(b"12345"))
    assert (client.counters.offered, client.counters.waiting) == (2, 2)
    assert client.counters.held_bytes == 2 * OVERHEAD_BYTES + 5 + 3


@pytest.mark.parametrize(
    ("app", "messages"),
    [
        (answering({**OK, "status": 422}, WHOLE), posted(b"1")),
        (answering({**OK, "status": 302}, WHOLE), posted(b"1")),
        (answering(OK, WHOLE, reads=1), posted(b"1", b"2")),  # it was not read to its end
        (answering(OK, WHOLE), posted(b"1", b"2")[:1]),  # the sender went away
        (answering(OK, {**WHOLE, "more_body": True}), posted(b"1")),  # the answer never ended
    ],
)
async def test_what_is_no_whole_inference_is_not_copied(
    client: Client, app: Application, messages: list[Message]
) -> None:
    await run(CopyInferences(app, client, ["/predict"], responses=True), messages)
    assert (client.counters.offered, client.counters.held_bytes) == (0, 0)


@pytest.mark.parametrize(
    "scope", [{"method": "GET"}, {"method": "HEAD"}, {"path": "/predict/other"}, {"type": "websocket"}, {"type": "new"}]
)
async def test_everything_else_passes_untouched(client: Client, scope: dict[str, str]) -> None:
    seen = list[object]()

    async def app(*arguments: object) -> None:
        seen.extend(arguments)

    given: list[Any] = [{"type": "http", "method": "POST", "path": "/predict", **scope}, object(), object()]
    await CopyInferences(app, client, ["/predict"])(*given)
    assert [id(each) for each in seen] == [id(each) for each in given]


async def test_an_error_of_the_application_is_its_own(client: Client) -> None:
    async def app(_: Scope, receive: Receive, __: Send) -> None:
        await receive()
        raise LookupError

    with pytest.raises(LookupError):
        await run(CopyInferences(app, client, ["/predict"]), posted(b"1"))
    assert (client.counters.offered, client.counters.held_bytes) == (0, 0)


@pytest.mark.parametrize("responses", [False, True])
async def test_a_body_over_the_bound_is_counted_and_not_held(client: Client, responses: bool) -> None:
    app = answering(OK, {**WHOLE, "body": bytes(MOST + 1)} if responses else WHOLE)
    sizes = [1] if responses else [MOST, 1]
    await run(CopyInferences(app, client, ["/predict"], responses=responses), posted(*map(bytes, sizes)))
    assert client.counters.dropped == {"too_large": 2 if responses else 1}
    assert client.counters.held_bytes == 0


async def test_copies_that_are_being_made_are_held_to_the_same_bound() -> None:
    client = Client("unix:///nowhere", "fraud", limits=Limits(max_bytes=150))
    read, answer = asyncio.Event(), asyncio.Event()

    async def app(_: Scope, receive: Receive, send: Send) -> None:
        await receive()
        read.set()
        await answer.wait()
        await send(OK)
        await send(WHOLE)

    middleware = CopyInferences(app, client, ["/predict"])
    first = asyncio.create_task(run(middleware, posted(bytes(100))))
    await read.wait()
    assert client.counters.held_bytes == 100
    second = asyncio.create_task(run(middleware, posted(bytes(100))))
    await asyncio.sleep(0)
    assert client.counters.held_bytes == 100
    answer.set()
    await asyncio.gather(first, second)
    assert client.counters.dropped == {"full": 2}  # and what a copy costs beside its body has no room either
    assert client.counters.held_bytes == 0


async def test_messages_of_no_known_kind_do_not_break_the_application(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    odd = {"type": "http.request", "body": 7}
    assert await run(CopyInferences(answering(OK, WHOLE), client, ["/predict"]), [odd]) == [OK, WHOLE]
    assert client.counters.dropped == {"defect": 1}
    assert "fraud" in caplog.text


async def test_the_client_is_closed_before_the_server_hears_that_the_application_is() -> None:
    client = Client("unix:///nowhere", "fraud", limits=Limits(flush_seconds=0.0))

    async def app(_: Scope, receive: Receive, send: Send) -> None:
        for end in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{end}.complete"})

    client.observe([[1.0]])
    waiting = list[int]()

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(_: Message) -> None:
        waiting.append(client.counters.waiting)

    await CopyInferences(app, client, ["/predict"])({"type": "lifespan"}, receive, send)
    assert waiting == [1, 0]
    assert client.counters.dropped == {"unsent": 1}
