"""What was acknowledged is there after service and store were killed together, again and again (SIGKILL).

In the suite a few times; `DRIFTWARDEN_SOAK=1` (make soak): twenty times over fifty thousand batches.
"""

import os
import random

import pytest
from redis import Redis

from tests.integration.store.rows import distinct_rows
from tests.integration.store.senders import acknowledged, register, sending
from tests.processes.fixtures import MakeService, MakeStore
from tests.processes.waiting import eventually

SOAK = os.environ.get("DRIFTWARDEN_SOAK") == "1"
KILLS, BATCHES, SENDERS = (20, 50_000, 8) if SOAK else (3, 600, 4)
LEVELS = ["log", "fsync"] if SOAK else ["log"]
KEEP_ALL = {
    "DRIFT_STORE__KEPT_BATCHES": "99000",
    "DRIFT_STORE__RETAINED_BYTES": str(2**30),
    "DRIFT_STORE__MAX_WAITING_BATCHES": "250000",
}


@pytest.mark.timeout(7200 if SOAK else 180)
@pytest.mark.parametrize("level", LEVELS)
def test_acknowledged_batches_survive_kills_of_service_and_store(
    make_store: MakeStore, make_service: MakeService, level: str
) -> None:
    store = make_store("valkey", "--appendfsync", "always" if level == "fsync" else "everysec")
    service = make_service(DRIFT_STORE__URL=store.url, DRIFT_STORE__ACKNOWLEDGE=level, **KEEP_ALL)
    service.start()
    with service.client() as client:
        register(client)
    each, draw = BATCHES // SENDERS, random.Random(7)  # noqa: S311 - when it is killed is no secret
    with sending(lambda: service, SENDERS, each, rows_each=1) as senders:
        for kill in range(KILLS):
            wanted = BATCHES * (kill + draw.random()) / (KILLS + 1)
            eventually(lambda wanted=wanted: acknowledged(senders) >= wanted, "batches are acknowledged", timeout_s=600)
            for victim in draw.sample([service, store], 2):
                victim.kill()
            at_the_kill = acknowledged(senders)
            store.start()
            with store.client() as direct:
                assert present(direct) >= at_the_kill, "an acknowledged batch is not in the log"
            service.start(timeout_s=120)
        eventually(lambda: acknowledged(senders) == each * SENDERS, "everything is acknowledged", timeout_s=1200)
    with store.client() as direct:
        assert sorted(distinct_rows(direct)) == [float(number) for number in range(each * SENDERS)]


def present(direct: Redis) -> int:
    return len(distinct_rows(direct))
