"""Sidecars beside a central service: what it judges is what it would have judged of the same rows sent to itself."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.integration.service import test_seasons as seasons
from tests.integration.service.test_windows import batch, judged, measured, put_under_watch, statistics
from tests.integration.sidecar.chain import SUMMARIES, Chain, a_chain, accepted, all_forwarded, post
from tests.processes.traffic import payload, rows
from tests.processes.waiting import eventually
from tests.unit.service.domain import test_season as season

BATCHES, ROWS = 60, 15


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    with a_chain(tmp_path_factory.mktemp("chain"), 2, DRIFT_FORWARD__PANE_ROWS="70") as made:
        made.start()
        yield made


def comparable(verdicts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All that rests on the rows, and nothing that says by which way they came."""
    names = ("rows", "detectors", "finding", "p_value", "started_at", "ended_at", "late")
    return [{name: verdict[name] for name in names} for verdict in verdicts]


def test_summaries_of_two_sidecars_are_judged_as_the_rows_would_be(chain: Chain) -> None:
    values = rows(5, BATCHES * ROWS)
    seconds = np.arange(len(values)) * 2.0
    order = np.argsort(seconds + np.random.default_rng(6).uniform(0, 119, len(values)), kind="stable")
    before = chain.forwarded()
    with chain.central.client() as client, chain.sidecars[0].client() as one, chain.sidecars[1].client() as other:
        for model in ("forwarded", "direct"):
            put_under_watch(client, model, SUMMARIES)
        for number, some in enumerate(np.split(order, BATCHES)):
            body = batch(values[some], seconds[some])
            for _ in range(1 + (number % 10 == 0)):
                accepted((one, other)[number % 2], "forwarded", body, f"batch {number}")
            accepted(client, "direct", body, f"batch {number}")
        all_forwarded(chain, before + len(values))
        for model in ("forwarded", "direct"):
            accepted(client, model, batch(values[:1], np.array([9000.0])), "closing")
        intervals = seconds // 600
        expected = [values[intervals == number] for number in np.unique(intervals)]
        found, direct = (judged(client, model, len(expected)) for model in ("forwarded", "direct"))
    assert [each["rows"] for each in found] == [len(window) for window in expected]
    assert measured(found) == statistics(expected)
    assert comparable(found) == comparable(direct)
    assert found[1]["batches"] < direct[1]["batches"]  # panes hold several


def test_rows_are_compared_by_their_hours_where_they_are_summarised(chain: Chain) -> None:
    when, before = season.times(season.DAYS * 720, 3 * season.WINDOW), chain.forwarded()
    values = season.cyclic(5, when)
    with chain.central.client() as client, chain.sidecars[0].client() as sidecar:
        for model in ("hours-forwarded", "hours-direct"):
            seasons.register(client, seasons.SUMMARIES, model)
        for number, some in enumerate(np.split(np.arange(len(when)), 9)):
            body = seasons.table(values[some], when[some])
            accepted(sidecar, "hours-forwarded", body, f"batch {number}")
            accepted(client, "hours-direct", body, f"batch {number}")
        all_forwarded(chain, before + len(when))
        found, direct = (judged(client, model, 2) for model in ("hours-forwarded", "hours-direct"))
    assert comparable(found) == comparable(direct)
    assert all("each row by its hour of the day" in each["reason"] for each in found)


