"""Rows of judged windows over HTTP: what was sent comes back, whole and in every format, or a problem says why not."""

import csv
import io
import json
import secrets
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta

import httpx
import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from pyarrow import parquet

from service.domain.errors import Saturated
from service.http.exports.response import ExportPlaces
from service.settings import StoreSettings
from tests.integration.service.conftest import Application, application
from tests.integration.service.test_refusals import assert_problem
from tests.integration.service.test_way_through import judged
from tests.integration.service.test_windows import MIDNIGHT, batch
from tests.processes.traffic import FEATURES, SMALL_PLAN, payload, rows
from tests.processes.waiting import eventually_async

pytestmark = pytest.mark.anyio

CSV, PARQUET, ARROW = "text/csv", "application/vnd.apache.parquet", "application/vnd.apache.arrow.stream"


async def asked(app: Application, path: str, accept: str = CSV, model: str = "churn") -> httpx.Response:
    return await app.client.get(f"/v1/models/{model}/{path}", headers={"Accept": accept})


async def given(app: Application, path: str, accept: str = CSV) -> httpx.Response:
    answer = await asked(app, path, accept)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].partition(";")[0] == accept
    return answer


def lines_of(answer: httpx.Response) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


def table_of(answer: httpx.Response) -> pa.Table:
    if answer.headers["content-type"] == PARQUET:
        return parquet.read_table(io.BytesIO(answer.content))
    return pa.ipc.open_stream(answer.content).read_all()


def values_of(table: pa.Table, features: Sequence[str] = FEATURES) -> NDArray[np.float64]:
    return np.column_stack([table.column(name).to_numpy() for name in features])


async def send(app: Application, values: NDArray[np.float64], each: int = 20) -> None:
    for number, first in enumerate(range(0, len(values), each)):
        for _ in range(1 + number % 2):  # some come again
            await app.observe(payload(values[first : first + each]), key=f'batch "{number}", of many')


async def test_a_window_comes_back_to_the_last_bit_in_every_format(watched: Application) -> None:
    sent = rows(7, 120)
    sent[3] = [1e-310, -0.0, 1.7976931348623157e308]
    await send(watched, sent)
    second = (await judged(watched, 2))[1]
    for accept in (PARQUET, ARROW):
        table = table_of(answer := await given(watched, "verdicts/2/rows", accept))
        assert table.column_names == [
            *FEATURES,
            "driftwarden_event_time",
            "driftwarden_batch",
            "driftwarden_verdict",
        ]
        assert values_of(table).tobytes() == sent[50:100].tobytes()
        assert table.column("driftwarden_verdict").to_pylist() == [2] * 50
        named = [f'batch "{number}", of many' for number in range(6) for _ in range(20)]
        assert table.column("driftwarden_batch").to_pylist() == named[50:100]
        moments = table.column("driftwarden_event_time").to_pylist()
        assert (min(moments), max(moments)) == tuple(
            datetime.fromisoformat(second[name]) for name in ("started_at", "ended_at")
        )
        assert int(answer.headers["content-length"]) == len(answer.content)
        assert (
            f'filename="churn-2.{"parquet" if accept == PARQUET else "arrows"}"'
            in (answer.headers["content-disposition"])
        )
    lines = lines_of(await given(watched, "verdicts/1/rows"))
    values = np.array([[float(line[name]) for name in FEATURES] for line in lines])
    assert values.tobytes() == sent[:50].tobytes()
    assert {line["driftwarden_verdict"] for line in lines} == {"1"}
    assert [line["driftwarden_batch"] for line in lines] == named[:50]
    assert all(datetime.fromisoformat(line["driftwarden_event_time"]).tzinfo is not None for line in lines)


async def test_the_file_says_what_it_is_of(watched: Application) -> None:
    await watched.register(plan={**SMALL_PLAN, "window": {"rows": 50, "sample_rows": 30}})
    await send(watched, rows(7, 100))
    verdicts = await judged(watched, 2)
    for accept in (PARQUET, ARROW):
        table = table_of(await given(watched, "rows?from_verdict=1&to_verdict=2", accept))
        said = json.loads(table.schema.metadata[b"driftwarden"])
        assert (said["model"], said["features"]) == ("churn", list(FEATURES))
        for described, verdict in zip(said["verdicts"], verdicts, strict=True):
            assert {name: described[name] for name in ("number", "finding", "rows", "tested_rows", "first_row")} == {
                name: verdict[name] for name in ("number", "finding", "rows", "tested_rows", "first_row")
            }
            assert described["sampled"]
            assert described["reference_digest"] == verdict["reference_digest"]
            assert described["plan_digest"] == verdict["plan_digest"]
        assert len(table) == 100, "all rows, not the sample"


