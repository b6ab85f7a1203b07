"""The store or the service is killed at the worst moment: what was acknowledged is judged, once."""

import itertools
import json

import httpx
import pytest

from tests.integration.store.rows import distinct_rows, windows
from tests.integration.store.senders import WINDOW, acknowledged, register, sending, verdicts, windows_of
from tests.processes.fixtures import MakeService, MakeStore
from tests.processes.traffic import SMALL_PLAN, payload, rows
from tests.processes.waiting import eventually

KEEP_ALL = {"DRIFT_STORE__KEPT_BATCHES": "90000", "DRIFT_EVALUATION__POLL_SECONDS": "0.1"}
SENDERS, BATCHES = 4, 100
WINDOWS = SENDERS * BATCHES * 5 // WINDOW


def is_ready(client: httpx.Client) -> bool:
    return client.get("/readyz").status_code == 200


@pytest.mark.parametrize("flavour", ["valkey", "redis"])
def test_a_store_that_is_killed_under_load_loses_nothing_acknowledged(
    make_store: MakeStore, make_service: MakeService, flavour: str
) -> None:
    store = make_store(flavour, "--appendfsync", "always")
    service = make_service(DRIFT_STORE__URL=store.url, **KEEP_ALL)
    service.start()
    with service.client() as client, store.client() as direct:
        register(client)
        with sending(lambda: service, SENDERS, BATCHES) as senders:
            for part in (1, 2):
                eventually(lambda part=part: acknowledged(senders) > part * 100, "batches are acknowledged")
                store.kill()
                eventually(lambda: not is_ready(client), "the service says that it is not ready")
                refusals = sum(len(sender.refusals) for sender in senders)
                eventually(
                    lambda refusals=refusals: sum(len(sender.refusals) for sender in senders) > refusals,
                    "batches are refused",
                )
                store.start()
                eventually(lambda: is_ready(client), "the service is ready again, by itself")
        for refused in (answer for sender in senders for answer in sender.refusals):
            assert refused.status_code == 503
            assert refused.headers["content-type"] == "application/problem+json"
            assert int(refused.headers["retry-after"]) > 0
        assert sum(sender.broken_connections for sender in senders) == 0
        found = windows_of(client, WINDOWS)
        assert sum(each["rows"] for each in found) == SENDERS * BATCHES * 5
        assert sorted(distinct_rows(direct)) == [float(number) for number in range(SENDERS * BATCHES * 5)]
        committed = direct.xrange("driftwarden:{churn}:verdicts")
        cursors = [json.loads(fields[b"v"])["cursor"] for _, fields in committed]
        assert [(each["position"], each["offset"]) for each in cursors] == list(windows(direct, WINDOW, 3))


def test_a_service_that_is_killed_while_it_judges_is_continued_by_the_next(make_service: MakeService) -> None:
    """On the same embedded directory: its server was orphaned, and is taken over with everything in it."""
    service = make_service(**KEEP_ALL)
    service.start()
    with service.client() as client:
        register(client, plan={**SMALL_PLAN, "detectors": [{"name": "maximum_mean_discrepancy"}]})
    with service.embedded_server() as direct:
        server = direct.info("server")["process_id"]
    with sending(lambda: service, SENDERS, BATCHES) as senders:
        for part in (1, 2, 3):
            eventually(lambda part=part: acknowledged(senders) > part * 90, "batches are acknowledged")
            service.kill()
            service.start()
    with service.client() as client, service.embedded_server() as direct:
        windows_of(client, WINDOWS)
        assert direct.info("server")["process_id"] == server
        assert sorted(distinct_rows(direct)) == [float(number) for number in range(SENDERS * BATCHES * 5)]
        actions = [fields for _, fields in direct.xrange("driftwarden:{churn}:deliveries")]
        names = [json.loads(fields[b"d"])["receipt"]["name"] for fields in actions]
        wanted = [each["action"]["name"] for each in verdicts(client) if each["action"]]
        assert len(set(names)) == len(names)
        assert set(names) <= set(wanted)
    assert service.stop() == 0


def test_service_and_embedded_server_killed_together_lose_nothing_that_was_written(make_service: MakeService) -> None:
    service = make_service()
    service.start()
    with service.client() as client:
        register(client)
        for seed in range(10):
            answer = client.post("/v1/models/churn/observations", json=payload(rows(seed, 10)))
            assert answer.status_code == 200
        before = windows_of(client, 2)
    service.kill()
    with service.embedded_server() as direct:
        direct.shutdown(nosave=True, force=True)  # its socket file is left behind, as after SIGKILL
    service.start()
    with service.client() as client:
        assert [each["number"] for each in verdicts(client)] == [each["number"] for each in before]
        assert client.post("/v1/models/churn/observations", json=payload(rows(99, 50))).status_code == 200
        windows_of(client, 3)


def test_an_embedded_server_that_dies_is_an_outage_and_no_obstacle_to_stopping(make_service: MakeService) -> None:
    service = make_service()
    service.start()
    with service.client() as client:
        register(client)
        with service.embedded_server() as direct:
            direct.shutdown(nosave=True, force=True)
        refused = client.post("/v1/models/churn/observations", json=payload(rows(1, 1)))
        assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
        assert client.get("/readyz").status_code == 503
        assert client.get("/livez").status_code == 200
    assert service.stop() == 0


def test_three_replicas_on_one_store_judge_each_window_once(make_store: MakeStore, make_service: MakeService) -> None:
    store = make_store()
    replicas = [make_service(DRIFT_STORE__URL=store.url, **KEEP_ALL) for _ in range(3)]
    for replica in replicas:
        replica.start()
    turns = itertools.cycle(replicas)
    with replicas[0].client() as client, store.client() as direct:
        register(client)
        with sending(lambda: next(turns), SENDERS, BATCHES):
            pass
        found = windows_of(client, WINDOWS)
        cursors = [json.loads(fields[b"v"])["cursor"] for _, fields in direct.xrange("driftwarden:{churn}:verdicts")]
        assert [(each["position"], each["offset"]) for each in cursors] == list(windows(direct, WINDOW, 3))
        assert sorted(distinct_rows(direct)) == [float(number) for number in range(SENDERS * BATCHES * 5)]
        # Every window drifts (its rows are numbered), so every verdict has an action: each is delivered once.
        last = found[-1]["number"]
        eventually(lambda: verdicts(client)[-1]["action"]["outcome"], "the last action is delivered")
        delivered = [fields for _, fields in direct.xrange("driftwarden:{churn}:deliveries")]
        names = [json.loads(fields[b"d"])["receipt"]["name"] for fields in delivered]
        assert len(names) == len(set(names)) == last
        assert names == [each["action"]["name"] for each in verdicts(client)]
