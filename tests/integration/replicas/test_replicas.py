"""Any number of processes on one store: the work is spread, handed over and taken over, and each window judged once."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.replicas.fleet import Fleet, metric, metrics, running_fleet, until
from tests.integration.replicas.retries import RetryingClient
from tests.integration.store.rows import distinct_rows, windows
from tests.integration.store.senders import WINDOW, register, verdicts, windows_of
from tests.processes.fixtures import MakeService
from tests.processes.traffic import payload, rows
from tests.processes.waiting import eventually


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with running_fleet(tmp_path_factory.mktemp("fleet")) as running:
        yield running


def observe(fleet: Fleet, model: str, seed: int, count: int = 5) -> None:
    service = fleet.ingesting[seed % 2]
    with service.client() as client:
        answer = client.post(f"/v1/models/{model}/observations", json=payload(rows(seed, count)))
        assert answer.status_code == 200, answer.text


def test_batches_sent_one_to_five_times_at_once_while_a_replica_dies_count_once(fleet: Fleet) -> None:
    with fleet.ingesting[0].client() as client:
        register(client)
    sender = RetryingClient(fleet.ingesting, "churn", rows_each=7)
    sending = threading.Thread(target=sender.send, args=(range(200), 1), daemon=True)
    sending.start()
    eventually(lambda: len(sender.acknowledged) > 60, "batches are acknowledged")
    fleet.ingesting[1].kill()
    eventually(lambda: len(sender.acknowledged) > 120, "batches are acknowledged by the other one")
    fleet.ingesting[1].start()
    sending.join(120)
    assert sender.acknowledged == set(range(200))
    assert sender.sent > 300
    with fleet.ingesting[0].client() as client, fleet.store.client() as direct:
        found = windows_of(client, 200 * 7 // WINDOW)
        assert sorted(distinct_rows(direct)) == [float(number) for number in range(200 * 7)]
        committed = [json.loads(fields[b"v"])["cursor"] for _, fields in direct.xrange("driftwarden:{churn}:verdicts")]
        assert [(each["position"], each["offset"]) for each in committed] == list(windows(direct, WINDOW, 3))
        repeated = direct.xlen("driftwarden:{churn}:observations") - 200
        # Few are in the log at all, because the store knows their names; the last of these may follow the last window.
        assert sum(each["duplicates"] for each in found) <= repeated


def test_models_are_spread_and_those_of_a_killed_process_are_taken_over(fleet: Fleet) -> None:
    models = [f"spread-{index}" for index in range(6)]
    with fleet.ingesting[0].client() as client:
        for model in models:
            register(client, model)
    seeds = iter(range(1, 1_000_000))

    def traffic() -> None:
        for model in models:
            observe(fleet, model, next(seeds))

    with fleet.store.client() as direct:

        def owners() -> Counter[str]:
            found = [fleet.owner(direct, model) for model in models]
            return Counter(owner.url for owner in found if owner is not None)

        until(lambda: sorted(owners().values()) == [2, 2, 2], "each process has its share", traffic)
        worker = fleet.worker
        until(lambda: metric(worker, "driftwarden_claimed_models") >= 2, "the metric says so", traffic)
        assert metric(worker, "driftwarden_evaluators") >= 3
        worker.kill()
        until(lambda: sorted(owners().values()) == [3, 3], "the other two have all", traffic)
        until(
            lambda: sum(metric(service, "driftwarden_takeovers_total") for service in fleet.ingesting) >= 2,
            "takeovers are counted",
            traffic,
        )
        worker.start()
        until(lambda: sorted(owners().values()) == [2, 2, 2], "it has its share again", traffic)
    with fleet.ingesting[0].client() as client:
        for model in models:
            found = verdicts(client, model)
            assert [each["number"] for each in found] == list(range(1, len(found) + 1))


def test_a_process_that_stops_leaves_its_models_to_the_others_at_once(fleet: Fleet) -> None:
    with fleet.ingesting[0].client() as client:
        register(client, "left")
    seeds = iter(range(1, 1_000_000))
    with fleet.store.client() as direct:
        until(
            lambda: fleet.owner(direct, "left") is not None,
            "somebody has the model",
            lambda: observe(fleet, "left", next(seeds)),
        )
        owner = fleet.owner(direct, "left")
        assert owner is not None
        url = owner.url
        assert owner.stop() == 0
        claim = direct.get("driftwarden:{left}:claim:evaluation")
        assert claim is None or not url.endswith(claim.decode().rpartition(":")[2])
        said = direct.xrevrange("driftwarden:evaluators:evaluation", count=100)
        assert next(what for _, fields in said for what in fields if fields[what].endswith(url[-6:].encode())) == b"g"
        owner.start()


def test_every_process_shows_the_newest_verdict_whoever_judged_it(fleet: Fleet) -> None:
    with fleet.ingesting[0].client() as client:
        register(client, "shown")
        observe(fleet, "shown", 1, WINDOW * 3)
        windows_of(client, 3, "shown")
    for service in fleet.all:
        eventually(
            lambda service=service: 'driftwarden_verdict_number{model="shown"} 3.0' in metrics(service),
            "it shows the third verdict",
        )


def test_claims_that_cannot_be_had_stop_nothing(fleet: Fleet) -> None:
    """Claims of somebody who renews them and does nothing, and keys that are no claims at all."""
    with fleet.ingesting[0].client() as client, fleet.store.client() as direct:
        register(client, "hung")
        register(client, "damaged")
        direct.set("driftwarden:{hung}:claim:evaluation", "somebody else:1")
        with direct.pipeline() as at_once:
            at_once.delete("driftwarden:{damaged}:claim:evaluation").lpush(
                "driftwarden:{damaged}:claim:evaluation", "junk"
            )
            at_once.execute()
        for model in ("hung", "damaged"):
            observe(fleet, model, 1, WINDOW)
            windows_of(client, 1, model)
        direct.delete("driftwarden:{hung}:claim:evaluation", "driftwarden:{damaged}:claim:evaluation")


def test_without_claims_evaluation_goes_on_and_the_trouble_is_counted(fleet: Fleet) -> None:
    with fleet.ingesting[0].client() as client, fleet.store.client() as direct:
        register(client, "unclaimed")
        direct.set("driftwarden:evaluators:evaluation", "no stream")
        eventually(lambda: metric(fleet.worker, "driftwarden_claim_failures_total") > 0, "the trouble is counted")
        observe(fleet, "unclaimed", 1, WINDOW)
        windows_of(client, 1, "unclaimed")
        direct.delete("driftwarden:evaluators:evaluation")


def what_is_decided(verdict: dict[str, Any]) -> str:
    """All of a stored verdict but places in the log and times, which are the store's and the clock's."""
    differ = {"cursor", "start", "started_at", "ended_at", "decided_at", "action"}
    # But for the last part of its name, which says where in this store's log the window ends.
    action = verdict["action"] and verdict["action"]["name"].rpartition("-")[0]
    return json.dumps({**{key: value for key, value in verdict.items() if key not in differ}, "action": action})


def test_the_same_rows_through_another_number_of_replicas_give_the_same_bits(
    fleet: Fleet, make_service: MakeService
) -> None:
    plan = {
        "window": {"rows": WINDOW},
        "detectors": [{"name": "kolmogorov_smirnov"}, {"name": "maximum_mean_discrepancy"}],
        "response": {"confirm": 1, "out_of": 1, "cool_down": 2},
    }
    alone = make_service()
    alone.start()
    decided = []
    with fleet.ingesting[0].client() as many, alone.client() as one, fleet.store.client() as store:
        for client, direct in ((many, store), (one, alone.embedded_server())):
            register(client, "replayed", plan)
            for seed in range(60):
                body = payload(rows(seed, 21, shift=seed % 4 / 4))
                answer = client.post("/v1/models/replayed/observations", json=body, headers={"ce-id": str(seed)})
                assert answer.status_code == 200, answer.text
            windows_of(client, 60 * 21 // WINDOW, "replayed")
            stored = direct.xrange("driftwarden:{replayed}:verdicts")
            decided.append([what_is_decided(json.loads(fields[b"v"])) for _, fields in stored])
    assert decided[0] == decided[1]
    assert any('"action": "retrain-replayed-' in each for each in decided[0])
