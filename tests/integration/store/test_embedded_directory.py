"""One service a directory; its server goes with it, and its data stay."""

import threading
from pathlib import Path

import httpx
import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.integration.store.senders import register, verdicts, windows_of
from tests.processes.fixtures import MakeService
from tests.processes.services import ServiceProcess
from tests.processes.traffic import payload, rows
from tests.processes.waiting import eventually


def server_is_gone(service: ServiceProcess) -> bool:
    with service.embedded_server() as direct:
        try:
            direct.ping()
        except (RedisConnectionError, OSError):
            return True
    return False


def test_a_second_service_on_the_same_directory_is_refused(make_service: MakeService, tmp_path: Path) -> None:
    directory = str(tmp_path / "store")
    first, second = (make_service(DRIFT_STORE__EMBEDDED_DIRECTORY=directory) for _ in range(2))
    first.start()
    second.launch()
    assert second.wait() == 1
    said = second.said()
    assert "Traceback" not in said
    assert f"pid {first.pid}" in said
    assert "DRIFT_STORE__URL" in said
    with first.client() as client:
        assert client.get("/readyz").status_code == 200


def test_sigterm_answers_the_request_under_way_and_stops_the_server(make_service: MakeService) -> None:
    service = make_service()
    service.start()
    with service.client() as client:
        register(client)
    answers: list[int] = []
    released = threading.Event()
    begun = threading.Event()

    def body() -> object:
        yield b'{"rows": ['
        begun.set()
        released.wait(30)
        yield b"[1, 2, 3]]}"

    def send() -> None:
        with service.client() as client:
            headers = {"Content-Type": "application/json"}
            answers.append(client.post("/v1/models/churn/observations", content=body(), headers=headers).status_code)  # type: ignore[arg-type]

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    assert begun.wait(30)
    stopping = threading.Thread(target=service.stop, daemon=True)
    stopping.start()
    eventually(lambda: "Shutting down" in service.said(), "the service is told to stop")
    released.set()
    sender.join(60)
    stopping.join(60)
    assert answers == [200]
    assert server_is_gone(service)


def test_nothing_new_is_taken_once_it_stops(make_service: MakeService) -> None:
    service = make_service()
    service.start()
    assert service.stop() == 0
    with pytest.raises(httpx.ConnectError), service.client() as client:
        client.get("/livez")
    assert server_is_gone(service)
    assert "Traceback" not in service.said()


def test_everything_survives_an_ordinary_restart(make_service: MakeService) -> None:
    service = make_service()
    service.start()
    with service.client() as client:
        register(client)
        body = payload(rows(1, 70))
        assert client.post("/v1/models/churn/observations", json=body, headers={"Idempotency-Key": "k"}).is_success
        windows_of(client, 1)
        before = verdicts(client)
    assert service.stop() == 0
    service.start()
    with service.client() as client:
        assert verdicts(client) == before
        assert client.post("/v1/models/churn/observations", json=body, headers={"Idempotency-Key": "k"}).is_success
        assert client.post("/v1/models/churn/observations", json=payload(rows(2, 30))).is_success
        after = windows_of(client, 2)[1]
        assert (after["batches"], after["duplicates"]) == (
            2,
            0,
        )  # what was sent again is answered, and not stored again


def test_the_directory_is_nobody_elses(make_service: MakeService, tmp_path: Path) -> None:
    directory = tmp_path / "private"
    service = make_service(DRIFT_STORE__EMBEDDED_DIRECTORY=str(directory))
    service.start()
    assert directory.stat().st_mode & 0o077 == 0
    assert (directory / "valkey.sock").stat().st_mode & 0o077 == 0
