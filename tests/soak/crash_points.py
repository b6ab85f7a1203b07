"""Workers die at random places of their cycle, two at a time; each window is judged, each action delivered once."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from redis import Redis

from tests.integration.store.rows import windows
from tests.integration.store.senders import WINDOW, register, windows_of
from tests.processes.dying_workers import dying_workers
from tests.processes.services import ServiceProcess
from tests.processes.stores import StoreServer
from tests.processes.traffic import payload, rows
from tests.processes.waiting import eventually_all

ROWS_EACH = 80
"""In a batch: windows begin and end within batches."""
LATEST = 70
"""Of the commands at which a worker dies; by then it has judged half a dozen windows."""
SETTINGS = {
    "DRIFT_STORE__KEPT_BATCHES": "90000",
    "DRIFT_EVALUATION__POLL_SECONDS": "0.05",
    "DRIFT_EVALUATION__CLAIM_SECONDS": "0.2",
}


def die_at_random_places(
    make_service: Callable[..., ServiceProcess], store: StoreServer, logs: Path, lives: int, seed: int
) -> int:
    """Let so many workers die, let one finish, and check everything; how many windows there were."""
    settings = {"DRIFT_STORE__URL": store.url, **SETTINGS}
    ingest = make_service("serve", "--ingest-only", **settings)
    ingest.start()
    total = lives * 3
    with ingest.client() as client, store.client() as direct:
        register(client)
        _send(client, total * WINDOW // ROWS_EACH)
        whole = total * WINDOW // ROWS_EACH * ROWS_EACH // WINDOW
        generator = np.random.default_rng(seed)
        with ThreadPoolExecutor(2) as threads:
            halves = [(lives // 2, generator.integers(2**31)), (lives - lives // 2, generator.integers(2**31))]
            ended = [
                threads.submit(_live, logs / f"dying-{index}.log", settings, count, int(each))
                for index, (count, each) in enumerate(halves)
            ]
            statuses = [status for each in ended for status in each.result()]
        assert statuses == [-9] * lives
        survivor = make_service("worker", **settings)
        survivor.start()
        found = windows_of(client, whole)
        _check(direct, found)
        assert survivor.stop() == 0
    assert ingest.stop() == 0
    return whole


def _send(client, batches: int) -> None:
    """Half of the windows drift; every batch comes twice."""
    for number in range(batches):
        body = payload(rows(number, ROWS_EACH, shift=3.0 * (number // 3 % 2)))
        for _ in range(2):
            headers = {"Idempotency-Key": f"batch {number}"}
            answer = client.post("/v1/models/churn/observations", json=body, headers=headers)
            assert answer.status_code == 200, answer.text


def _live(log: Path, settings: dict[str, str], lives: int, seed: int) -> list[int]:
    generator = np.random.default_rng(seed)
    with dying_workers(log, settings) as workers:
        return [
            workers.live(int(generator.integers(1, LATEST + 1)), after=bool(generator.integers(2)))
            for _ in range(lives)
        ]


def _check(direct: Redis, found: list[dict]) -> None:
    committed = [json.loads(fields[b"v"]) for _, fields in direct.xrange("driftwarden:{churn}:verdicts")]
    assert [each["number"] for each in committed] == list(range(1, len(found) + 1))
    cursors = [(each["cursor"]["position"], each["cursor"]["offset"]) for each in committed]
    assert cursors == list(windows(direct, WINDOW, 3))
    wanted = [each["action"]["name"] for each in committed if each["action"]]
    assert wanted
    assert len(set(wanted)) == len(wanted)

    def delivered() -> list[str]:
        entries = direct.xrange("driftwarden:{churn}:deliveries")
        return [json.loads(fields[b"d"])["receipt"]["name"] for _, fields in entries]

    eventually_all(lambda: len(delivered()), len(wanted), "actions are delivered")
    assert delivered() == wanted, "every action is delivered once, in order"
