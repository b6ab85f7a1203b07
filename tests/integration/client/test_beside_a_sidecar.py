"""An application goes on as ever while its sidecar hangs, is killed, and comes back; and each row counts once."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.client.applications import LIMITS, Application, application
from tests.integration.service.test_windows import put_under_watch
from tests.integration.sidecar.chain import Chain, a_chain
from tests.integration.store.rows import distinct_rows
from tests.processes.stores import free_port
from tests.processes.waiting import eventually


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    """Its sidecar keeps its port when it is started again."""
    with a_chain(tmp_path, 1, DRIFT_HTTP__PORT=str(free_port())) as made:
        made.start()
        with made.central.client() as client:
            put_under_watch(client, "churn", {"rows": 1000})
        yield made


def ask(running: Application, first: int, count: int) -> None:
    """The application's answers are right, and its copies are within their bounds."""
    for number in range(first, first + count):
        answer = running.http.post("/predict", json={"instances": [[float(number), 0.5, -0.5]]})
        assert answer.json() == {"predictions": [number]}
        counters = running.counters()
        assert counters["waiting"] <= LIMITS.max_copies
        assert counters["held_bytes"] <= LIMITS.max_bytes


def test_an_application_is_not_disturbed_by_what_its_sidecar_suffers(chain: Chain, tmp_path: Path) -> None:
    (sidecar,) = chain.sidecars
    with application(tmp_path, sidecar.url) as running:
        for first in range(0, 50, 10):  # no more at a time than may wait, however slow the machine is
            ask(running, first, 10)
            assert running.settled()["dropped"] == {}

        os.kill(sidecar.pid, signal.SIGSTOP)
        ask(running, 50, 60)
        hung = running.counters()
        assert (hung["accepted"], hung["waiting"]) == (50, LIMITS.max_copies)
        assert hung["dropped"] == {"full": 60 - LIMITS.max_copies}
        eventually(lambda: running.counters()["retried"], "what hangs is given up, and tried again")
        os.kill(sidecar.pid, signal.SIGCONT)
        assert running.settled()["accepted"] == 50 + LIMITS.max_copies

        sidecar.kill()
        ask(running, 110, 60)
        sidecar.start()
        found = running.settled()
        assert found["dropped"] == {"full": 2 * (60 - LIMITS.max_copies)}
        accepted = found["accepted"]
        assert accepted == 50 + 2 * LIMITS.max_copies
    with chain.central.embedded_server() as direct:
        eventually(lambda: len(distinct_rows(direct)) >= accepted, "everything is forwarded")
        expected = [*range(50 + LIMITS.max_copies), *range(110, 110 + LIMITS.max_copies)]
        assert sorted(distinct_rows(direct)) == expected
