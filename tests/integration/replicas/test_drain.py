"""SIGTERM under load, with sockets that stalled and a test that takes minutes: the process ends within its grace."""

import pytest

from tests.integration.replicas.fleet import SETTINGS, metric
from tests.integration.store.senders import register
from tests.processes.fixtures import MakeService, MakeStore
from tests.processes.traffic import payload, rows
from tests.processes.waiting import eventually
from tests.soak.drain import GRACE_SECONDS, SLOW_PLAN, drain


@pytest.mark.parametrize("arguments", [["serve"], ["serve", "--ingest-only"]])
def test_a_process_that_is_told_to_stop_under_load_loses_nothing_and_ends_in_time(
    make_store: MakeStore, make_service: MakeService, arguments: list[str]
) -> None:
    drain(make_store, make_service, *arguments, clients=16, stalled=40, DRIFT_HTTP__DRAIN_SECONDS="3")


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
