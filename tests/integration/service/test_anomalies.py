"""Flagged rows: counted in verdicts, kept apart, and left out of what learns; whoever labels them."""

import csv
import io
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import get_ident
from typing import Any

import anyio
import numpy as np
import pyarrow as pa
import pytest
from anyio import CapacityLimiter
from numpy.typing import NDArray

from detectors import codec
from detectors.arrays import HOST
from service.adapters.log import RedisJudgedBatches, RedisObservationLog, RedisQuarantine, RedisVerdictLog
from service.adapters.reference_store import RedisRegistrations
from service.adapters.store import Client, Keys, connection
from service.domain.anomaly_plan import AnomalyPlan
from service.domain.errors import CorruptedState
from service.domain.models import LOG_START, Batch, FlaggedRows, ModelName, Reference
from service.domain.plan import DetectorPlan, Plan, WindowPlan
from service.domain.registration import Registration, encode_reference
from service.http.quarantine_schemas import QuarantinePage
from service.settings import AuthenticationSettings, StoreSettings
from service.telemetry.metrics import Metrics
from service.telemetry.tracing import Tracing
from service.usecases.evaluate_window import EvaluateWindow, Tuning
from service.usecases.fitted_models import FittedModels
from service.usecases.label_rows import LabelRows
from tests.integration.service.conftest import Application, application
from tests.integration.service.test_refusals import assert_problem
from tests.integration.service.test_way_through import judged
from tests.processes.callers import write_callers
from tests.processes.traffic import FEATURES, SMALL_PLAN, payload, reference, rows
from tests.processes.waiting import eventually_async

pytestmark = pytest.mark.anyio

PLAN: dict[str, Any] = {**SMALL_PLAN, "anomalies": {"outlier_rate": 0.005, "typical_rate": 0.005}}
FRAUD = ModelName("fraud")
NOT_FLAGGED = {"outlier": 0, "too_typical": 0, "duplicate": 0, "invalid": 0}


def ordinary(seed: int, count: int) -> NDArray[np.float64]:
    """Neither far out nor near the middle."""
    drawn = rows(seed, 10 * count)
    distances = np.linalg.norm(drawn, axis=1)
    return drawn[(distances > 0.5) & (distances < 2.5)][:count]


def mixed() -> NDArray[np.float64]:
    """A window of 50 rows, of which the 10th is strange, the 20th in the middle, and the 30th and 31st have been."""
    sent = ordinary(7, 50)
    sent[10] = [9.0, -9.0, 9.0]
    sent[20] = np.median(np.array(reference()["rows"]), axis=0)
    sent[30] = np.array(reference()["rows"])[500]
    sent[31] = sent[3]
    return sent


LABELS = {10: "outlier", 20: "too_typical", 30: "duplicate", 31: "duplicate"}


async def sent_in_batches(app: Application, values: NDArray[np.float64], each: int = 20, name: str = "from") -> None:
    for first in range(0, len(values), each):
        for _ in range(2):  # what comes again counts once, and repeats nothing
            answer = await app.observe(payload(values[first : first + each]), key=f"{name} {first}")
            assert answer.status_code == 200, answer.text


async def lines(app: Application, path: str) -> list[dict[str, str]]:
    answer = await app.client.get(f"/v1/models/churn/{path}", headers={"Accept": "text/csv"})
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