async def test_a_period_has_its_windows_one_after_another(watched: Application) -> None:
    sent = rows(7, 260)
    await send(watched, sent)
    await judged(watched, 5)
    for path, first, last in (
        ("rows?from_verdict=2&to_verdict=4", 2, 4),
        ("rows?from_verdict=3", 3, 5),
        ("rows?from_verdict=5&to_verdict=5", 5, 5),
    ):
        table = table_of(await given(watched, path, ARROW))
        assert values_of(table).tobytes() == sent[(first - 1) * 50 : last * 50].tobytes()
        numbers = table.column("driftwarden_verdict").to_pylist()
        assert numbers == [number for number in range(first, last + 1) for _ in range(50)]


async def test_where_windows_overlap_each_has_its_own(running_app: Application) -> None:
    await running_app.register(plan={**SMALL_PLAN, "window": {"rows": 60, "step": 25}})
    sent = rows(7, 140)
    await send(running_app, sent)
    await judged(running_app, 4)
    table = table_of(await given(running_app, "rows?from_verdict=1", ARROW))
    expected = [sent[first : first + 60] for first in range(0, 100, 25)]
    assert values_of(table).tobytes() == np.concatenate(expected).tobytes()


async def test_windows_by_time_with_lateness(running_app: Application) -> None:
    window = {"every_seconds": 60, "lateness_seconds": 30, "sample_rows": 25}
    await running_app.register(plan={**SMALL_PLAN, "window": window})
    values, generator = rows(7, 301), np.random.default_rng(1)
    seconds = np.linspace(0, 239, 300)
    order = np.argsort(seconds + generator.uniform(0, 29, 300), kind="stable")
    for some in np.split(order, 30):
        await running_app.observe(batch(values[some], seconds[some]))
    await running_app.observe(batch(values[300:], np.array([400.0])))
    verdicts = await judged(running_app, 4)
    for verdict in verdicts:
        table = table_of(await given(running_app, f"verdicts/{verdict['number']}/rows", PARQUET))
        minute = seconds // 60 == verdict["number"] - 1
        expected = np.flatnonzero(minute)
        assert verdict["rows"] == len(table) == len(expected)
        came = [row for row in order if minute[row]]  # the order of the log
        assert values_of(table).tobytes() == values[came].tobytes()
        moments = [MIDNIGHT + timedelta(milliseconds=round(1000 * second)) for second in seconds[came]]
        assert [
            abs(a - b) for a, b in zip(table.column("driftwarden_event_time").to_pylist(), moments, strict=True)
        ] <= [timedelta(milliseconds=1)] * len(moments)


async def test_columns_are_those_of_the_registration_that_judged(watched: Application) -> None:
    sent = rows(7, 100)
    await send(watched, sent[:50])
    await judged(watched, 1)
    swapped = [FEATURES[2], "driftwarden_batch", FEATURES[0]]
    body = payload(rows(1, 1000)[:, [2, 1, 0]], features=swapped)
    assert (await watched.client.put("/v1/models/churn/reference", json=body)).status_code == 200
    await watched.observe(payload(sent[50:, [2, 1, 0]], features=swapped))
    await judged(watched, 2)
    before, after = [table_of(await given(watched, f"verdicts/{number}/rows", ARROW)) for number in (1, 2)]
    assert values_of(before).tobytes() == sent[:50].tobytes()
    assert after.column_names[:3] == swapped
    assert after.column_names[4] == "driftwarden_batch_", "a feature has the name"
    assert values_of(after, swapped).tobytes() == np.ascontiguousarray(sent[50:, [2, 1, 0]]).tobytes()
    assert_problem(await asked(watched, "rows?from_verdict=1"), 422, "invalid-span", "to_verdict")
    said = json.loads(after.schema.metadata[b"driftwarden"])
    assert said["columns"]["batch"] == "driftwarden_batch_"


