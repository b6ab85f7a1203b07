"""Labels that come late: joined by their batches' names, counted once, and judged as a model of their own."""

from typing import Any

import httpx
import numpy as np
import pytest

from tests.integration.service.conftest import Application
from tests.integration.service.test_performance import PLAN, URL, reference, register
from tests.integration.service.test_refusals import assert_problem
from tests.integration.service.test_way_through import judged
from tests.integration.service.test_windows import judged as judged_by
from tests.processes.classified import DECLARED, Values, classified, csv_of, observed
from tests.processes.fixtures import MakeService

pytestmark = pytest.mark.anyio

COMPANION = "churn.performance"
ROWS = 100
LABELLED: dict[str, Any] = {
    **PLAN,
    "window": {"rows": ROWS},
    "performance": {"window_rows": ROWS},
}
FEW = classified(1, 600)
QUICK = {**LABELLED, "window": {"rows": 30}}
"""Where it does not matter what is found."""


def labels_of(batches: dict[str, Values]) -> dict[str, Any]:
    return {"labels": [{"id": name, "values": rows[:, 3].tolist()} for name, rows in batches.items()]}


async def observe(app: Application, batches: dict[str, Values]) -> None:
    for name, rows in batches.items():
        answer = await app.observe(observed(rows), key=name)
        assert answer.status_code == 200, answer.text


async def post(app: Application, body: Any) -> httpx.Response:
    return await app.client.post(f"{URL}/labels", json=body)


