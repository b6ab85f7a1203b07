"""Case 59 of the design: where events go is looked at when it is connected to, and no answer holds the service up."""

import hmac
import socket
import threading
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest

from service.adapters.outgoing_url import Resolve
from service.adapters.publisher import SinkAddress, event_sink
from service.domain.errors import InvalidConfiguration, SinkRefused, SinkUnavailable
from service.domain.events import Event
from tests.integration.client.scripted import Said, answering
from tests.processes.certificates import Authority

pytestmark = pytest.mark.anyio
EVENT = Event("event-1", "io.driftwarden.test.v1", "fraud", datetime(2026, 1, 31, tzinfo=UTC), {"n": 1})
HERE = "127.0.0.1"


def answers(*rounds: Sequence[str]) -> tuple[Resolve, list[str]]:
    """A name server that says something else every time it is asked; and what it was asked."""
    left, asked = iter(rounds), list[str]()

    async def resolve(host: str, _: int) -> Sequence[str]:
        asked.append(host)
        return next(left)

    return resolve, asked


def named(url: str, name: str) -> str:
    return url.replace(HERE, name)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://127.0.0.1:{port}", "this machine"),
        ("http://localhost:{port}", "this machine"),
        ("http://[::ffff:127.0.0.1]:{port}", "spelling of IPv6"),
        ("http://169.254.169.254", "metadata"),
        ("http://[::ffff:10.0.0.1]", "spelling of IPv6"),
        ("gopher://broker", "must be http"),
    ],
)
async def test_59_what_says_itself_that_it_is_no_service_is_refused_at_the_start(url: str, said: str) -> None:
    with answering(lambda _: Said()) as sink, pytest.raises(InvalidConfiguration, match=said):
        async with event_sink(SinkAddress(url.format(port=sink.url.rpartition(":")[2])), 5):
            pass
    assert sink.connections == 0


@pytest.mark.parametrize(
    "resolved", [[HERE], ["169.254.169.254"], ["::ffff:10.0.0.1"], ["93.184.215.14", HERE], ["fe80::1%eth0"]], ids=str
)
async def test_59_a_name_that_leads_to_such_an_address_is_not_connected_to(resolved: list[str]) -> None:
    resolve, asked = answers(resolved)
    with answering(lambda _: Said()) as sink:
        async with event_sink(SinkAddress(named(sink.url, "sink.test")), 5, resolve) as to:
            with pytest.raises(SinkUnavailable, match="nothing is sent"):
                await to.send(EVENT)
    assert (asked, sink.connections) == (["sink.test"], 0)


async def test_59_a_name_that_is_given_another_address_meanwhile_is_connected_to_where_it_was_looked_at() -> None:
    """A second question would be answered with an address at which nobody listens."""
    resolve, asked = answers([HERE], ["127.0.0.2"])
    with answering(lambda _: Said()) as sink:
        url = named(sink.url, "sink.test")
        async with event_sink(SinkAddress(url, allow_loopback=True), 5, resolve) as to:
            await to.send(EVENT)
    assert asked == ["sink.test"]
    assert [each.headers["host"] for each in sink.asked] == [url.removeprefix("http://")]


async def test_59_a_name_that_turns_bad_between_two_events_is_not_connected_to_again() -> None:
    resolve, _ = answers([HERE], ["169.254.169.254"])
    with answering(lambda _: Said()) as sink:
        async with event_sink(SinkAddress(named(sink.url, "sink.test"), allow_loopback=True), 5, resolve) as to:
            await to.send(EVENT)
            with pytest.raises(SinkUnavailable, match="metadata"):
                await to.send(EVENT)
    assert len(sink.asked) == 1


async def test_of_several_addresses_one_that_answers_is_enough() -> None:
    resolve, _ = answers(["127.0.0.2", HERE])
    with answering(lambda _: Said()) as sink:
        async with event_sink(SinkAddress(named(sink.url, "sink.test"), allow_loopback=True), 5, resolve) as to:
            await to.send(EVENT)
    assert len(sink.asked) == 1