async def test_what_there_is_not_is_said(watched: Application) -> None:
    assert_problem(await asked(watched, "verdicts/1/rows", model="unknown"), 404, "unknown-model")
    assert_problem(await asked(watched, "verdicts/1/rows"), 404, "unknown-verdict")
    assert_problem(await asked(watched, "rows?from_verdict=1"), 404, "unknown-verdict")
    await send(watched, rows(7, 50))
    await judged(watched, 1)
    for path in ("verdicts/2/rows", "rows?from_verdict=1&to_verdict=2", "rows?from_verdict=7"):
        assert_problem(await asked(watched, path), 404, "unknown-verdict")
    for path in ("rows?from_verdict=2&to_verdict=1", "rows?from_verdict=1&to_verdict=1001"):
        assert_problem(await asked(watched, path), 422, "invalid-span", "to_verdict")
    for path in ("verdicts/0/rows", "verdicts/one/rows", "rows", "rows?from_verdict=0"):
        assert_problem(await asked(watched, path), 422, "invalid-request")


async def test_a_verdict_that_is_not_kept_is_unknown_and_the_oldest_that_is_kept_is_named(shared_store: str) -> None:
    store = StoreSettings(url=shared_store, prefix=secrets.token_hex(8), kept_verdicts=2)
    async with application(store) as app:
        await app.register()
        await send(app, rows(7, 600), each=100)

        async def twelve() -> bool:
            return (await app.verdicts())[-1:] != [] and (await app.verdicts())[-1]["number"] == 12

        await eventually_async(twelve, "the last verdict")
        oldest = (await app.verdicts())[0]["number"]
        assert oldest > 1
        refused = await asked(app, f"rows?from_verdict={oldest - 1}")
        assert_problem(refused, 404, "unknown-verdict")
        assert refused.json()["detail"].endswith(f"the oldest is {oldest}")
        assert len(table_of(await given(app, f"rows?from_verdict={oldest}", ARROW))) == 50 * (13 - oldest)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, CSV),
        ("*/*", CSV),
        ("text/*;q=0.2, application/*;q=0.1", CSV),
        (f"{PARQUET}, {CSV};q=0.5", PARQUET),
        (f"{CSV};q=0, */*", PARQUET),
        (f"application/json, {ARROW};q=0.3", ARROW),
        (f"{CSV};q=much, {ARROW}", ARROW),
        ("application/json", None),
        (f"{PARQUET};q=0", None),
        (",;,", None),
    ],
)
async def test_the_format_is_the_one_that_is_most_welcome(
    watched: Application, accept: str | None, expected: str | None
) -> None:
    await send(watched, rows(7, 50))
    await judged(watched, 1)
    headers = {} if accept is None else {"Accept": accept}
    request = watched.client.build_request("GET", "/v1/models/churn/verdicts/1/rows", headers=headers)
    if accept is None:
        del request.headers["Accept"]
    answer = await watched.client.send(request)
    if expected is None:
        assert_problem(answer, 406, "not-acceptable", "Accept")
    else:
        assert answer.headers["content-type"].partition(";")[0] == expected


