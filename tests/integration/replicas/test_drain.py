"""SIGTERM under load, with sockets that stalled and a test that takes minutes: the process ends within its grace."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import httpx
import pytest

from tests.integration.replicas.fleet import SETTINGS, metric
from tests.integration.store.rows import distinct_rows
from tests.integration.store.senders import Sender, acknowledged, register
from tests.processes.fixtures import MakeService, MakeStore
from tests.processes.services import ServiceProcess
from tests.processes.traffic import payload, rows
from tests.processes.waiting import eventually

STALLED = 40
GRACE_SECONDS = 30
"""Kubernetes' own, within which even a busy machine must manage a drain of two seconds."""
SLOW_PLAN = {
    "window": {"rows": 1000},
    "detectors": [{"name": "maximum_mean_discrepancy", "parameters": {"permutations": 100_000}}],
}
"""Minutes for a window."""


@contextmanager
def stalled_sockets(service: ServiceProcess, count: int) -> Iterator[None]:
    """Half of them stopped in their headers, half in their bodies."""
    address = httpx.URL(service.url)
    headers = b"POST /v1/models/churn/observations HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    with ExitStack() as stack:
        for number in range(count):
            connection = stack.enter_context(socket.create_connection((address.host, address.port or 0), timeout=30))
            connection.sendall(headers + (b'Content-Length: 400\r\n\r\n{"r' if number % 2 else b""))
        yield


@pytest.mark.parametrize("arguments", [["serve"], ["serve", "--ingest-only"]])
def test_a_process_that_is_told_to_stop_under_load_loses_nothing_and_ends_in_time(
    make_store: MakeStore, make_service: MakeService, arguments: list[str]
) -> None:
    store = make_store()
    service = make_service(*arguments, DRIFT_STORE__URL=store.url, DRIFT_HTTP__DRAIN_SECONDS="2", **SETTINGS)
    service.start()
    with service.client() as client:
        register(client)
        if "--ingest-only" not in arguments:
            register(client, "slow", SLOW_PLAN)
            client.post("/v1/models/slow/observations", json=payload(rows(1, 1000))).raise_for_status()
            client.post("/v1/models/slow/observations", json=payload(rows(2, 1000))).raise_for_status()
    with stalled_sockets(service, STALLED), sending_until_refused(service) as senders:
        eventually(lambda: acknowledged(senders) > 100, "batches are acknowledged")
        assert service.stop(within_seconds=GRACE_SECONDS) == 0
    with store.client() as direct:
        written = set(distinct_rows(direct))
    for sender in senders:
        sent = range(sender.first, sender.first + sender.acknowledged * sender.rows_each)
        assert {float(number) for number in sent} <= written
    assert "Traceback" not in service.said()


@contextmanager
def sending_until_refused(service: ServiceProcess) -> Iterator[Sequence[Sender]]:
    """Senders that nobody waits for: what they were told before the end is what counts."""
    started = [Sender(lambda: service, number * 1_000_000, 1_000_000 // 5, 5) for number in range(8)]
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


def test_a_worker_in_the_middle_of_a_long_test_stops_and_leaves_its_model(
    make_store: MakeStore, make_service: MakeService
) -> None:
    store = make_store()
    ingest = make_service("serve", "--ingest-only", DRIFT_STORE__URL=store.url, **SETTINGS)
    worker = make_service("worker", DRIFT_STORE__URL=store.url, **SETTINGS)
    ingest.launch()
    worker.start()
    ingest.ready()
    with ingest.client() as client, store.client() as direct:
        register(client, "slow", SLOW_PLAN)
        client.post("/v1/models/slow/observations", json=payload(rows(1, 1000))).raise_for_status()
        eventually(lambda: metric(worker, "driftwarden_claimed_models") >= 1, "the worker is at it")
        assert worker.stop(within_seconds=GRACE_SECONDS) == 0
        assert direct.get("driftwarden:{slow}:claim:evaluation") is None
        assert client.get("/v1/models/slow/verdicts").json()["verdicts"] == []
