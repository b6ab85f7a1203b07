"""The store hangs, is full or takes no writes: the service says so, in time, and is well again by itself."""

from collections import Counter
from functools import partial

import httpx
import pytest

from service.settings import StoreSettings
from tests.integration.store.senders import register, windows_of
from tests.processes.fixtures import MakeService, MakeStore
from tests.processes.traffic import SMALL_PLAN, payload, rows
from tests.processes.waiting import eventually

QUICK = {"DRIFT_EVALUATION__POLL_SECONDS": "0.1"}
"""Stores that say no say so at once."""
SILENT = {**QUICK, "DRIFT_STORE__TIMEOUT_SECONDS": "0.5"}
OBSERVATIONS = "/v1/models/churn/observations"


def assert_unavailable(answer: httpx.Response, problem: str = "store-unavailable") -> None:
    assert answer.status_code == 503, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json()["type"] == f"urn:driftwarden:problem:{problem}"


def recovers(client: httpx.Client) -> None:
    eventually(lambda: client.get("/readyz").status_code == 200, "the service is ready again")
    eventually(
        lambda: (
            client.post(OBSERVATIONS, json=payload(rows(1, 50)), headers={"Idempotency-Key": "after"}).status_code
            == 200
        ),
        "batches are taken again",
    )


def test_a_store_that_hangs_is_given_up_on_within_the_timeout(make_store: MakeStore, make_service: MakeService) -> None:
    store = make_store()
    service = make_service(DRIFT_STORE__URL=store.url, **SILENT)
    service.start()
    with service.client() as client:
        register(client)
        store.pause()
        assert_unavailable(client.post(OBSERVATIONS, json=payload(rows(1, 1))))
        assert_unavailable(client.get("/readyz"))
        assert_unavailable(client.get("/v1/models/churn/verdicts"))
        assert client.get("/livez").status_code == 200
        assert client.get("/metrics").status_code == 200
        store.resume()
        recovers(client)
        assert eventually(lambda: client.get("/v1/models/churn/verdicts").json()["verdicts"], "a verdict")


def test_as_delivered_a_refusal_comes_within_two_seconds() -> None:
    """The promise (R6) leaves half a second for all else; `make soak` measures it."""
    assert StoreSettings().timeout_seconds <= 1.5


def test_a_full_store_takes_no_batch_and_the_service_is_not_ready(
    make_store: MakeStore, make_service: MakeService
) -> None:
    store = make_store("valkey", "--maxmemory-policy", "noeviction")
    service = make_service(DRIFT_STORE__URL=store.url, **QUICK)
    service.start()
    with service.client() as client, store.client() as direct:
        register(client)
        direct.config_set("maxmemory", "1mb")
        refused = client.post(OBSERVATIONS, json=payload(rows(1, 1)))
        assert_unavailable(refused, "store-full")
        assert "OOM" in refused.json()["detail"]
        assert_unavailable(client.get("/readyz"), "store-full")
        assert_unavailable(client.put("/v1/models/other/reference", json=payload(rows(1, 500))), "store-full")
        direct.config_set("maxmemory", "0")
        recovers(client)
        windows_of(client, 1)


def test_a_store_full_of_judged_rows_makes_room_for_new_ones(make_store: MakeStore, make_service: MakeService) -> None:
    store = make_store("valkey", "--maxmemory-policy", "noeviction")
    service = make_service(DRIFT_STORE__URL=store.url, **QUICK)
    service.start()
    with service.client() as client, store.client() as direct:
        register(client)
        plan = {**SMALL_PLAN, "window": {"rows": 8000}}
        assert client.put("/v1/models/churn/plan", json=plan).status_code == 200
        direct.config_set("maxmemory", direct.info("memory")["used_memory"] + 6 * 2**20)
        batch = payload(rows(1, 8000))  # some 190 KB in the store: thirty fill it, and by default more are kept
        statuses = Counter[int]()

        def taken(number: int) -> bool:
            headers = {"Idempotency-Key": f"batch {number}"}
            status = client.post(OBSERVATIONS, json=batch, headers=headers).status_code
            statuses[status] += 1
            return status == 200

        for number in range(80):
            eventually(partial(taken, number), "a batch is taken")
        assert set(statuses) == {200, 503}, "the store was full in between"
        eventually(lambda: client.get("/v1/models/churn/verdicts").json()["verdicts"][0]["number"] == 80, "80 verdicts")


def test_a_store_that_became_a_replica_takes_no_batch_and_the_service_is_not_ready(
    make_store: MakeStore, make_service: MakeService
) -> None:
    primary, store = make_store(), make_store()
    service = make_service(DRIFT_STORE__URL=store.url, **QUICK)
    service.start()
    with service.client() as client, store.client() as direct, primary.client() as other:
        register(client)
        # The other one has the same data by then, as after a fail-over.
        other.replicaof("127.0.0.1", str(store.port))
        eventually(lambda: other.info("replication")["master_link_status"] == "up", "replication")
        other.replicaof("NO", "ONE")
        direct.replicaof("127.0.0.1", str(primary.port))
        eventually(lambda: direct.info("replication").get("master_link_status") == "up", "replication")
        refused = client.post(OBSERVATIONS, json=payload(rows(1, 1)))
        assert_unavailable(refused)
        assert "READONLY" in refused.json()["detail"]
        assert_unavailable(client.get("/readyz"))
        direct.replicaof("NO", "ONE")
        recovers(client)


def test_a_service_starts_before_its_store_and_is_ready_when_that_is(
    make_store: MakeStore, make_service: MakeService
) -> None:
    store = make_store()
    store.kill()
    service = make_service(DRIFT_STORE__URL=store.url, **QUICK)
    service.start()
    with service.client() as client:
        assert_unavailable(client.get("/readyz"))
        store.start()
        eventually(lambda: client.get("/readyz").status_code == 200, "the service is ready")
        register(client)


@pytest.mark.parametrize("password", ["wrong-hunter2"])
def test_a_store_that_refuses_the_password_is_told_without_it(
    make_store: MakeStore, make_service: MakeService, password: str
) -> None:
    store = make_store("valkey")
    with store.client() as direct:
        direct.config_set("requirepass", "right")
        service = make_service(DRIFT_STORE__URL=f"redis://:{password}@127.0.0.1:{store.port}/0", **QUICK)
        service.start()
        with service.client() as client:
            answer = client.get("/readyz")
            assert_unavailable(answer)
            assert "credentials" in answer.json()["detail"]
            eventually(lambda: "fails and will be tried again" in service.said(), "the log says what is wrong")
        assert password not in service.said()
