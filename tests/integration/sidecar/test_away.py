"""A central service that is away, full of changes, or not there yet when the sidecar ends."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from tests.integration.replicas.fleet import metric
from tests.integration.service.test_windows import batch, judged, measured, put_under_watch, statistics
from tests.integration.sidecar.chain import SUMMARIES, Chain, a_chain, accepted, post
from tests.integration.store.rows import distinct_rows
from tests.processes.callers import write_callers
from tests.processes.fixtures import MakeService
from tests.processes.services import ServiceProcess
from tests.processes.traffic import FEATURES, numbered, payload, rows
from tests.processes.waiting import eventually

LIMIT = 150_000


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    settings = {"DRIFT_FORWARD__MAX_BYTES": str(LIMIT), "DRIFT_FORWARD__REFRESH_SECONDS": "3600"}
    with a_chain(tmp_path_factory.mktemp("chain"), 1, **settings) as made:
        made.start()
        yield made


def test_away_for_longer_than_the_buffer_lasts_callers_are_told_and_then_everything_arrives(chain: Chain) -> None:
    sidecar, each = chain.sidecars[0], 50
    with chain.central.client() as client:
        put_under_watch(client, "churn", {"rows": 100})
    with sidecar.client() as client:
        accepted(client, "churn", payload(numbered(0, each)), "batch 0")
        chain.central.kill()
        numbers = count(1)
        while (
            answer := post(client, "churn", payload(numbered(sent := next(numbers) * each, each)), f"{sent}")
        ).is_success:
            assert sent * 24 < 2 * LIMIT
        assert answer.status_code == 429
        assert answer.json()["type"] == "urn:driftwarden:problem:overloaded"
        assert int(answer.headers["Retry-After"]) >= 1
        assert sent * 24 > LIMIT / 2  # most of the limit are rows
        assert 0 < metric(sidecar, "driftwarden_forward_waiting_bytes") <= LIMIT
        assert metric(sidecar, "driftwarden_forward_limit_bytes") == LIMIT
        assert metric(sidecar, "driftwarden_forward_failures_total") > 0
        # A sidecar that is killed meanwhile forgets nothing, and not that it is full either.
    sidecar.kill()
    sidecar.start()
    with sidecar.client() as client:
        body = payload(numbered(sent, each))
        eventually(lambda: post(client, "churn", body, f"{sent}").status_code == 429, "it is still full")
        chain.central.start()
        eventually(lambda: post(client, "churn", body, f"{sent}").status_code == 200, "there is room again")
    total = sent + each
    with chain.central.client() as client, chain.central.embedded_server() as direct:
        eventually(lambda: len(distinct_rows(direct)) == total, "all rows are there")
        assert distinct_rows(direct) == [float(number) for number in range(total)]
        assert {each["rows"] for each in judged(client, "churn", total // 100)} == {100}
    eventually(lambda: metric(sidecar, "driftwarden_forward_waiting_bytes") < LIMIT / 4, "what was forwarded is gone")


def test_rows_that_waited_while_the_reference_changed_are_summarised_anew(chain: Chain) -> None:
    sidecar, values = chain.sidecars[0], rows(8, 300)
    seconds = np.arange(len(values)) * 2.0
    with chain.central.client() as client, sidecar.client() as taking:
        put_under_watch(client, "changing", {**SUMMARIES, "every_seconds": 900})
        accepted(taking, "changing", batch(values[:1], seconds[:1]), "before")
        eventually(lambda: forwarded_of(sidecar, "changing") == 1, "the sidecar knows the model")
        again = {**SUMMARIES, "every_seconds": 300, "lateness_seconds": 3000}
        turned = ["tenure", "amount", "age"]  # the reference's columns, in another order from now on
        new = {"rows": rows(1, 1000)[:, [2, 0, 1]].tolist(), "features": turned}
        assert client.put("/v1/models/changing/reference", json=new).status_code == 200
        assert client.put("/v1/models/changing/plan", json=plan(again)).status_code == 200
        for number, some in enumerate(np.split(np.arange(len(values)), 10)):
            accepted(
                taking, "changing", {**batch(values[some], seconds[some]), "features": list(FEATURES)}, f"{number}"
            )
        eventually(lambda: forwarded_of(sidecar, "changing") == 1 + len(values), "they are forwarded")
        assert metric(sidecar, "driftwarden_refused_panes_total") >= 1
        accepted(client, "changing", {**batch(values[:1], np.array([9600.0])), "features": list(FEATURES)}, "closing")
        expected = [values[seconds // 300 == number] for number in range(2)]
        found = judged(client, "changing", 2)
    assert [each["rows"] for each in found] == [len(window) for window in expected]
    assert [sorted(each) for each in measured(found)] == [sorted(each) for each in statistics(expected)]


def plan(window: dict[str, object]) -> dict[str, object]:
    return {"window": window, "detectors": [{"name": "kolmogorov_smirnov"}]}


def forwarded_of(sidecar: ServiceProcess, model: str) -> float:
    with sidecar.client() as client:
        lines = client.get("/metrics").text.splitlines()
    name = f'driftwarden_forwarded_rows_total{{model="{model}"}} '
    return sum(float(line.removeprefix(name)) for line in lines if line.startswith(name))


def test_a_sidecar_that_stops_forwards_what_it_has(tmp_path: Path) -> None:
    with a_chain(tmp_path, 1, DRIFT_FORWARD__PANE_SECONDS="600") as chain:
        chain.start()
        with chain.central.client() as client, chain.sidecars[0].client() as taking:
            put_under_watch(client, "churn", {"rows": 50})
            for number in range(10):
                accepted(taking, "churn", payload(numbered(number * 5, 5)), f"{number}")
        assert chain.forwarded() == 0
        assert chain.sidecars[0].stop() == 0
        with chain.central.client() as client:
            assert judged(client, "churn", 1)[0]["rows"] == 50


def test_the_store_of_a_service_is_no_sidecars(make_service: MakeService, tmp_path: Path) -> None:
    directory = str(tmp_path / "store")
    service = make_service("serve", DRIFT_STORE__EMBEDDED_DIRECTORY=directory)
    service.start()
    with service.client() as client:
        put_under_watch(client, "churn", {"rows": 50})
    assert service.stop() == 0
    arguments = ("sidecar", "--forward-to", "http://127.0.0.1:9")
    sidecar = make_service(*arguments, DRIFT_STORE__EMBEDDED_DIRECTORY=directory)
    sidecar.launch()
    assert sidecar.wait() == 1
    assert "a directory of its own" in sidecar.said()


def test_a_sidecar_that_may_not_ask_says_so_to_its_callers_and_now_and_then_in_its_log(
    make_service: MakeService, tmp_path: Path
) -> None:
    callers = write_callers(tmp_path / "callers")
    central = make_service("serve", DRIFT_AUTHENTICATION__CALLERS_FILE=str(callers.file))
    central.start()
    sidecar = make_service("sidecar", "--forward-to", central.url)
    sidecar.start()
    with sidecar.client() as taking:
        for number in range(5):
            answer = post(taking, "churn", payload(numbered(0, 1)), f"{number}")
            assert (answer.status_code, answer.json()["type"]) == (503, "urn:driftwarden:problem:central-refused")
    assert sidecar.stop() == 0
    assert sidecar.said().count("no registration can be fetched") == 1
    assert "DRIFT_FORWARD__TOKEN_FILE" in sidecar.said()


def test_rows_that_fit_their_model_no_more_are_dropped_aloud(tmp_path: Path) -> None:
    with a_chain(tmp_path, 1, DRIFT_FORWARD__PANE_SECONDS="600") as chain:
        chain.start()
        sidecar = chain.sidecars[0]
        with chain.central.client() as client, sidecar.client() as taking:
            put_under_watch(client, "churn", {"rows": 50})
            accepted(taking, "churn", {"rows": rows(1, 5).tolist()}, "of three features")
            assert client.delete("/v1/models/churn").status_code == 204
            other = {"rows": rows(1, 1000)[:, :2].tolist(), "features": ["height", "width"]}
            assert client.put("/v1/models/churn/reference", json=other).status_code == 200
        assert sidecar.stop() == 0  # which forwards what it has
    said = sidecar.said()
    assert "1 acknowledged batches of model churn are dropped" in said
