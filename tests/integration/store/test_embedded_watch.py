"""An embedded server that ends by itself is started again on the same data, unless the service is to end as well."""

import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis.exceptions import RedisError

from tests.integration.store.senders import register, verdicts, windows_of
from tests.processes.fixtures import MakeService
from tests.processes.services import ServiceProcess
from tests.processes.traffic import payload, rows
from tests.processes.waiting import eventually


@pytest.fixture
def service(make_service: MakeService) -> ServiceProcess:
    # At this level its server writes to the disk before it answers: killed at any moment, it has forgotten nothing.
    started = make_service(DRIFT_STORE__ACKNOWLEDGE="fsync")
    started.start()
    return started


def server_information(service: ServiceProcess) -> dict[str, Any]:
    """What the server says of itself; nothing, if it says nothing."""
    with service.embedded_server() as direct:
        try:
            found: dict[str, Any] = direct.info("server")
        except (RedisError, OSError):
            return {}
        return found


def server_pid(service: ServiceProcess) -> int:
    return int(server_information(service).get("process_id", 0))


def end_server(service: ServiceProcess) -> int:
    """As the kernel would when memory is short."""
    pid = server_pid(service)
    os.kill(pid, signal.SIGKILL)
    return pid


def another_server_runs(service: ServiceProcess, than: int) -> bool:
    return server_pid(service) not in {0, than}


def restarts(client: httpx.Client) -> float:
    (found,) = re.findall(
        r"^driftwarden_embedded_store_restarts_total (.*)$", client.get("/metrics").text, re.MULTILINE
    )
    return float(found)


def is_there(pid: int) -> bool:
    """Ended children that nobody has reaped are still there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def post(client: httpx.Client, seed: int, key: str) -> int:
    body = payload(rows(seed, 30))
    return client.post("/v1/models/churn/observations", json=body, headers={"Idempotency-Key": key}).status_code


def test_what_was_acknowledged_is_judged_after_the_server_was_killed(service: ServiceProcess) -> None:
    with service.client() as client:
        register(client)
        assert [post(client, 1, "a"), post(client, 2, "b")] == [200, 200]
        windows_of(client, 1)
        before = verdicts(client)
        ended = end_server(service)
        eventually(lambda: client.get("/readyz").status_code == 200 and server_pid(service) != ended, "it is back")
        assert not is_there(ended)
        assert verdicts(client) == before
        assert [post(client, 2, "b"), post(client, 3, "c"), post(client, 4, "d")] == [200] * 3
        windows_of(client, 2)
        waiting = 'driftwarden_waiting_rows{model="churn"} 20.0'  # of 120: what was sent again counts once
        eventually(lambda: waiting in client.get("/metrics").text, "the rest waits")
        eventually(lambda: restarts(client) == 1, "it is counted")
    assert service.said().count("ended by itself") == 1


def test_a_server_is_started_again_as_often_as_it_ends(service: ServiceProcess) -> None:
    with service.client() as client:
        for count in (1, 2):
            end_server(service)
            eventually(lambda count=count: restarts(client) == count, f"restart {count}")  # type: ignore[misc]


def test_a_server_that_was_taken_over_is_watched_too(service: ServiceProcess) -> None:
    taken_over = server_pid(service)
    service.kill()
    service.start()
    assert server_pid(service) == taken_over
    end_server(service)
    eventually(lambda: another_server_runs(service, taken_over), "a server of its own")
    assert service.stop() == 0
    assert server_pid(service) == 0


def test_a_server_that_cannot_be_started_again_ends_the_process(service: ServiceProcess) -> None:
    (manifest,) = (Path(service.log).parent / "store").rglob("*.manifest")
    manifest.write_text("this is no manifest")
    end_server(service)
    assert service.wait() == 1
    said = service.said()
    assert "driftwarden: the embedded store ended and 5 attempts to start it again failed" in said
    assert said.count("ended by itself") == 1
    assert "Traceback" not in said


@contextmanager
def request_under_way(service: ServiceProcess, answers: list[int]) -> Iterator[None]:
    """A batch whose last bytes are sent at the end of the context; what it is answered is put into the list."""
    begun, released = threading.Event(), threading.Event()

    def body() -> Iterator[bytes]:
        yield b'{"rows": ['
        begun.set()
        released.wait(30)
        yield b"[1, 2, 3]]}"

    def send() -> None:
        headers = {"Content-Type": "application/json"}
        with service.client() as client:
            answers.append(client.post("/v1/models/churn/observations", content=body(), headers=headers).status_code)

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    assert begun.wait(30)
    try:
        yield
    finally:
        released.set()
        sender.join(60)


def test_a_server_that_ends_while_the_service_stops_is_left_alone(service: ServiceProcess) -> None:
    with service.client() as client:
        register(client)
    answers: list[int] = []
    stopping = threading.Thread(target=service.stop, daemon=True)
    with request_under_way(service, answers):
        stopping.start()
        eventually(lambda: "Shutting down" in service.said(), "the service is told to stop")
        end_server(service)
        eventually(lambda: "is not started again" in service.said(), "the end is noticed")
    stopping.join(60)
    assert answers == [503]
    assert server_pid(service) == 0
    assert "ended by itself" not in service.said()
    assert "Traceback" not in service.said()


def test_an_interruption_from_the_terminal_does_not_reach_the_server(service: ServiceProcess) -> None:
    """Ctrl-C goes to every process of the terminal's group; the requests under way still need the store."""
    before = server_information(service)
    os.kill(before["process_id"], signal.SIGINT)
    # Its clock turns several times a second, and with each turn it looks for signals.
    later = before["uptime_in_seconds"] + 2
    eventually(lambda: server_information(service).get("uptime_in_seconds", 0) >= later, "its clock has turned")
    assert server_pid(service) == before["process_id"]