async def test_flagged_rows_are_counted_listed_and_left_out_of_exports(running_app: Application) -> None:
    await running_app.register(plan=PLAN)
    sent = mixed()
    await sent_in_batches(running_app, np.concatenate([sent, ordinary(8, 50)]))
    first, second = await judged(running_app, 2)
    assert first["flagged"] == NOT_FLAGGED | {"outlier": 1, "too_typical": 1, "duplicate": 2}
    assert second["flagged"] == NOT_FLAGGED
    assert first["rows"] == 50
    assert first["detectors"][0]["window_rows"] == 50  # judged all the same

    exported = await lines(running_app, "verdicts/1/rows")
    values = [[float(line[name]) for name in ("amount", "age", "tenure")] for line in exported]
    assert values == [row.tolist() for place, row in enumerate(sent) if place not in LABELS]
    assert "driftwarden_label" not in exported[0]
    everything = await lines(running_app, "rows?from_verdict=1&flagged=true")
    assert [line["driftwarden_label"] for line in everything] == [LABELS.get(place, "ok") for place in range(100)]

    page = (await running_app.client.get("/v1/models/churn/quarantine")).json()
    listed = {(each["batch"], row["row"]): row["label"] for each in page["batches"] for row in each["rows"]}
    assert listed == {(f"from {20 * (place // 20)}", place % 20): label for place, label in LABELS.items()}
    assert [each["batch"] for each in page["batches"]] == ["from 20", "from 0"]
    older = await running_app.client.get("/v1/models/churn/quarantine", params={"limit": 1})
    before = older.json()["before"]
    assert before == page["batches"][0]["position"]
    rest = await running_app.client.get("/v1/models/churn/quarantine", params={"before": before})
    assert rest.json()["batches"] == page["batches"][1:]
    assert_problem(await running_app.client.get("/v1/models/nobody/quarantine"), 404, "unknown-model")
    for no_place in ("1", "\u0661-\u0661", "99999999999999999999-0"):
        refused = await running_app.client.get("/v1/models/churn/quarantine", params={"before": no_place})
        assert refused.status_code == 422, refused.text

    scraped = (await running_app.client.get("/metrics")).text
    for label, count in (first["flagged"]).items():
        assert f'driftwarden_flagged_rows_total{{label="{label}",model="churn"}} {float(count)}' in scraped


