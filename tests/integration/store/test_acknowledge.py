"""What each acknowledge level promises, seen from outside the process."""

from pathlib import Path

import httpx

from tests.integration.store.rows import distinct_rows
from tests.integration.store.senders import register
from tests.processes.fixtures import MakeService, MakeStore
from tests.processes.traffic import numbered
from tests.processes.waiting import eventually
from tests.soak.disk_order import ALWAYS, answers_follow_the_disk

OBSERVATIONS = "/v1/models/churn/observations"
INGESTING = ("serve", "--ingest-only")


def send(client: httpx.Client, number: int) -> httpx.Response:
    headers = {"Idempotency-Key": f"batch-{number}-"}
    return client.post(OBSERVATIONS, json={"rows": numbered(number, 1)}, headers=headers)


def test_at_fsync_no_answer_precedes_the_disk(make_store: MakeStore, make_service: MakeService, tmp_path: Path) -> None:
    answers_follow_the_disk(make_store, make_service, tmp_path, batches=80, senders=4)


def test_at_fsync_a_store_that_no_longer_writes_to_its_disk_is_no_acknowledgement(
    make_store: MakeStore, make_service: MakeService
) -> None:
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
