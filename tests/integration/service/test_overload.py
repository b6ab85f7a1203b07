"""More than the service takes: refused at once and in words, in bounded memory, and not at the expense of others."""

import asyncio
import json
import socket
from collections import Counter
from pathlib import Path

import httpx
import pytest

from tests.integration.store.senders import register
from tests.processes.fixtures import MakeService, MakeStore
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
BATCH = json.dumps(payload(rows(1, 50))).encode()
JSON = {"Content-Type": "application/json"}


class Flood:
    """Senders that send again as soon as they are answered."""

    def __init__(self, client: httpx.AsyncClient, model: str) -> None:
        self._client = client
        self._path = f"/v1/models/{model}/observations"
        self.answers: Counter[int] = Counter()
        self.without_retry_after = 0
        self.stopped = False

    async def send(self) -> None:
        while not self.stopped:
            answer = await self._client.post(self._path, content=BATCH, headers=JSON)
            self.answers[answer.status_code] += 1
            refused = answer.status_code in {429, 503}
            self.without_retry_after += refused and int(answer.headers.get("retry-after", "0")) < 1
            if refused:
                assert answer.headers["content-type"] == "application/problem+json"
                await asyncio.sleep(0.02)


def client_of(service: ServiceProcess) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=2 * OVERLOAD, max_keepalive_connections=2 * OVERLOAD)
    return httpx.AsyncClient(base_url=service.url, timeout=60, trust_env=False, limits=limits)


def resident_bytes(process: int) -> int:
    status = Path(f"/proc/{process}/status")
    if not status.exists():
        return 0
    return next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith("VmRSS"))


async def test_overload_is_refused_in_bounded_memory_and_passes(
    make_store: MakeStore, make_service: MakeService
) -> None:
    store = make_store()
    service = make_service(*INGESTING, DRIFT_STORE__URL=store.url, DRIFT_STORE__TIMEOUT_SECONDS="1", **ROOM)
    service.start()
    with service.client() as setting_up:
        register(setting_up)
    async with client_of(service) as client, asyncio.TaskGroup() as senders:
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
        assert afterwards.post("/v1/models/churn/observations", content=BATCH, headers=JSON).status_code == 200


async def test_a_flood_of_one_model_does_not_starve_another(make_service: MakeService, make_store: MakeStore) -> None:
    service = make_service(*INGESTING, DRIFT_STORE__URL=make_store().url, **ROOM)
    service.start()
    with service.client() as setting_up:
        register(setting_up, "flood")
        register(setting_up, "steady")
    async with client_of(service) as client, asyncio.TaskGroup() as senders:
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
    store = make_store()
    service = make_service(*INGESTING, DRIFT_STORE__URL=store.url, **ROOM, DRIFT_HTTP__BODY_SECONDS="2")
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
        eventually(lambda: _answered(stalled, b"408") == 12, "those that never came to an end are given up")
    for connection in stalled:
        connection.close()


def _half_a_request(service: ServiceProcess, model: str) -> socket.socket:
    host, port = service.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=30)
    head = f"POST /v1/models/{model}/observations HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    connection.sendall(f'{head}Content-Length: 1000\r\n\r\n{{"rows": '.encode())
    return connection


def _answered(connections: list[socket.socket], status: bytes) -> int:
    """How many of them hold an answer of that status; none is taken away."""
    return sum(_waiting(connection).startswith(b"HTTP/1.1 " + status) for connection in connections)


def _waiting(connection: socket.socket) -> bytes:
    try:
        return connection.recv(100, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return b""


async def _true(condition: bool) -> bool:
    return condition
