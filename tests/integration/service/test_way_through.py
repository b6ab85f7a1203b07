"""The whole way: a reference, a plan, rows, a verdict, an action, and what a scrape says of it."""

import asyncio
import secrets
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import blockbuster
import numpy as np
import pytest
import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from service.adapters.log import RedisObservationLog
from service.adapters.store import Keys
from service.app import Role
from service.domain.errors import InvalidConfiguration
from service.domain.models import Batch, ModelName
from service.settings import StoreSettings
from tests.integration.service.conftest import Application, application
from tests.processes.traffic import FEATURES, SMALL_PLAN, payload, reference, rows
from tests.processes.waiting import eventually_async

pytestmark = pytest.mark.anyio


async def judged(app: Application, count: int, model: str = "churn") -> list[dict[str, Any]]:
    """All verdicts, as soon as there are so many."""

    async def enough() -> list[dict[str, Any]]:
        verdicts = await app.verdicts(model)
        return verdicts if len(verdicts) >= count else []

    return await eventually_async(enough, f"{count} verdicts")


async def delivered(app: Application) -> dict[str, Any]:
    """Return the action of the newest verdict that has one, once it is off our hands."""

    async def action() -> dict[str, Any] | None:
        actions = [verdict["action"] for verdict in await app.verdicts() if verdict["action"]]
        return actions[-1] if actions and actions[-1]["outcome"] else None

    found = await eventually_async(action, "the action is delivered")
    assert found is not None
    return found


async def test_drift_is_found_shown_and_acted_upon(watched: Application) -> None:
    for shift in (0.0, 0.0, 3.0):
        answer = await watched.observe(payload(rows(int(shift) + 10, 50, shift=shift)))
        assert answer.status_code == 200
    *calm, drifted = await judged(watched, 3)
    assert [verdict["finding"] for verdict in calm] == ["STABLE", "STABLE"]
    assert (drifted["finding"], set(drifted["drifted_features"])) == ("DRIFT", set(FEATURES))
    assert [verdict["number"] for verdict in (*calm, drifted)] == [1, 2, 3]

    action = await delivered(watched)
    assert (action["outcome"], action["kind"]) == ("DRY_RUN", "Job")
    manifest = yaml.safe_load(action["detail"])
    assert manifest["metadata"]["name"] == action["name"]
    assert manifest["metadata"]["annotations"]["driftwarden.dev/reference-digest"] == drifted["reference_digest"]


async def test_a_scrape_shows_the_newest_verdict(watched: Application) -> None:
    await watched.observe(payload(rows(10, 50, shift=3.0)))
    await judged(watched, 1)
    await delivered(watched)
    scrape = await watched.client.get("/metrics")
    assert scrape.headers["content-type"].startswith("application/openmetrics-text")
    families = {family.name: family for family in text_string_to_metric_families(scrape.text)}
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in families.values()
        for sample in family.samples
    }
    assert samples["driftwarden_finding", "DRIFT", "churn"] == 1
    assert samples["driftwarden_observed_rows_total", "churn"] == 50
    assert samples["driftwarden_windows_total", "DRIFT", "churn"] == 1
    assert samples["driftwarden_actions_total", "DRY_RUN", "churn"] == 1
    assert samples["driftwarden_drifted", "amount", "churn", "kolmogorov_smirnov"] == 1
    assert all(family.documentation for family in families.values())


async def test_nothing_of_it_blocks_the_event_loop(watched: Application) -> None:
    with blockbuster.blockbuster_ctx() as guard:
        guard.activate()
        at_once = await asyncio.gather(*(watched.client.get("/readyz") for _ in range(8)))  # makes new connections
        assert [answer.status_code for answer in at_once] == [200] * 8
        assert (await watched.client.put("/v1/models/other/reference", json=reference())).status_code == 200
        for number in range(4):
            assert (await watched.observe(payload(rows(number, 50, shift=3.0)))).status_code == 200
        assert len(await judged(watched, 4)) == 4
        await delivered(watched)
        for accept in ("text/csv", "application/vnd.apache.parquet"):
            exported = await watched.client.get("/v1/models/churn/rows?from_verdict=1", headers={"Accept": accept})
            assert exported.status_code == 200
        assert (await watched.client.get("/metrics")).status_code == 200
        assert (await watched.client.get("/readyz")).status_code == 200


async def test_features_may_come_in_another_order(watched: Application) -> None:
    moved = rows(10, 50)
    moved[:, 0] += 5.0
    order = [2, 0, 1]
    await watched.observe(payload(moved[:, order], features=[FEATURES[index] for index in order]))
    (verdict,) = await judged(watched, 1)
    assert verdict["drifted_features"] == [FEATURES[0]]