@pytest.mark.parametrize("window", [{"rows": 70}, {"rows": 60, "step": 25}, {"every_seconds": 300}])
def test_where_the_plan_keeps_rows_they_come_through_in_order_with_their_times(
    chain: Chain, window: dict[str, Any]
) -> None:
    values, names, before = rows(7, BATCHES * ROWS), ["tenure", "amount", "age"], chain.forwarded()
    forwarded, direct = (f"{kind}-{'-'.join(window)}" for kind in ("forwarded", "direct"))
    with chain.central.client() as client, chain.sidecars[0].client() as sidecar:
        for model in (forwarded, direct):
            put_under_watch(client, model, window)
        for number, some in enumerate(np.split(np.arange(len(values)), BATCHES)):
            body = {**batch(values[some], some * 2.0), "features": names}
            accepted(sidecar, forwarded, body, f"batch {number}")
            accepted(client, direct, body, f"batch {number}")
        all_forwarded(chain, before + len(values))
        count = {"rows": 12, "rows-step": 34, "every_seconds": 5}["-".join(window)]
        assert comparable(judged(client, forwarded, count)) == comparable(judged(client, direct, count))


def test_the_central_service_says_which_models_there_are(chain: Chain) -> None:
    central, sidecar = chain.central, chain.sidecars[0]
    client = sidecar.client()
    answer = post(client, "churn", payload(rows(1, 5)), "first")
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:driftwarden:problem:unknown-model")
    with central.client() as manage:
        put_under_watch(manage, "churn", {"rows": 50})
    accepted(client, "churn", payload(rows(1, 5)), "first")
    central.kill()
    answer = post(client, "other", payload(rows(1, 5)), "second")
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:driftwarden:problem:central-unavailable")
    assert int(answer.headers["Retry-After"]) >= 1
    accepted(client, "churn", payload(rows(1, 5)), "third")
    wrong = post(client, "churn", {"rows": [[1.0, 2.0]]}, "fourth")
    assert (wrong.status_code, wrong.json()["type"]) == (422, "urn:driftwarden:problem:invalid-batch")
    client.close()
    # What it knew it still knows after a restart, with the central service away all the time.
    sidecar.kill()
    sidecar.start()
    with sidecar.client() as client:
        accepted(client, "churn", payload(rows(2, 40)), "fifth")
        assert client.get("/readyz").status_code == 200
    central.start()
    with central.client() as manage:
        assert judged(manage, "churn", 1)[0]["rows"] == 50


def test_when_all_is_forwarded_nothing_is_said_to_wait(chain: Chain) -> None:
    before, waiting = chain.forwarded(), 'oldest_waiting_batch_timestamp_seconds{model="quiet"}'
    with chain.central.client() as client, chain.sidecars[0].client() as sidecar:
        put_under_watch(client, "quiet", SUMMARIES)
        accepted(sidecar, "quiet", payload(rows(8, 3)), "one")
        all_forwarded(chain, before + 3)
        eventually(lambda: waiting not in sidecar.get("/metrics").text, "nothing waits")


@pytest.mark.parametrize("keep", ["rows", "summaries"])
def test_categories_and_roles_come_through_a_sidecar(chain: Chain, keep: str) -> None:
    model, before = f"described-{keep}", chain.forwarded()
    drawn = np.random.default_rng(8)

    def columns(count: int, cities: list[str]) -> dict[str, list[Any]]:
        return {"city": drawn.choice(cities, count).tolist(), "amount": drawn.normal(size=count).tolist()}

    plan = {"window": {"rows": 60, "keep": keep}, "detectors": [{"name": "chi_square", "features": ["city"]}]}
    labels = {"columns": '[{"name": "left", "role": "label"}]'}
    with chain.central.client() as client, chain.sidecars[0].client() as sidecar:
        body = {"columns": {**columns(500, ["Bern", "Genf"]), "left": [1, None] * 250}}
        client.put(f"/v1/models/{model}/reference", json=body, params=labels).raise_for_status()
        client.put(f"/v1/models/{model}/plan", json=plan).raise_for_status()
        for number, cities in enumerate([["Bern", "Genf"], ["Bern", "Basel"]]):
            accepted(sidecar, model, {"columns": columns(60, cities)}, f"batch {number}")
            all_forwarded(chain, before + 60 * (number + 1))
        verdicts = judged(client, model, 2)
    assert [verdict["finding"] for verdict in verdicts] == ["STABLE", "DRIFT"]