async def test_a_page_of_the_quarantine_is_made_off_the_event_loop(
    running_app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads, of = set[int](), QuarantinePage.of

    def noted(*arguments: Any) -> QuarantinePage:
        threads.add(get_ident())
        return of(*arguments)

    monkeypatch.setattr(QuarantinePage, "of", noted)
    await running_app.register(plan=PLAN)
    page = await running_app.client.get("/v1/models/churn/quarantine")
    assert page.json() == {"model": "churn", "batches": [], "before": None}
    assert threads
    assert get_ident() not in threads


async def test_labels_are_in_arrow_files_and_the_metadata_counts_them(running_app: Application) -> None:
    await running_app.register(plan=PLAN)
    await sent_in_batches(running_app, mixed())
    await judged(running_app, 1)
    answer = await running_app.client.get(
        "/v1/models/churn/verdicts/1/rows?flagged=true", headers={"Accept": "application/vnd.apache.arrow.stream"}
    )
    table = pa.ipc.open_stream(answer.content).read_all()
    assert table.column("driftwarden_label").to_pylist() == [LABELS.get(place, "ok") for place in range(50)]
    described = json.loads(table.schema.metadata[b"driftwarden"])
    assert described["columns"]["label"] == "driftwarden_label"
    assert described["verdicts"][0]["flagged"]["duplicate"] == 2


async def test_overlapping_windows_do_not_make_duplicates_of_their_rows(running_app: Application) -> None:
    await running_app.register(plan={**PLAN, "window": {"rows": 50, "step": 25}})
    sent = np.concatenate([mixed(), ordinary(9, 50)])
    await sent_in_batches(running_app, sent)
    await judged(running_app, 3)
    everything = await lines(running_app, "rows?from_verdict=1&to_verdict=3&flagged=true")
    places = [*range(50), *range(25, 75), *range(50, 100)]
    assert [line["driftwarden_label"] for line in everything] == [LABELS.get(place, "ok") for place in places]


async def test_without_quarantine_rows_are_counted_only(running_app: Application) -> None:
    await running_app.register(plan={**PLAN, "anomalies": {**PLAN["anomalies"], "quarantine": False}})
    await sent_in_batches(running_app, mixed())
    (verdict,) = await judged(running_app, 1)
    assert sum(verdict["flagged"].values()) == 4
    assert len(await lines(running_app, "verdicts/1/rows")) == 50


async def test_without_anomalies_nothing_has_a_label(watched: Application) -> None:
    await sent_in_batches(watched, mixed())
    (verdict,) = await judged(watched, 1)
    assert verdict["flagged"] is None
    assert len(await lines(watched, "verdicts/1/rows")) == 50
    assert {line["driftwarden_label"] for line in await lines(watched, "verdicts/1/rows?flagged=true")} == {"ok"}
    assert (await watched.client.get("/v1/models/churn/quarantine")).json()["batches"] == []


async def test_after_a_restart_rows_are_labelled_as_they_would_have_been(shared_store: str) -> None:
    """The row that is repeated stands before the restart, and in a window that is judged."""
    store = StoreSettings(url=shared_store, prefix=secrets.token_hex(8))
    before, after = ordinary(10, 50), ordinary(11, 50)
    after[5] = before[49]
    async with application(store) as first:
        await first.register(plan=PLAN)
        await sent_in_batches(first, before)
        await judged(first, 1)
    async with application(store) as second:
        await sent_in_batches(second, after, each=25, name="later")
        verdict = (await judged(second, 2))[1]
        assert verdict["flagged"] == NOT_FLAGGED | {"duplicate": 1}
        assert len(await lines(second, "verdicts/2/rows")) == 49


async def test_a_reference_that_is_too_short_for_the_rates_is_refused_with_what_it_takes(
    running_app: Application,
) -> None:
    await running_app.register()
    refused = await running_app.client.put("/v1/models/churn/plan", json={"anomalies": {"outlier_rate": 0.0001}})
    assert_problem(refused, 422, "invalid-reference", "rows")
    assert "outlier_rate asks for one row in 10000, and 1000 reference rows" in refused.text


@pytest.mark.parametrize(
    ("plan", "place"),
    [
        ({"anomalies": {"score": "no_such"}}, "anomalies.score"),
        ({"anomalies": {"typical_rate": 0.5}}, "anomalies.typical_rate"),
        ({"anomalies": {"outlier_rate": 1e-310}}, "anomalies.outlier_rate"),
        ({"anomalies": {"largest_client_share": 1.0}}, "anomalies.largest_client_share"),
        ({"anomalies": {}, "window": {"keep": "summaries"}}, "anomalies"),
    ],
)
async def test_a_plan_that_cannot_be_is_refused_by_its_place(
    watched: Application, plan: dict[str, Any], place: str
) -> None:
    refused = await watched.client.put("/v1/models/churn/plan", json=plan)
    assert_problem(refused, 422, "invalid-plan", place)


async def test_what_is_deleted_takes_its_quarantine_along(running_app: Application) -> None:
    await running_app.register(plan=PLAN)
    await sent_in_batches(running_app, mixed())
    await judged(running_app, 1)
    assert await running_app.redis.exists(running_app.key("churn", "quarantine"))
    assert (await running_app.client.delete("/v1/models/churn")).status_code == 204
    assert not await running_app.redis.exists(running_app.key("churn", "quarantine"))


async def test_no_caller_contributes_more_than_its_share_of_what_is_exported(shared_store: str, tmp_path: Path) -> None:
    """`pods` sends 40 rows of 50, and one in two is all that it may; the administrator's are all there."""
    callers = write_callers(tmp_path / "callers")
    known = AuthenticationSettings(callers_file=callers.file)
    plan = {**PLAN, "anomalies": {**PLAN["anomalies"], "largest_client_share": 0.5}}
    model, sent = "/v1/models/fraud", ordinary(12, 50)
    store = StoreSettings(url=shared_store, prefix=secrets.token_hex(8))
    async with application(store, authentication=known) as app:
        as_administrator, as_pods = (callers.as_caller(name) for name in ("administrator", "pods"))
        for path, body in (("reference", reference()), ("plan", plan)):
            (await app.client.put(f"{model}/{path}", json=body, headers=as_administrator)).raise_for_status()
        for first in range(0, 50, 10):
            headers = as_administrator if first == 20 else as_pods
            body = payload(sent[first : first + 10])
            (await app.client.post(f"{model}/observations", json=body, headers=headers)).raise_for_status()

        async def exported(query: str = "") -> list[list[float]]:
            path = f"{model}/verdicts/1/rows{query}"
            answer = await app.client.get(path, headers={"Accept": "text/csv", **as_administrator})
            if answer.status_code != 200:
                return []
            found = csv.DictReader(io.StringIO(answer.text, newline=""))
            return [[float(line[name]) for name in ("amount", "age", "tenure")] for line in found]

        rows_given = await eventually_async(exported, "the window's rows")
        administrators = sent[20:30].tolist()
        assert [row for row in rows_given if row in administrators] == administrators
        assert len(rows_given) == 20
        assert await exported() == rows_given
        assert len(await exported("?flagged=true")) == 50


@dataclass(frozen=True)
class Labelling:
    """An evaluator that labels rows, by itself, and a window of `mixed` rows that it has not judged."""

    redis: Client
    keys: Keys
    registrations: RedisRegistrations
    verdicts: RedisVerdictLog
    evaluate: EvaluateWindow
    limiter: CapacityLimiter
    """Of its threads."""


@asynccontextmanager
async def labelling(url: str) -> AsyncIterator[Labelling]:
    keys, limiter = Keys(secrets.token_hex(8)), CapacityLimiter(1)
    async with connection(url, 10.0) as redis:
        registrations, verdicts = RedisRegistrations(redis, keys), RedisVerdictLog(redis, keys, 100)
        plan = Plan(
            WindowPlan(rows=50), (DetectorPlan("kolmogorov_smirnov"),), anomalies=AnomalyPlan(outlier_rate=0.005)
        )
        known = Reference(FEATURES, rows(1, 1000))
        digest, now = codec.digest(encode_reference(known)), datetime.now(UTC)
        registration = Registration(1, FRAUD, FEATURES, digest, 1000, plan, LOG_START, now)
        assert await registrations.register(registration, known)
        log = RedisObservationLog(redis, keys, 1000, 2**30, horizon=100)
        for number in range(2):
            await log.append(FRAUD, Batch(f"batch {number}", mixed()[25 * number : 25 * number + 25], now))
        fitted = FittedModels(registrations, CapacityLimiter(1), HOST)
        labels = LabelRows(fitted, RedisJudgedBatches(redis, keys), RedisQuarantine(redis, keys))
        tracing, tuning = Tracing("0", export=False), Tuning(limiter, 100, lambda: 0.0, 100, labels)
        evaluate = EvaluateWindow(registrations, fitted, log, verdicts, lambda: now, Metrics(9, 9), tracing, tuning)
        yield Labelling(redis, keys, registrations, verdicts, evaluate, limiter)
        tracing.close()
        await log.finish(10)


async def test_rows_that_are_read_again_after_a_fault_do_not_repeat_themselves(shared_store: str) -> None:
    async with labelling(shared_store) as one:
        await one.redis.set(one.keys.quarantine(FRAUD), b"in the way")
        with pytest.raises(CorruptedState):
            await one.evaluate(FRAUD)
        await one.redis.delete(one.keys.quarantine(FRAUD))
        assert await one.evaluate(FRAUD)
        verdict = await one.verdicts.newest(FRAUD)
        assert verdict is not None
        assert verdict.flagged == FlaggedRows(outlier=1, too_typical=1, duplicate=2)


async def test_nothing_is_kept_apart_of_a_model_that_is_deleted_while_labelling_waits_for_a_thread(
    shared_store: str,
) -> None:
    async with labelling(shared_store) as one:
        await one.limiter.acquire_on_behalf_of(one)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.evaluate, FRAUD)
            await eventually_async(lambda: waiting(one.limiter), "rows wait to be labelled")
            assert await one.registrations.forget(FRAUD)
            one.limiter.release_on_behalf_of(one)
        assert await one.redis.keys(f"{one.keys.registrations(FRAUD).rpartition(':')[0]}*") == []
        assert await one.verdicts.newest(FRAUD) is None


async def waiting(limiter: CapacityLimiter) -> bool:
    return limiter.statistics().tasks_waiting > 0
