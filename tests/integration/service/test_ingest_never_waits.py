"""Acknowledgements keep coming while a window is being tested: the order of events, not how long they take."""

import csv
import gzip
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.processes.fixtures import MakeService
from tests.processes.traffic import payload
from tests.processes.waiting import eventually

FLIGHTS = Path(__file__).resolve().parents[3] / "service/demo/data/laguardia_departures_2013.csv.gz"
SLOW = {
    "window": {"rows": 1000},
    "detectors": [{"name": "maximum_mean_discrepancy", "parameters": {"permutations": 20_000}}],
    "decision": {"false_alarm_rate": 0.01},
}
ACKNOWLEDGED_MEANWHILE = 25


def flights(count: int) -> NDArray[np.float64]:
    """Real ones, in time order."""
    with gzip.open(FLIGHTS, "rt", encoding="utf-8") as file:
        lines = [line for line, _ in zip(csv.reader(file), range(count + 1), strict=False)]
    return np.array([line[1:] for line in lines[1:]], dtype=np.float64)


def test_batches_are_acknowledged_while_a_slow_test_runs(make_service: MakeService) -> None:
    rows = flights(5000)
    service = make_service()
    service.start()
    with service.client() as client:
        assert client.put("/v1/models/late/reference", json=payload(rows[:3000])).status_code == 200
        assert client.put("/v1/models/late/plan", json=SLOW).status_code == 200
        assert client.post("/v1/models/late/observations", json=payload(rows[3000:4000])).status_code == 200
        # The window is cut: from here on it is being tested.
        eventually(lambda: 'driftwarden_waiting_rows{model="late"} 0.0' in client.get("/metrics").text, "the window")
        acknowledged = 0
        while not client.get("/v1/models/late/verdicts").json()["verdicts"]:
            batch = payload(rows[4000 + acknowledged % 1000 :][:1])
            assert client.post("/v1/models/late/observations", json=batch).status_code == 200
            acknowledged += 1
            assert acknowledged < 900, "a second window must not fill"
            if acknowledged == ACKNOWLEDGED_MEANWHILE:
                assert client.get("/readyz").status_code == 200
                break
        else:
            raise AssertionError(f"the verdict came after {acknowledged} acknowledgements")
        verdicts = eventually(lambda: client.get("/v1/models/late/verdicts").json()["verdicts"], "the verdict")
    assert [(verdict["rows"], verdict["batches"]) for verdict in verdicts] == [(1000, 1)]
