"""More than the service takes: refused at once and in words, in bounded memory, and not at the expense of others."""

import asyncio
import socket
from collections import Counter

import pytest

from tests.integration.store.senders import register
from tests.processes.fixtures import MakeService, MakeStore
from tests.processes.flood import BATCH, JSON, Flood, flooding_client, resident_bytes
from tests.processes.services import ServiceProcess
from tests.processes.traffic import payload, rows
from tests.processes.waiting import eventually, eventually_async

pytestmark = pytest.mark.anyio

ROOM_FOR = 16
ROOM = {
    "DRIFT_HTTP__MAX_REQUESTS": str(ROOM_FOR),
    "DRIFT_HTTP__MAX_BYTES_UNDER_WAY": str(2**20),
}
INGESTING = ("serve", "--ingest-only")
OVERLOAD = 4 * ROOM_FOR
"""Senders at once: four times as many as there is room for."""


async def test_overload_is_refused_in_bounded_memory_and_passes(
    make_store: MakeStore, make_service: MakeService
) -> None:
    store = make_store()
    service = make_service(*INGESTING, DRIFT_STORE__URL=store.url, DRIFT_STORE__TIMEOUT_SECONDS="1", **ROOM)
    service.start()
    with service.client() as setting_up:
        register(setting_up)
    async with flooding_client(service, 2 * OVERLOAD) as client, asyncio.TaskGroup() as senders:
        flood = Flood(client, "churn")
        for _ in range(OVERLOAD):
            senders.create_task(flood.send())
        await eventually_async(lambda: _true(flood.answers[200] > OVERLOAD), "batches are taken")
        before = resident_bytes(service.pid)
        store.pause()  # the capacity is gone altogether: whatever comes waits or is refused
        await eventually_async(lambda: _true(flood.answers[429] > OVERLOAD), "batches are refused")
        await eventually_async(lambda: _true(flood.answers[503] > 0), "those that were taken are given up")
        after = resident_bytes(service.pid)
        store.resume()
        taken = flood.answers[200]
        await eventually_async(lambda: _true(flood.answers[200] > taken + OVERLOAD), "batches are taken again")
        flood.stopped = True
    assert set(flood.answers) <= {200, 429, 503}
    assert flood.without_retry_after == 0
    assert after - before < 64 * 2**20
    with service.client() as afterwards:

        def taken_again() -> bool:
            answer = afterwards.post("/v1/models/churn/observations", content=BATCH, headers=JSON)
            return answer.status_code == 200

        eventually(taken_again, "one alone is taken")


async def test_a_flood_of_one_model_does_not_starve_another(make_service: MakeService, make_store: MakeStore) -> None:
    service = make_service(*INGESTING, DRIFT_STORE__URL=make_store().url, **ROOM)
    service.start()
    with service.client() as setting_up:
        register(setting_up, "flood")
        register(setting_up, "steady")
    async with flooding_client(service, 2 * OVERLOAD) as client, asyncio.TaskGroup() as senders:
        flood = Flood(client, "flood")
        for _ in range(2 * ROOM_FOR):
            senders.create_task(flood.send())
        await eventually_async(lambda: _true(flood.answers.total() > OVERLOAD), "the flood is there")
        steady = [await client.post("/v1/models/steady/observations", json=payload(rows(n, 5))) for n in range(50)]
        flood.stopped = True
    taken = sum(answer.status_code == 200 for answer in steady)
    assert taken >= 0.99 * len(steady), Counter(answer.status_code for answer in steady)
    assert set(flood.answers) <= {200, 429, 503}
    assert flood.without_retry_after == 0


def test_senders_that_stall_are_refused_beyond_their_share_before_their_bodies_are_read(
    make_service: MakeService, make_store: MakeStore
) -> None:
    settings = {"DRIFT_STORE__URL": make_store().url}
    # Nobody's body is given up meanwhile, however long it takes to open so many connections here.
    service = make_service(
        *INGESTING, **settings, **ROOM, DRIFT_HTTP__BODY_SECONDS="600", DRIFT_HTTP__DRAIN_SECONDS="1"
    )
    service.start()
    with service.client() as client:
        register(client, "steady")
        stalled = [_half_a_request(service, "flood") for _ in range(OVERLOAD)]
        refused = eventually(
            lambda: _answered(stalled, b"429") >= OVERLOAD - 12 and _answered(stalled, b"429"), "refusals"
        )
        assert refused == OVERLOAD - 12  # a quarter of the room is spared
        for number in range(50):
            answer = client.post("/v1/models/steady/observations", json=payload(rows(number, 5)))
            assert answer.status_code == 200
    for connection in stalled:
        connection.close()


def test_bodies_that_never_come_to_an_end_are_given_up(make_service: MakeService, make_store: MakeStore) -> None:
    service = make_service(*INGESTING, DRIFT_STORE__URL=make_store().url, DRIFT_HTTP__BODY_SECONDS="0.5")
    service.start()
    with service.client() as client:
        register(client, "steady")
    stalled = [_half_a_request(service, "steady") for _ in range(12)]
    eventually(lambda: _answered(stalled, b"408") == 12, "those that never came to an end are given up")
    for connection in stalled:
        connection.close()


def _half_a_request(service: ServiceProcess, model: str) -> socket.socket:
    host, port = service.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=30)
    head = f"POST /v1/models/{model}/observations HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    connection.sendall(f'{head}Content-Length: 1000\r\n\r\n{{"rows": '.encode())
    connection.setblocking(False)  # with a timeout, a look at it would wait for that long
    return connection


def _answered(connections: list[socket.socket], status: bytes) -> int:
    """How many of them hold an answer of that status; none is taken away."""
    return sum(_waiting(connection).startswith(b"HTTP/1.1 " + status) for connection in connections)


def _waiting(connection: socket.socket) -> bytes:
    try:
        return connection.recv(100, socket.MSG_PEEK)
    except BlockingIOError:
        return b""


async def _true(condition: bool) -> bool:
    return condition
