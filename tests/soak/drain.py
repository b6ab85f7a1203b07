"""SIGTERM under load, with requests half sent, sockets that stalled and a test that takes minutes."""

import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.client import HTTPException, HTTPResponse

import httpx

from tests.integration.store.rows import distinct_rows
from tests.integration.store.senders import Sender, acknowledged, register
from tests.processes.services import ServiceProcess
from tests.processes.stores import StoreServer
from tests.processes.traffic import numbered, payload, rows
from tests.processes.waiting import eventually
from tests.soak.figures import Figure

GRACE_SECONDS = 30
"""Kubernetes' own."""
SLOW_PLAN = {
    "window": {"rows": 1000},
    "detectors": [{"name": "maximum_mean_discrepancy", "parameters": {"permutations": 100_000}}],
}
"""Minutes for a window."""
HALF_SENT_FROM = 500_000_000
_HEAD = "POST /v1/models/churn/observations HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"


def drain(
    make_store: Callable[..., StoreServer],
    make_service: Callable[..., ServiceProcess],
    *arguments: str,
    clients: int,
    stalled: int,
    **settings: str,
) -> list[Figure]:
    """So many clients under way when the signal comes, half of them in the middle of a request, and stalled sockets."""
    store = make_store()
    settings = {"DRIFT_STORE__URL": store.url, "DRIFT_STORE__KEPT_BATCHES": "90000", **settings}
    service = make_service(*arguments, **settings)
    service.start()
    with service.client() as client:
        register(client)
        if "--ingest-only" not in arguments:
            register(client, "slow", SLOW_PLAN)
            for seed in (1, 2):
                client.post("/v1/models/slow/observations", json=payload(rows(seed, 1000))).raise_for_status()
    sending = clients - clients // 2
    with (
        stalled_sockets(service, stalled),
        half_sent(service, clients // 2) as begun,
        sending_until_refused(service, sending) as senders,
    ):
        eventually(lambda: acknowledged(senders) > 10 * sending, "batches are acknowledged")
        service.ask_to_stop()
        began = time.monotonic()
        eventually(lambda: "Shutting down" in service.said(), "it begins to stop")
        answers = [finish(connection, number) for number, connection in enumerate(begun)]
        assert service.wait(within_seconds=GRACE_SECONDS) == 0
        ended = time.monotonic()
    # On a busy machine the drain may be over before the rest is sent; that is said, too.
    assert set(answers) <= {200, 503}, f"requests begun before the signal: {Counter(answers)}"
    with store.client() as direct:
        written = set(distinct_rows(direct))
    lost = {float(HALF_SENT_FROM + number) for number, status in enumerate(answers) if status == 200} - written
    for sender in senders:
        sent = range(sender.first, sender.first + sender.acknowledged * sender.rows_each)
        lost |= {float(number) for number in sent} - written
    assert not lost
    assert "Traceback" not in service.said()
    what = f"{' '.join(arguments)}, {clients} clients and {stalled} stalled sockets"
    return [
        Figure("R7", f"acknowledged and lost, {what}", len(lost), "rows", at_most=0),
        Figure("R7", f"begun before the signal and not answered, {what}", answers.count(0), "requests", at_most=0),
        Figure("R7", f"until it has ended, {what}", ended - began, "s", at_most=GRACE_SECONDS),
    ]


def connected(service: ServiceProcess) -> socket.socket:
    address = httpx.URL(service.url)
    return socket.create_connection((address.host, address.port or 0), timeout=60)


@contextmanager
def stalled_sockets(service: ServiceProcess, count: int) -> Iterator[None]:
    """Half of them stopped in their headers, half in their bodies."""
    with ExitStack() as stack:
        for number in range(count):
            connection = stack.enter_context(connected(service))
            rest = 'Content-Length: 400\r\n\r\n{"r' if number % 2 else ""
            connection.sendall((_HEAD + rest).encode())
        yield


def _body(number: int) -> bytes:
    return f'{{"rows": {numbered(HALF_SENT_FROM + number, 1)}}}'.encode()


@contextmanager
def half_sent(service: ServiceProcess, count: int) -> Iterator[Sequence[socket.socket]]:
    """Requests that the server has begun to read."""
    with ExitStack() as stack:
        connections = [stack.enter_context(connected(service)) for _ in range(count)]
        for number, connection in enumerate(connections):
            body = _body(number)
            connection.sendall(f"{_HEAD}Content-Length: {len(body)}\r\n\r\n".encode() + body[:10])
        with service.client() as client:  # what came before this one is read before it, or with it
            client.get("/livez").raise_for_status()
        yield connections


def finish(connection: socket.socket, number: int) -> int:
    """Send the rest; the status of the answer, 0 if there is none."""
    try:
        connection.sendall(_body(number)[10:])
        answer = HTTPResponse(connection)
        answer.begin()
    except (OSError, HTTPException):
        return 0
    return answer.status


@contextmanager
def sending_until_refused(service: ServiceProcess, count: int) -> Iterator[Sequence[Sender]]:
    """Senders that nobody waits for: what they were told before the end is what counts."""
    started = [Sender(lambda: service, number * 1_000_000, 1_000_000 // 5, 5) for number in range(count)]
    for sender in started:
        sender.start()
    try:
        yield started
    finally:
        for sender in started:
            sender.stopped.set()
        for sender in started:
            sender.join(60)
            assert not sender.is_alive()