async def test_csv_is_taken_like_json(watched: Application) -> None:
    lines = [",".join(FEATURES), *(",".join(map(repr, row)) for row in rows(10, 50, shift=3.0).tolist())]
    answer = await watched.client.post(
        "/v1/models/churn/observations", content="\n".join(lines), headers={"Content-Type": "text/csv; charset=utf-8"}
    )
    assert answer.json()["rows"] == 50
    (verdict,) = await judged(watched, 1)
    assert verdict["finding"] == "DRIFT"


async def test_the_same_rows_give_the_same_numbers_however_they_were_sent(watched: Application) -> None:
    await watched.register("split")
    window = rows(7, 50, shift=0.4)
    await watched.observe(payload(window))
    for part in np.array_split(window, 13):
        await watched.observe(payload(part), model="split")
    (whole,), (split,) = await judged(watched, 1), await judged(watched, 1, "split")
    assert whole["detectors"] == split["detectors"]
    assert (whole["batches"], split["batches"]) == (1, 13)


async def test_a_batch_that_is_sent_twice_under_one_key_counts_once(watched: Application) -> None:
    first = await watched.observe(payload(rows(1, 30)), key="batch-1")
    again = await watched.observe(payload(rows(1, 30)), key="batch-1")
    assert (first.json()["batch"], again.json()["batch"]) == ("batch-1", "batch-1")
    await watched.observe(payload(rows(2, 20)), key="batch-2")
    (verdict,) = await judged(watched, 1)
    assert (verdict["rows"], verdict["batches"], first.json()) == (50, 2, again.json())


async def test_batches_without_a_key_all_count(watched: Application) -> None:
    for _ in range(2):
        assert (await watched.observe(payload(rows(1, 25)))).status_code == 200
    (verdict,) = await judged(watched, 1)
    assert (verdict["batches"], verdict["duplicates"]) == (2, 0)


async def test_a_new_reference_begins_new_windows(watched: Application) -> None:
    await watched.observe(payload(rows(1, 30)))
    answer = await watched.client.put(
        "/v1/models/churn/reference", json=payload(rows(2, 500, features=4), features=["a", "b", "c", "d"])
    )
    assert (answer.json()["revision"], answer.json()["changed"]) == (3, True)
    await watched.observe(payload(rows(3, 50, features=4)))
    (verdict,) = await judged(watched, 1)
    assert (verdict["rows"], verdict["batches"], verdict["misfits"]) == (50, 1, 0)
    assert verdict["reference_digest"] == answer.json()["reference_digest"]


async def test_windows_under_an_earlier_reference_confirm_nothing(running_app: Application) -> None:
    await running_app.register(plan={**SMALL_PLAN, "response": {"confirm": 2, "out_of": 2, "cool_down": 0}})
    await running_app.observe(payload(rows(11, 50, shift=3.0)))
    await judged(running_app, 1)
    answer = await running_app.client.put("/v1/models/churn/reference", json=reference(seed=2))
    assert answer.status_code == 200
    for number in (2, 3):
        await running_app.observe(payload(rows(20 + number, 50, shift=3.0)))
        await judged(running_app, number)
    found = await running_app.verdicts()
    assert [verdict["finding"] for verdict in found] == ["DRIFT"] * 3
    assert [verdict["action"] is not None for verdict in found] == [False, False, True]


async def test_the_same_reference_and_plan_again_change_nothing(watched: Application) -> None:
    again = await watched.client.put("/v1/models/churn/reference", json=reference())
    plan = await watched.client.put("/v1/models/churn/plan", json=SMALL_PLAN)
    assert [(each.json()["changed"], each.json()["revision"]) for each in (again, plan)] == [(False, 2), (False, 2)]


async def test_a_long_reference_says_that_it_calibrates(running_app: Application) -> None:
    body = payload(rows(1, 5100), features=list(FEATURES))
    answer = await running_app.client.put("/v1/models/churn/reference", json=body)
    assert answer.status_code == 200
    plan = {**SMALL_PLAN, "decision": {"false_alarm_rate": 0.01}}
    readiness = (await running_app.client.put("/v1/models/churn/plan", json=plan)).json()["readiness"]
    assert (readiness["calibrated"], readiness["blocks"]) == (True, 102)
    assert readiness["blocks"] >= readiness["blocks_needed"]


async def test_verdicts_are_paged_without_gaps_or_repetitions(watched: Application) -> None:
    for seed in range(7):
        await watched.observe(payload(rows(seed, 50)))
    await judged(watched, 7)
    numbers, before = [], ""
    while True:
        page = (await watched.client.get(f"/v1/models/churn/verdicts?limit=3{before}")).json()
        numbers.append([verdict["number"] for verdict in page["verdicts"]])
        if page["before"] is None:
            break
        before = f"&before={page['before']}"
    assert numbers == [[7, 6, 5], [4, 3, 2], [1]]


