"""Whoever judges a model is killed; how long until the next window of it is judged by somebody else."""

import time
from collections.abc import Callable

from tests.integration.store.senders import WINDOW, register, windows_of
from tests.processes.services import ServiceProcess
from tests.processes.stores import StoreServer
from tests.processes.traffic import payload, rows
from tests.processes.waiting import eventually
from tests.soak.figures import Figure, highest

INTERVAL_SECONDS = 6.0
"""DRIFT_EVALUATION__CLAIM_SECONDS and DRIFT_EVALUATION__POLL_SECONDS as they are by default."""
CLAIM = "driftwarden:{churn}:claim:evaluation"


def take_over(
    make_store: Callable[..., StoreServer], make_service: Callable[..., ServiceProcess], *, kills: int
) -> list[Figure]:
    """Two workers and somebody who takes observations; the one that has the model is killed, again and again."""
    store = make_store()
    settings = {"DRIFT_STORE__URL": store.url, "DRIFT_STORE__KEPT_BATCHES": "90000"}
    ingest = make_service("serve", "--ingest-only", **settings)
    workers = [make_service("worker", **settings) for _ in range(2)]
    for process in (ingest, *workers):
        process.start()
    took = []
    with ingest.client() as client, store.client() as direct:
        register(client)

        def observe(seed: int) -> None:
            client.post("/v1/models/churn/observations", json=payload(rows(seed, WINDOW))).raise_for_status()

        def owner() -> ServiceProcess | None:
            port = (direct.get(CLAIM) or b"").decode().rpartition(":")[2]
            return next((each for each in workers if port and each.url.endswith(f":{port}")), None)

        for kill in range(kills):
            observe(2 * kill)
            windows_of(client, 2 * kill + 1)
            holding = eventually(owner, "a worker has the model")
            assert holding is not None
            holding.kill()
            began = time.monotonic()
            observe(2 * kill + 1)
            windows_of(client, 2 * kill + 2)
            took.append(time.monotonic() - began)
            holding.start()
    what = f"longest until another judged, {kills} kills of the worker that had the model"
    return [Figure("R8", what, highest(took), "s", at_most=2 * INTERVAL_SECONDS)]
