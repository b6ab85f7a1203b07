"""From rows over HTTP to a retraining Job: three replicas, one store, a real API server, only the shipped Role."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from service.adapters.embedded_store import embedded_store
from service.demo.service_process import running_service
from tests.cluster.api import wait_until
from tests.cluster.control_plane import ControlPlane
from tests.cluster.fixtures import Account

MODEL = "/v1/models/fraud"
WINDOW = 50
REPLICAS = 3
PLAN = {
    "window": {"rows": WINDOW},
    "detectors": [{"name": "kolmogorov_smirnov", "minimum_effect": 0.1}],
    "response": {"confirm": 2, "out_of": 3, "cool_down": 5},
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[str]:
    with embedded_store(tmp_path / "store") as url:
        yield url


@pytest.fixture
def replicas(store: str, account: Account, tmp_path: Path) -> Iterator[list[httpx.Client]]:
    """Three processes that share a store and act as the shipped ServiceAccount."""
    with ExitStack() as stack:
        clients = []
        for index in range(REPLICAS):
            directory = tmp_path / f"replica-{index}"
            directory.mkdir()
            url = stack.enter_context(
                running_service(
                    directory,
                    DRIFT_STORE__URL=store,
                    DRIFT_EVALUATION__POLL_SECONDS="0.1",
                    DRIFT_TRIGGER__KIND="kubernetes",
                    DRIFT_TRIGGER__VETTING="advisory",
                    DRIFT_TRIGGER__KUBECONFIG=str(account.kubeconfig),
                    DRIFT_TRIGGER__NAMESPACE=account.retraining_namespace,
                    DRIFT_TRIGGER__TIMEOUT_SECONDS="2",
                    DRIFT_TRIGGER__FIRST_RETRY_SECONDS="0.2",
                    DRIFT_TRIGGER__LONGEST_RETRY_SECONDS="1",
                )
            )
            clients.append(stack.enter_context(httpx.Client(base_url=url, timeout=30, trust_env=False)))
        yield clients


def register(client: httpx.Client) -> None:
    reference = np.random.default_rng(1).normal(size=(2_000, 3)).tolist()
    client.put(f"{MODEL}/reference", json={"features": ["a", "b", "c"], "rows": reference}).raise_for_status()
    client.put(f"{MODEL}/plan", json=PLAN).raise_for_status()


def send_windows(replicas: list[httpx.Client], windows: int, shift: float, seed: int) -> None:
    """Spread the rows over all replicas, ten to a request."""
    rows = np.random.default_rng(seed).normal(loc=shift, size=(windows * WINDOW, 3))
    for first, client in zip(range(0, len(rows), 10), cycle(replicas)):
        client.post(f"{MODEL}/observations", json={"rows": rows[first : first + 10].tolist()}).raise_for_status()


def verdicts(client: httpx.Client) -> list[dict[str, Any]]:
    answer = client.get(f"{MODEL}/verdicts", params={"limit": 1000}).raise_for_status()
    return list(reversed(answer.json()["verdicts"]))


def acting(client: httpx.Client) -> list[dict[str, Any]]:
    return [verdict["action"] for verdict in verdicts(client) if verdict["action"] is not None]


def delivered(client: httpx.Client, actions: int) -> bool:
    found = acting(client)
    return len(found) == actions and all(action["outcome"] is not None for action in found)


def total(replicas: list[httpx.Client], metric: str) -> float:
    """The sum of a metric over its series and the replicas."""
    lines = (line for client in replicas for line in client.get("/metrics").text.splitlines())
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(metric + "{"))


def test_drift_becomes_exactly_one_job_while_three_replicas_race(
    replicas: list[httpx.Client], account: Account
) -> None:
    register(replicas[0])
    send_windows(replicas, windows=6, shift=0.0, seed=2)
    wait_until(lambda: len(verdicts(replicas[0])) == 6, "six calm windows are judged", timeout_s=60)
    assert account.jobs() == []

    send_windows(replicas, windows=10, shift=2.0, seed=3)
    wait_until(lambda: len(verdicts(replicas[1])) == 16, "ten more windows are judged", timeout_s=60)
    # Confirmed by the second drifted window; five windows of cool-down; confirmed anew by the two after it.
    # The first has made a Job, which runs: so the second is refused.
    wait_until(lambda: delivered(replicas[1], 2), "both actions are delivered", timeout_s=60)

    found = verdicts(replicas[2])
    assert [verdict["number"] for verdict in found] == list(range(1, 17))
    assert [verdict["first_row"] for verdict in found] == [WINDOW * index for index in range(16)]
    assert [verdict["finding"] for verdict in found[6:]] == ["DRIFT"] * 10

    jobs = account.jobs()
    first, second = acting(replicas[0])
    assert [job["metadata"]["name"] for job in jobs] == [first["name"]]
    assert [first["outcome"], second["outcome"]] == ["CREATED", "REFUSED"]
    assert second["detail"].startswith("pace: under_way:")
    assert {job["metadata"]["labels"]["driftwarden.dev/model"] for job in jobs} == {"fraud"}
    wait_until(lambda: len(account.pods()) == 1, "the Job controller makes the Job's Pod", timeout_s=60)

    assert total(replicas, "driftwarden_windows_total") == 16
    assert total(replicas, "driftwarden_actions_total") == 2


def test_an_action_waits_in_the_outbox_while_the_api_server_is_away_and_is_delivered_once(
    replicas: list[httpx.Client], account: Account, control_plane: ControlPlane
) -> None:
    register(replicas[0])
    control_plane.stop_api_server()
    send_windows(replicas, windows=3, shift=2.0, seed=4)
    wait_until(lambda: len(verdicts(replicas[0])) == 3, "drift is found without the API server", timeout_s=60)
    wait_until(
        lambda: total(replicas, "driftwarden_delivery_failures_total") >= REPLICAS, "all have tried", timeout_s=60
    )
    waiting = acting(replicas[0])
    assert [action["outcome"] for action in waiting] == [None]
    assert all(client.get("/readyz").status_code == 200 for client in replicas), "rows are still taken"
    send_windows(replicas, windows=1, shift=2.0, seed=5)

    control_plane.start_api_server()
    wait_until(lambda: delivered(replicas[0], 1), "the action is delivered", timeout_s=60)
    assert Counter(job["metadata"]["name"] for job in account.jobs()) == {waiting[0]["name"]: 1}
