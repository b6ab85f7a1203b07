"""What each acknowledge level promises, seen from outside the process."""

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.integration.store.rows import distinct_rows
from tests.integration.store.senders import register
from tests.processes.fixtures import MakeService, MakeStore
from tests.processes.traffic import numbered
from tests.processes.waiting import eventually

OBSERVATIONS = "/v1/models/churn/observations"
ALWAYS = ("--appendfsync", "always")
INGESTING = ("serve", "--ingest-only")
_SYNCED = re.compile(r"fdatasync(?:\(| resumed>).*= 0$")


def send(client: httpx.Client, number: int) -> httpx.Response:
    headers = {"Idempotency-Key": f"batch-{number}-"}
    return client.post(OBSERVATIONS, json={"rows": numbered(number, 1)}, headers=headers)


@contextmanager
def traced(output: Path, *processes: int) -> Iterator[None]:
    """What these processes write and sync meanwhile, in the order in which it happened."""
    calls = "trace=fsync,fdatasync,write,writev,sendto,sendmsg"
    attached = [argument for process in processes for argument in ("-p", str(process))]
    tracer = subprocess.Popen(
        ["strace", "-f", "-s", "3000", "-e", calls, "-o", str(output), *attached], stderr=subprocess.PIPE, text=True
    )
    assert tracer.stderr is not None
    for _ in processes:
        said = tracer.stderr.readline()
        if "attached" not in said:
            tracer.kill()
            tracer.communicate(timeout=30)
            pytest.skip("strace may not look at other processes here")
    try:
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.communicate(timeout=30)


@pytest.mark.skipif(shutil.which("strace") is None, reason="no strace on PATH: install it, e.g. apt-get install strace")
def test_at_fsync_the_answer_follows_the_disk(make_store: MakeStore, make_service: MakeService, tmp_path: Path) -> None:
    store = make_store("valkey", *ALWAYS)
    settings = {"DRIFT_STORE__URL": store.url, "DRIFT_STORE__TIMEOUT_SECONDS": "10"}
    service = make_service(*INGESTING, **settings, DRIFT_STORE__ACKNOWLEDGE="fsync")
    service.start()
    with service.client() as client, store.client() as direct:
        register(client)
        writer = direct.info("server")["process_id"]
        with traced(tmp_path / "calls", service.pid, writer):
            for number in range(3):
                assert send(client, number).status_code == 200
    calls = (tmp_path / "calls").read_text(errors="replace").splitlines()
    for number in range(3):
        of_this = [(place, call) for place, call in enumerate(calls) if f"batch-{number}-" in call]
        written = min(place for place, call in of_this if call.startswith(str(writer)) and "XADD" in call)
        answered = min(place for place, call in of_this if "position" in call)
        assert any(_SYNCED.search(call) for call in calls[written:answered]), calls[written : answered + 1]


def test_at_fsync_a_disk_that_fails_is_no_acknowledgement(make_store: MakeStore, make_service: MakeService) -> None:
    store = make_store("valkey", *ALWAYS)
    service = make_service(*INGESTING, DRIFT_STORE__URL=store.url, DRIFT_STORE__ACKNOWLEDGE="fsync")
    service.start()
    with service.client() as client, store.client() as direct:
        register(client)
        assert send(client, 1).status_code == 200
        direct.config_set("appendonly", "no")
        refused = send(client, 2)
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) > 0


def test_the_embedded_store_is_started_for_the_level(make_service: MakeService) -> None:
    service = make_service(DRIFT_STORE__ACKNOWLEDGE="fsync")
    service.start()
    with service.client() as client, service.embedded_server() as direct:
        register(client)
        assert send(client, 1).status_code == 200
        assert direct.config_get("appendfsync") == {"appendfsync": "always"}
    assert service.stop() == 0


def test_a_store_that_writes_to_its_disk_later_ends_the_start_in_words(
    make_store: MakeStore, make_service: MakeService
) -> None:
    store = make_store("valkey", "--appendfsync", "everysec")
    service = make_service(*INGESTING, DRIFT_STORE__URL=store.url, DRIFT_STORE__ACKNOWLEDGE="fsync")
    service.launch()
    assert service.wait() == 1
    assert "DRIFT_STORE__APPENDFSYNC_ALWAYS" in service.said()


def test_from_memory_an_outage_is_bridged_and_a_graceful_end_loses_nothing(
    make_store: MakeStore, make_service: MakeService
) -> None:
    store = make_store()
    settings = {"DRIFT_STORE__URL": store.url, "DRIFT_STORE__TIMEOUT_SECONDS": "1"}
    service = make_service(*INGESTING, **settings, DRIFT_STORE__ACKNOWLEDGE="memory", DRIFT_HTTP__DRAIN_SECONDS="60")
    service.start()
    with service.client() as client:
        register(client)
        assert send(client, 0).json() == {"batch": "batch-0-", "rows": 1, "position": None}
        with store.client() as direct:
            eventually(lambda: distinct_rows(direct) == [0.0], "it is in the store")
        store.pause()
        assert [send(client, number).status_code for number in range(1, 20)] == [200] * 19
        assert client.get("/readyz").status_code == 503
    service.ask_to_stop()
    eventually(lambda: "Shutting down" in service.said(), "it begins to stop")
    store.resume()
    assert service.wait() == 0
    assert "lost" not in service.said()
    with store.client() as direct:
        assert distinct_rows(direct) == [float(number) for number in range(20)]