@pytest.mark.parametrize(("of", "taken"), [("DNS:sink.test", True), ("DNS:other.test,IP:127.0.0.1", False)])
async def test_a_certificate_must_be_of_the_name_and_not_of_the_address(tmp_path: Path, of: str, taken: bool) -> None:
    authority = Authority(tmp_path)
    resolve, _ = answers([HERE])
    with answering(lambda _: Said(), tls=authority.issue("sink", of)) as sink:
        address = SinkAddress(named(sink.url, "sink.test"), authority.certificate, allow_loopback=True)
        async with event_sink(address, 5, resolve) as to:
            if taken:
                await to.send(EVENT)
            else:
                with pytest.raises(SinkUnavailable, match="ConnectError"):
                    await to.send(EVENT)
    assert len(sink.asked) == taken


async def test_59_a_redirect_to_another_address_is_not_followed() -> None:
    elsewhere = "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n"
    with saying(lambda connection: connection.sendall(elsewhere.encode())) as url:
        async with event_sink(SinkAddress(url, allow_loopback=True), 5) as to:
            with pytest.raises(SinkRefused, match="302"):
                await to.send(EVENT)


async def test_59_an_answer_that_never_ends_is_not_read() -> None:
    def ten_gigabytes(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n")
        while True:
            connection.sendall(b" " * 2**20)

    with saying(ten_gigabytes) as url:
        async with event_sink(SinkAddress(url, allow_loopback=True), 5) as to:
            await to.send(EVENT)


@pytest.mark.parametrize("line", [b"X", b"X: y\r\n"], ids=["within a header", "header after header"])
async def test_59_an_answer_that_comes_drop_by_drop_is_waited_for_no_longer_than_any_other(line: bytes) -> None:
    dropping = threading.Event()

    def drop_by_drop(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while not dropping.wait(0.02):
            connection.sendall(line)

    with saying(drop_by_drop) as url:
        async with event_sink(SinkAddress(url, allow_loopback=True), 0.3) as to:
            with pytest.raises(SinkUnavailable):
                await to.send(EVENT)
        dropping.set()


async def test_a_body_is_signed_with_the_secret_that_the_file_has_now(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    secrets = [b64encode(letter * 32).decode() for letter in (b"a", b"b")]
    file.write_text(f"whsec_{secrets[0]}\n")
    with answering(lambda _: Said()) as sink:
        address = SinkAddress(sink.url, secret_file=file, allow_loopback=True)
        async with event_sink(address, 5, clock=lambda: 1_770_000_000.9) as to:
            await to.send(EVENT)
            file.write_text(secrets[1])
            await to.send(EVENT)
            file.unlink()
            with pytest.raises(SinkUnavailable, match="SIGNING_SECRET_FILE"):
                await to.send(EVENT)
    for asked, secret in zip(sink.asked, secrets, strict=True):
        signed = b"event-1.1770000000." + asked.body
        expected = b64encode(hmac.new(b64decode(secret), signed, sha256).digest()).decode()
        assert asked.headers["webhook-signature"] == f"v1,{expected}"
        assert (asked.headers["webhook-id"], asked.headers["webhook-timestamp"]) == ("event-1", "1770000000")


async def test_without_a_secret_nothing_is_signed_and_one_that_is_none_is_refused_at_the_start(tmp_path: Path) -> None:
    with answering(lambda _: Said()) as sink:
        async with event_sink(SinkAddress(sink.url, allow_loopback=True), 5) as to:
            await to.send(EVENT)
    assert "webhook-signature" not in sink.asked[0].headers
    with pytest.raises(InvalidConfiguration, match="SIGNING_SECRET_FILE"):
        async with event_sink(SinkAddress("http://broker", secret_file=tmp_path / "none"), 5):
            pass


@contextmanager
def saying(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that answers one request with bytes of its own, whatever is asked."""
    with socket.create_server((HERE, 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(2**16)
                try:
                    answer(connection)
                except OSError:
                    return  # whoever asked has heard enough

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://{HERE}:{listener.getsockname()[1]}"
        thread.join()