async def joined(app: Application, body: Any) -> dict[str, Any]:
    answer = await post(app, body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def outcomes(app: Application) -> int:
    return await app.stored_batches(COMPANION)


def turned_over(rows: Values) -> Values:
    return np.column_stack([rows[:, :3], 1 - rows[:, 3]])


def test_a_changed_concept_is_seen_by_late_labels_alone_whatever_their_order(make_service: MakeService) -> None:
    """The labels of the second half are turned over; the service is killed before any of them comes."""
    service = make_service(DRIFT_EVALUATION__POLL_SECONDS="0.1")
    service.start()
    batches = {str(number): classified(60 + number, 50) for number in range(8)}
    truth = {name: rows if int(name) < 4 else turned_over(rows) for name, rows in batches.items()}
    with service.client() as client:
        told = {"content": csv_of(classified(1, 2500)), "headers": {"Content-Type": "text/csv"}}
        for answer in (
            client.put(f"{URL}/reference", params={"columns": DECLARED}, **told),
            client.put(f"{URL}/plan", json=LABELLED),
        ):
            assert answer.status_code == 200, answer.text
        for name, rows in batches.items():
            kept = client.post(f"{URL}/observations", json=observed(rows), headers={"Idempotency-Key": name})
            assert kept.status_code == 200, kept.text
    service.kill()
    service.start()
    with service.client() as client:
        for names in ("31", "20", "31", "75", "64"):  # out of order, and some of them twice
            answer = client.post(f"{URL}/labels", json=labels_of({name: truth[name] for name in names}))
            assert answer.json() == {"batches": 2, "rows": 100, "unknown": [], "conflicting": []}
        assert [each["finding"] for each in judged_by(client, "churn", 4)] == ["STABLE"] * 4
        found = judged_by(client, COMPANION, 4)
    assert [each["finding"] for each in found] == ["STABLE", "STABLE", "DRIFT", "DRIFT"]
    assert [each["calibrated"] for each in found] == [True] * 4
    assert [each["action"] for each in found] == [None] * 4
    assert sorted(found[2]["drifted_features"]) == ["error", "squared_error"]


async def test_labels_of_what_did_not_come_yet_are_told_by_their_place_and_joined_when_it_did(
    running_app: Application,
) -> None:
    await register(running_app, QUICK, FEW)
    first, second = {"first": classified(2, 10)}, {"second": classified(3, 5)}
    await observe(running_app, first)
    both = labels_of({**second, **first})
    assert await joined(running_app, both) == {"batches": 1, "rows": 10, "unknown": ["labels[0]"], "conflicting": []}
    await observe(running_app, second)
    assert await joined(running_app, both) == {"batches": 2, "rows": 15, "unknown": [], "conflicting": []}
    assert await outcomes(running_app) == 2
    begins = "driftwarden_labelled_batches_total{"
    lines = (await running_app.client.get("/metrics")).text.splitlines()
    counted = {line.split('outcome="')[1].split('"')[0]: line[-3:] for line in lines if line.startswith(begins)}
    assert counted == {"joined": "3.0", "unknown": "1.0", "conflicting": "0.0"}


async def test_the_first_labels_of_a_batch_count(running_app: Application) -> None:
    await register(running_app, QUICK, FEW)
    rows = classified(4, 10)
    await observe(running_app, {"b": rows})
    assert (await joined(running_app, labels_of({"b": rows})))["rows"] == 10
    other = await joined(running_app, labels_of({"b": turned_over(rows)}))
    assert other == {"batches": 0, "rows": 0, "unknown": [], "conflicting": ["labels[0]"]}
    assert await outcomes(running_app) == 1


async def test_rows_whose_label_is_not_known_are_left_out(running_app: Application) -> None:
    await register(running_app, QUICK, FEW)
    await observe(running_app, {"a": classified(5, 3), "b": classified(6, 2)})
    body = {"labels": [{"id": "a", "values": [1, None, 0]}, {"id": "b", "values": [None, None]}]}
    assert (await joined(running_app, body))["rows"] == 2
    assert await outcomes(running_app) == 1


NONSENSE: list[tuple[Any, str]] = [
    ({}, "labels"),
    ({"labels": []}, "labels"),
    ({"labels": [{"id": "a"}]}, "labels[0].values"),
    ({"labels": [{"id": "a", "values": []}]}, "labels[0].values"),
    ({"labels": [{"id": "", "values": [1]}]}, "labels[0].id"),
    ({"labels": [{"id": "a" * 201, "values": [1]}]}, "labels[0].id"),
    ({"labels": [{"id": 7, "values": [1]}]}, "labels[0].id"),
    ({"labels": [{"id": "a", "values": [1, 0, "1"]}]}, "labels[0].values[2]"),
    ({"labels": [{"id": "a", "values": [1, 0, True]}]}, "labels[0].values[2]"),
    ({"labels": [{"id": "a", "values": [1, 0, 2]}]}, "labels[0].values[2]"),
    ({"labels": [{"id": "a", "values": [1, 0.5, 1]}]}, "labels[0].values[1]"),
    ({"labels": [{"id": "b", "values": [1, 0, 1]}, {"id": "a", "values": [1, 0]}]}, "labels[1].values"),
    ({"labels": [{"id": "b", "values": [1, 0, 1]}, {"id": "a", "values": [1, 0, 1, 0]}]}, "labels[1].values"),
    ({"labels": [{"id": "a", "values": [1, 0, 1]}, {"id": "a", "values": [1, 0, 1]}]}, "labels[1].id"),
    ({"labels": [{"id": "a", "values": [1, 0, 1]}], "surprise": 1}, "surprise"),
    ({"labels": [{"id": str(each), "values": [1]} for each in range(1001)]}, "labels"),
]
BODIES: list[tuple[bytes, dict[str, str], int, str]] = [
    (b'{"labels": [', {}, 400, "unreadable-body"),
    (b'{"labels": [{"id": "a", "values": [NaN]}]}', {}, 422, "invalid-labels"),
    (b"", {}, 400, "unreadable-body"),
    (b"{}", {"Content-Type": "text/csv"}, 415, "unsupported-format"),
    (b"{}", {"Content-Encoding": "gzip"}, 415, "unsupported-format"),
    (b" " * 70_000, {}, 413, "content-too-large"),
]


async def test_what_cannot_be_labels_of_a_batch_is_refused_by_its_place_and_nothing_of_it_counts(
    running_app: Application,
) -> None:
    await register(running_app, QUICK, FEW)
    await observe(running_app, {"a": classified(7, 3), "b": classified(8, 3)})
    for body, place in NONSENSE:
        assert_problem(await post(running_app, body), 422, "invalid-labels", place)
    for content, headers, status, name in BODIES:
        said = {"Content-Type": "application/json", **headers}
        assert_problem(await running_app.client.post(f"{URL}/labels", content=content, headers=said), status, name)
    assert await outcomes(running_app) == 0


async def test_labels_of_a_model_that_does_not_ask_for_them_are_refused(running_app: Application) -> None:
    body = labels_of({"a": classified(9, 3)})
    assert_problem(await post(running_app, body), 404, "unknown-model")
    assert (await reference(running_app, FEW)).status_code == 200
    assert_problem(await post(running_app, body), 422, "invalid-labels")


async def test_a_companion_is_not_registered_fed_or_deleted_by_itself(running_app: Application) -> None:
    await register(running_app, QUICK, FEW)
    client, url = running_app.client, f"/v1/models/{COMPANION}"
    csv = {"content": csv_of(classified(1, 200)), "headers": {"Content-Type": "text/csv"}}
    answers = [
        await client.put(f"{url}/reference", **csv),
        await client.put(f"{url}/plan", json={}),
        await client.post(f"{url}/observations", json={"rows": [[0, 0]]}),
        await client.post(f"{url}/registrations/1/activate"),
        await client.delete(url),
    ]
    for answer in answers:
        assert_problem(answer, 409, "companion-model")
    registered = (await client.get(url)).json()
    assert (registered["revision"], registered["features"]) == (1, ["error", "squared_error"])


async def test_what_its_model_becomes_the_companion_becomes(running_app: Application) -> None:
    await register(running_app, QUICK, FEW)
    client, url = running_app.client, f"/v1/models/{COMPANION}"
    again = await client.put(f"{URL}/plan", json={**QUICK, "response": {"retrain": False}})
    assert again.status_code == 200
    assert (await client.get(url)).json()["revision"] == 1
    assert (await client.put(f"{URL}/plan", json={**QUICK, "performance": {"window_rows": 50}})).status_code == 200
    assert (await reference(running_app, classified(10, 700))).status_code == 200
    registered = (await client.get(url)).json()
    assert (registered["revision"], registered["reference_rows"]) == (3, 700)
    assert registered["plan"]["window"]["rows"] == 50
    await observe(running_app, {"a": classified(11, 3)})
    await joined(running_app, labels_of({"a": classified(11, 3)}))
    assert (await client.delete(URL)).status_code == 204
    assert (await client.get("/v1/models")).json()["models"] == []
    left = [key async for key in running_app.redis.scan_iter(f"{running_app.prefix}:*")]
    assert {key.split(b":")[2] for key in left if b"{churn" in key} <= {b"batch", b"claim"}


async def test_a_name_that_is_too_long_or_taken_is_refused_before_anything_is_registered(
    running_app: Application,
) -> None:
    long = "m" * 52
    csv = {"content": csv_of(classified(1, 500)), "headers": {"Content-Type": "text/csv"}}
    for name in (long, "shop"):
        answer = await running_app.client.put(f"/v1/models/{name}/reference", params={"columns": DECLARED}, **csv)
        assert answer.status_code == 200, answer.text
    assert (await running_app.client.put("/v1/models/shop.performance/reference", **csv)).status_code == 200
    for name in (long, "shop"):
        answer = await running_app.client.put(f"/v1/models/{name}/plan", json=PLAN)
        assert_problem(answer, 422, "invalid-plan", "performance")
        assert (await running_app.client.get(f"/v1/models/{name}")).json()["plan"]["performance"] is None


async def test_predictions_that_are_any_numbers_are_judged_by_their_absolute_error(running_app: Application) -> None:
    def priced(seed: int, count: int, spread: float) -> Values:
        generator = np.random.default_rng(seed)
        price = generator.normal(500.0, 100.0, count)
        noise = generator.normal(0.0, 1.0, (count, 2))
        return np.column_stack([price / 10, noise[:, 0], price, price + spread * noise[:, 1]])

    assert (await reference(running_app, priced(1, 2500, 10.0))).status_code == 200
    plan = {**LABELLED, "performance": {"metric": "absolute_error", "window_rows": ROWS}}
    assert (await running_app.client.put(f"{URL}/plan", json=plan)).status_code == 200
    batches = {"calm": priced(2, ROWS, 10.0), "worse": priced(3, ROWS, 20.0)}
    await observe(running_app, batches)
    assert (await joined(running_app, labels_of(batches)))["rows"] == 2 * ROWS
    for main in await judged(running_app, 2):
        assert (main["finding"], main["performance"]) == ("STABLE", None)
    assert [each["finding"] for each in await judged(running_app, 2, COMPANION)] == ["STABLE", "DRIFT"]
    matters = {**plan, "response": {"only_if_it_matters": True}}
    answer = await running_app.client.put(f"{URL}/plan", json=matters)
    assert_problem(answer, 422, "invalid-plan", "response.only_if_it_matters")