async def test_without_pyarrow_only_csv_is_given_and_the_extra_is_named(
    shared_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # as good as not installed
    async with application(StoreSettings(url=shared_store, prefix=secrets.token_hex(8))) as app:
        await app.register()
        await send(app, rows(7, 50))
        await judged(app, 1)
        for accept in (PARQUET, ARROW, f"{PARQUET}, {ARROW};q=0.5"):
            refused = await asked(app, "verdicts/1/rows", accept)
            assert_problem(refused, 406, "not-acceptable", "Accept")
            assert "driftwarden[arrow]" in refused.json()["detail"]
        assert (await given(app, "verdicts/1/rows", CSV)).text.count("\n") == 51
        either = await asked(app, "verdicts/1/rows", f"{PARQUET}, {CSV};q=0.1")
        assert either.headers["content-type"].startswith(CSV)


async def test_rows_that_are_dropped_are_gone_and_the_oldest_that_are_not_is_named(shared_store: str) -> None:
    store = StoreSettings(url=shared_store, prefix=secrets.token_hex(8), retained_bytes=60_000)
    sent = rows(7, 4500)
    async with application(store) as app:
        await app.register()
        for number, part in enumerate(np.split(sent, 45)):
            await app.observe(payload(part), key=str(number))
        await judged(app, 90)
        refused = await asked(app, "rows?from_verdict=1&to_verdict=3")
        assert_problem(refused, 410, "rows-gone")
        oldest = refused.json()["oldest_whole_verdict"]
        assert 1 < oldest < 90
        assert str(oldest) in refused.json()["detail"]
        assert_problem(await asked(app, f"verdicts/{oldest - 1}/rows"), 410, "rows-gone")
        table = table_of(await given(app, f"rows?from_verdict={oldest}", ARROW))
        assert values_of(table).tobytes() == sent[(oldest - 1) * 50 :].tobytes()


async def test_nothing_is_kept_where_nothing_is_to_be(shared_store: str) -> None:
    """Personal data: rows are in the store until they are judged, and no longer."""
    store = StoreSettings(url=shared_store, prefix=secrets.token_hex(8), retained_bytes=0)
    async with application(store) as app:
        await app.register()
        await send(app, rows(7, 110), each=30)
        await judged(app, 2)
        await nothing_but(app, 1)  # of which half the rows are judged
        refused = await asked(app, "verdicts/2/rows")
        assert_problem(refused, 410, "rows-gone")
        assert "oldest_whole_verdict" not in refused.json()
        await app.observe(payload(rows(8, 40)))
        await judged(app, 3)
        await nothing_but(app, 0)
        await app.observe(payload(rows(9, 50)))
        await judged(app, 4)
        await nothing_but(app, 0)


async def nothing_but(app: Application, batches: int) -> None:
    async def so_many() -> bool:
        return await app.stored_batches() == batches

    await eventually_async(so_many, f"{batches} batches are left")


async def test_rows_that_a_process_left_behind_are_dropped_by_the_next(shared_store: str) -> None:
    """It was killed between a verdict and the trimming that follows: here, it was told to keep them."""
    prefix = secrets.token_hex(8)
    async with application(StoreSettings(url=shared_store, prefix=prefix)) as app:
        await app.register()
        await send(app, rows(7, 100))
        await judged(app, 2)
        assert await app.stored_batches() > 0
    async with application(StoreSettings(url=shared_store, prefix=prefix, retained_bytes=0)) as app:
        await nothing_but(app, 0)


async def test_sliding_windows_keep_what_the_next_one_needs(shared_store: str) -> None:
    store = StoreSettings(url=shared_store, prefix=secrets.token_hex(8), retained_bytes=0)
    async with application(store) as app:
        await app.register(plan={**SMALL_PLAN, "window": {"rows": 60, "step": 20}})
        for number, part in enumerate(np.split(rows(7, 100), 10)):
            await app.observe(payload(part), key=str(number))
        await judged(app, 3)
        await nothing_but(app, 4)  # the next window begins at row 60


async def test_more_exports_than_places_are_told_to_come_again(watched: Application) -> None:
    places = ExportPlaces(2)
    first, _ = places.take(), places.take()
    with pytest.raises(Saturated):
        places.take()
    first()
    first()
    places.take()
    with pytest.raises(Saturated):
        places.take()
    await send(watched, rows(7, 50))
    await judged(watched, 1)
    for _ in range(8):  # each is given back, whatever became of it
        await given(watched, "verdicts/1/rows")
        assert_problem(await asked(watched, "verdicts/9/rows"), 404, "unknown-verdict")


async def test_windows_of_summaries_have_no_rows(running_app: Application) -> None:
    await running_app.register()
    await send(running_app, rows(7, 50))
    await judged(running_app, 1)
    plan = {**SMALL_PLAN, "window": {"rows": 50, "keep": "summaries"}}
    assert (await running_app.client.put("/v1/models/churn/plan", json=plan)).status_code == 200
    await running_app.observe(payload(rows(8, 50)))
    await judged(running_app, 2)
    for path in ("verdicts/2/rows", "rows?from_verdict=1"):
        refused = await asked(running_app, path)
        assert_problem(refused, 404, "rows-never-kept")
        assert "verdict 2" in refused.json()["detail"]
    assert (await given(running_app, "verdicts/1/rows")).text.count("\n") == 51


async def test_damage_is_not_given_out_as_rows(watched: Application) -> None:
    await send(watched, rows(7, 50))
    await judged(watched, 1)
    key = watched.key("churn", "registrations")
    entries = await watched.redis.xrange(key)
    place, fields = entries[-1]
    other = {**fields, b"r": fields[b"r"].replace(b'"reference_digest":"sha256:', b'"reference_digest":"sha256:0')}
    await watched.redis.delete(key)
    await watched.redis.xadd(key, other, id=place)
    assert_problem(await asked(watched, "verdicts/1/rows"), 500, "corrupted-state")