async def test_rows_that_defeat_a_detector_do_not_stop_the_log(watched: Application) -> None:
    plan = {**SMALL_PLAN, "detectors": [{"name": "kolmogorov_smirnov"}, {"name": "maximum_mean_discrepancy"}]}
    assert (await watched.client.put("/v1/models/churn/plan", json=plan)).status_code == 200
    huge = np.full((50, 3), 1.7e308)
    huge[::2] *= -1
    await watched.observe(payload(huge))
    await watched.observe(payload(rows(1, 50)))
    assert [verdict["number"] for verdict in await judged(watched, 2)] == [1, 2]


async def test_a_process_that_only_ingests_judges_nothing_and_a_worker_takes_nothing(shared_store: str) -> None:
    store = StoreSettings(url=shared_store, prefix=secrets.token_hex(8))
    async with application(store, Role(evaluates=False, name="ingests")) as ingesting:
        await ingesting.register()
        await ingesting.observe(payload(rows(1, 50)))
        assert await ingesting.stored_batches() == 1
        assert not [key async for key in ingesting.redis.scan_iter(f"{store.prefix}:*claim*")]
        assert await ingesting.verdicts() == []
        async with application(store, Role(ingests=False, name="worker")) as worker:
            assert len(await judged(ingesting, 1)) == 1
            assert (await worker.observe(payload(rows(1, 50)))).status_code == 404
            assert (await worker.client.get("/v1/models/churn/verdicts")).status_code == 404
            for path in ("/livez", "/readyz", "/metrics"):
                assert (await worker.client.get(path)).status_code == 200


@pytest.mark.parametrize("role", [Role(), Role(evaluates=False), Role(ingests=False)])
async def test_threads_leave_the_event_loop_its_turns_whatever_the_role(role: Role, shared_store: str) -> None:
    usual = sys.getswitchinterval()
    sys.setswitchinterval(0.005)
    try:
        async with application(StoreSettings(url=shared_store, prefix=secrets.token_hex(8)), role):
            assert sys.getswitchinterval() < 0.001
    finally:
        sys.setswitchinterval(usual)


@pytest.mark.parametrize("role", [Role(evaluates=False), Role(ingests=False)])
async def test_half_a_service_refuses_a_store_that_nobody_shares(role: Role, tmp_path: Path) -> None:
    with pytest.raises(InvalidConfiguration, match="DRIFT_STORE__URL"):
        async with application(StoreSettings(embedded_directory=tmp_path / "store"), role):
            pass


async def test_state_survives_a_restart(tmp_path: Path) -> None:
    store = StoreSettings(embedded_directory=tmp_path / "store")
    async with application(store) as first:
        await first.register()
        await first.observe(payload(rows(1, 70)), key="one")
        (before,) = await judged(first, 1)
    async with application(store) as second:
        assert await second.verdicts() == [before]
        await second.observe(payload(rows(1, 70)), key="one")
        await second.observe(payload(rows(2, 30)), key="two")
        _, after = await judged(second, 2)
    # The name is known to the store: what was sent again is acknowledged and not even appended.
    assert (after["first_row"], after["batches"], after["duplicates"]) == (50, 2, 0)


async def test_batches_taken_under_an_earlier_registration_keep_their_columns(running_app: Application) -> None:
    """A replica goes on for a moment to take batches under the registration that it knows."""
    offsets = np.array([0.0, 100.0, 200.0])
    base = rows(1, 1000) + offsets
    swapped = [FEATURES[2], FEATURES[0], FEATURES[1]]
    for names, columns in ((list(FEATURES), [0, 1, 2]), (swapped, [2, 0, 1])):
        body = payload(base[:, columns], features=names)
        assert (await running_app.client.put("/v1/models/churn/reference", json=body)).status_code == 200
    await running_app.client.put("/v1/models/churn/plan", json=SMALL_PLAN)
    log = RedisObservationLog(running_app.redis, Keys(running_app.prefix), 1000, 2**20, horizon=100)
    late = Batch("late", rows(2, 25) + offsets, datetime.now(UTC), revision=1)
    unknown = Batch("of a registration that is gone", rows(3, 25), datetime.now(UTC), revision=77)
    for batch in (late, unknown):
        await log.append(ModelName("churn"), batch)
    await running_app.observe(payload(rows(4, 25) + offsets, features=list(FEATURES)))
    (verdict,) = await judged(running_app, 1)
    assert (verdict["finding"], verdict["rows"], verdict["misfits"]) == ("STABLE", 50, 1)
