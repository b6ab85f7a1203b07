"""Columns that are more than numbers, over HTTP: categories in every format, roles, and what does not match."""

import io
import json
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from detectors import codec
from service.domain.sent_columns import code_of
from service.usecases.observe_batch import MATCHED_ON_THE_LOOP
from tests.integration.service.conftest import MAX_BODY_BYTES, Application
from tests.integration.service.test_export import ARROW, CSV, PARQUET, given, lines_of, table_of
from tests.integration.service.test_refusals import assert_problem
from tests.integration.service.test_way_through import judged
from tests.processes.payloads import kserve_headers, raw, tensor
from tests.processes.traffic import rows

pytestmark = pytest.mark.anyio

JSON, BINARY = "application/json", "application/octet-stream"
URL = "/v1/models/churn"
CITIES = ("Bern", "Genf", "Zürich")
PLAN = {
    "window": {"rows": 60},
    "detectors": [{"name": "chi_square", "features": ["city"]}, {"name": "unseen_categories", "features": ["city"]}],
}


def amounts(count: int) -> list[float]:
    return [float(each) for each in rows(3, count)[:, 0]]


def cities(count: int, among: tuple[str, ...] = CITIES) -> list[str]:
    return [str(each) for each in np.random.default_rng(5).choice(among, count)]


def csv_of(columns: dict[str, list[Any]]) -> bytes:
    lines = [",".join(columns), *(",".join(map(str, line)) for line in zip(*columns.values(), strict=True))]
    return "\n".join(lines).encode()


def parquet_of(columns: dict[str, list[Any]]) -> bytes:
    file = io.BytesIO()
    parquet.write_table(pa.table(columns), file)
    return file.getvalue()


def arrow_of(columns: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    batch = pa.record_batch(columns)
    with pa.ipc.new_stream(file, batch.schema) as stream:
        stream.write_batch(batch)
    return file.getvalue()


async def register(app: Application, body: bytes, kind: str = CSV, columns: Any = None) -> httpx.Response:
    query = {} if columns is None else {"columns": json.dumps(columns)}
    return await app.client.put(f"{URL}/reference", content=body, headers={"Content-Type": kind}, params=query)


async def of_cities(app: Application, plan: dict[str, Any] = PLAN) -> None:
    answer = await register(app, csv_of({"amount": amounts(600), "city": cities(600)}))
    assert answer.status_code == 200, answer.text
    answer = await app.client.put(f"{URL}/plan", json=plan)
    assert answer.status_code == 200, answer.text


async def post(app: Application, content: bytes, kind: str = JSON, **headers: str) -> httpx.Response:
    said = {"Content-Type": kind, **headers}
    return await app.client.post(f"{URL}/observations", content=content, headers=said)


async def mismatches(app: Application) -> dict[str, float]:
    """How many values were counted, by what was wrong."""
    begins = 'driftwarden_schema_mismatches_total{mismatch="'
    lines = (await app.client.get("/metrics")).text.splitlines()
    found = [line.removeprefix(begins).split('",model="churn"} ') for line in lines if line.startswith(begins)]
    return {name: float(value) for name, value in found if float(value)}


async def columns_of(app: Application) -> dict[str, dict[str, Any]]:
    answer = await app.client.get(f"{URL}/schema")
    assert answer.status_code == 200, answer.text
    return {column["name"]: column for column in answer.json()["columns"]}


@pytest.mark.parametrize("kind", [CSV, PARQUET, ARROW, JSON, "rows"])
async def test_a_reference_may_hold_text_and_is_the_same_in_every_format(running_app: Application, kind: str) -> None:
    columns: dict[str, list[Any]] = {"amount": amounts(200), "city": cities(200), "member": [True, False] * 100}
    body = {
        CSV: csv_of,
        PARQUET: parquet_of,
        ARROW: arrow_of,
        JSON: lambda columns: json.dumps({"columns": columns}).encode(),
        "rows": lambda columns: json.dumps(
            {"features": list(columns), "rows": list(zip(*columns.values(), strict=True))}
        ).encode(),
    }[kind](columns)
    answer = await register(running_app, body, JSON if kind == "rows" else kind)
    assert answer.status_code == 200, answer.text
    expected = await register(running_app, csv_of(columns))
    assert answer.json()["reference_digest"] == expected.json()["reference_digest"]
    found = await columns_of(running_app)
    assert {name: column["kind"] for name, column in found.items()} == {
        "amount": "numeric",
        "city": "categorical",
        "member": "boolean",
    }
    assert found["city"]["categories"] == sorted(CITIES)
    assert found["city"]["codes"] == [code_of(city) for city in sorted(CITIES)]
    assert found["amount"]["minimum"] == min(columns["amount"])


def bodies(city: str) -> Iterator[tuple[str, str, bytes]]:
    """Two rows in every format that may hold text, the second in this city."""
    amount, city_of = [0.5, -0.5], ["Bern", city]
    columns = {"amount": amount, "city": city_of}
    tensors = [
        tensor("amount", "FP64", [2, 1], data=amount),
        tensor("city", "BYTES", [2, 1], data=city_of),
    ]
    packed = raw("BYTES", [each.encode() for each in city_of])
    binary = [tensor("amount", "FP64", [2], 16), tensor("city", "BYTES", [2], len(packed))]
    yield "CSV", CSV, csv_of(columns)
    yield "Arrow", ARROW, arrow_of(columns)
    yield "Arrow dictionary", ARROW, arrow_of({"amount": amount, "city": pa.array(city_of).dictionary_encode()})
    yield "columns", JSON, json.dumps({"columns": columns}).encode()
    yield "rows", JSON, json.dumps({"rows": [[0.5, "Bern"], [-0.5, city]]}).encode()
    yield "V1 lists", JSON, json.dumps({"instances": [[0.5, "Bern"], [-0.5, city]]}).encode()
    named = [{"amount": 0.5, "city": "Bern"}, {"amount": -0.5, "city": city}]
    yield "V1 objects", JSON, json.dumps({"instances": named}).encode()
    yield "V2", JSON, json.dumps({"inputs": tensors}).encode()
    yield "V2 binary", BINARY, json.dumps({"inputs": binary}).encode() + raw("FP64", amount) + packed


async def test_categories_are_taken_in_every_format_and_come_back_as_text(running_app: Application) -> None:
    found = list(bodies("Genf"))
    await of_cities(running_app, {**PLAN, "window": {"rows": 20}})
    for name, kind, body in (*found, found[0]):
        answer = await post(running_app, body, kind)
        assert answer.status_code == 200, f"{name}: {answer.text}"
    await judged(running_app, 1)
    assert await mismatches(running_app) == {}
    lines = lines_of(await given(running_app, "verdicts/1/rows"))
    assert [line["city"] for line in lines] == ["Bern", "Genf"] * 10
    assert [line["amount"] for line in lines] == ["0.5", "-0.5"] * 10
    for accept in (PARQUET, ARROW):
        table = table_of(await given(running_app, "verdicts/1/rows", accept))
        assert table.column("city").to_pylist() == ["Bern", "Genf"] * 10


async def test_an_unseen_category_is_counted_and_detectors_see_it(running_app: Application) -> None:
    await of_cities(running_app)
    strange = ["Basel" if number % 2 else city for number, city in enumerate(cities(60))]
    body = json.dumps({"columns": {"amount": amounts(60), "city": strange}}).encode()
    assert (await post(running_app, body)).status_code == 200
    (verdict,) = await judged(running_app, 1)
    assert verdict["finding"] == "DRIFT"
    measured = {each["detector"]: each["features"][0] for each in verdict["detectors"]}
    assert measured["unseen_categories"]["statistic"] == 0.5
    assert measured["chi_square"]["drifted"]
    assert await mismatches(running_app) == {"unseen_category": 30}
    assert verdict["mismatches"] == 30
    lines = lines_of(await given(running_app, "verdicts/1/rows"))
    assert {line["city"] for line in lines} == {*CITIES, f"?{code_of('Basel'):.0f}"}


async def test_calm_categories_are_calm(running_app: Application) -> None:
    await of_cities(running_app)
    body = json.dumps({"columns": {"amount": amounts(60), "city": cities(60)}}).encode()
    assert (await post(running_app, body)).status_code == 200
    (verdict,) = await judged(running_app, 1)
    assert verdict["finding"] == "STABLE"


AMOUNT = tensor("amount", "FP64", [1], data=[1.0])
REFUSALS = [
    ({"columns": {"amount": [0.5], "city": ["Bern"], "surplus": [1]}}, ["features[2]"]),
    ({"columns": {"amount": [0.5]}}, ["features"]),
    ({"columns": {"amount": ["0.5"], "city": ["Bern"]}}, ["columns[0][0]"]),
    ({"columns": {"amount": [True], "city": ["Bern"]}}, ["columns[0][0]"]),
    ({"columns": {"amount": [0.5], "city": ["Basel"]}}, ["columns[1][0]"]),
    ({"columns": {"amount": [0.5], "city": [{}]}}, ["columns[1][0]"]),
    ({"rows": [[0.5, "Bern"], [0.5, "Basel"]]}, ["rows[1][1]"]),
    ({"instances": [[0.5, "Basel"]]}, ["instances[0][1]"]),
    ({"instances": [{"amount": 0.5, "city": "Basel"}]}, ["instances[0], member 2"]),
    (
        {"inputs": [AMOUNT, tensor("city", "BYTES", [1], data=["Basel"])]},
        ["inputs[1].data[0]"],
    ),
    (
        {"inputs": [AMOUNT, tensor("city", "BYTES", [1], data=[7])]},
        ["inputs[1].data"],
    ),
]


@pytest.mark.parametrize(("body", "places"), REFUSALS, ids=range(len(REFUSALS)))
async def test_what_does_not_match_is_told_by_its_place(
    running_app: Application, body: dict[str, Any], places: list[str]
) -> None:
    await of_cities(running_app, {**PLAN, "schema_mismatch": {"categories": "refuse"}})
    answer = await post(running_app, json.dumps(body).encode())
    assert_problem(answer, 422, "invalid-batch")
    assert [error["place"] for error in answer.json()["errors"]] == places
    assert "Basel" not in answer.text
    assert await mismatches(running_app) == {}


async def test_what_is_counted_is_taken_and_never_silently_calm(running_app: Application) -> None:
    plan = {
        "window": {"rows": 60},
        "detectors": [{"name": "kolmogorov_smirnov", "features": ["amount"]}],
        "schema_mismatch": {"columns": "count", "kinds": "count"},
    }
    await of_cities(running_app, plan)
    body = {"columns": {"amount": ["n/a"] * 60, "surplus": [1.0] * 60}}
    assert (await post(running_app, json.dumps(body).encode())).status_code == 200
    (verdict,) = await judged(running_app, 1)
    assert await mismatches(running_app) == {"unknown_column": 60, "missing_column": 60, "wrong_kind": 60}
    assert verdict["finding"] == "UNDECIDED"
    assert verdict["mismatches"] == 180
    assert verdict["detectors"][0]["features"][0]["missing"] == 60


DECLARED = [
    {"name": "id", "role": "ignore"},
    {"name": "score", "role": "prediction"},
    {"name": "left", "role": "label"},
    {"name": "shop", "kind": "categorical"},
]


def with_roles(count: int) -> dict[str, list[Any]]:
    return {
        "id": [f"customer {number}" for number in range(count)],
        "amount": amounts(count),
        "shop": [number % 3 + 1 for number in range(count)],
        "score": [0.25 + 0.5 * (number % 2) + 0.001 * number / count for number in range(count)],
        "left": [number % 2 for number in range(count - 1)] + [""],
    }


async def of_roles(app: Application) -> httpx.Response:
    answer = await register(app, csv_of(with_roles(1_200)), columns=DECLARED)
    assert answer.status_code == 200, answer.text
    return answer


async def test_detectors_look_at_features_and_predictions(running_app: Application) -> None:
    registered = (await of_roles(running_app)).json()
    assert registered["features"] == ["amount", "shop", "score", "left"]
    roles = [column["role"] for column in registered["columns"]]
    assert roles == ["ignore", "feature", "feature", "prediction", "label"]
    plan = {"window": {"rows": 60}, "detectors": [{"name": "kolmogorov_smirnov"}]}
    assert (await running_app.client.put(f"{URL}/plan", json=plan)).status_code == 200
    sent = {name: values[:60] for name, values in with_roles(60).items() if name not in {"left", "id"}}
    assert (await post(running_app, json.dumps({"columns": sent}).encode())).status_code == 200
    (verdict,) = await judged(running_app, 1)
    assert [each["feature"] for each in verdict["detectors"][0]["features"]] == ["amount", "shop", "score"]
    lines = lines_of(await given(running_app, "verdicts/1/rows"))
    assert lines[1] | {"amount": ""} == lines[1] | {"amount": "", "shop": "2", "left": ""}
    assert "id" not in lines[0]


async def test_a_label_is_looked_at_where_a_plan_names_it(running_app: Application) -> None:
    await of_roles(running_app)
    plan = {"window": {"rows": 60}, "detectors": [{"name": "missing_values", "features": ["left"]}]}
    assert (await running_app.client.put(f"{URL}/plan", json=plan)).status_code == 200
    plan["detectors"] = [{"name": "missing_values", "features": ["id"]}]
    assert_problem(await running_app.client.put(f"{URL}/plan", json=plan), 422, "invalid-plan")


async def test_predictions_of_logged_responses_are_columns_of_their_own(running_app: Application) -> None:
    await of_roles(running_app)
    plan = {"window": {"rows": 60}, "detectors": [{"name": "kolmogorov_smirnov", "features": ["score"]}]}
    assert (await running_app.client.put(f"{URL}/plan", json=plan)).status_code == 200
    asked = {"instances": [{"amount": each, "shop": "2", "id": "nobody"} for each in amounts(60)]}
    answered = {"predictions": [9.0] * 60}
    for kind, body in (("request", asked), ("response", answered)):
        headers = kserve_headers(kind, "1")
        answer = await running_app.client.post("/v1/cloudevents", content=json.dumps(body), headers=headers)
        assert answer.status_code == 200
    (verdict,) = await judged(running_app, 1)
    assert (verdict["finding"], verdict["drifted_features"]) == ("DRIFT", ["score"])


async def test_what_was_declared_holds_for_later_references_until_something_else_is(running_app: Application) -> None:
    first = (await of_roles(running_app)).json()
    again = (await register(running_app, csv_of(with_roles(1_200)))).json()
    assert (again["changed"], again["revision"]) == (False, first["revision"])
    other = (await register(running_app, csv_of({**with_roles(300), "new": amounts(300)}))).json()
    assert [column["role"] for column in other["columns"]][3:] == ["prediction", "label", "feature"]
    del (bare := with_roles(300))["id"]
    del bare["left"]
    last = (await register(running_app, csv_of(bare), columns=[])).json()
    assert {column["role"] for column in last["columns"]} == {"feature"}
    back = await running_app.client.post(f"{URL}/registrations/{first['revision']}/activate")
    assert back.json()["columns"] == first["columns"]


async def test_another_role_is_another_reference_and_another_kind_is_not(running_app: Application) -> None:
    body = csv_of({"a": amounts(200), "b": amounts(200)})
    first, kind, role = [
        (await register(running_app, body, columns=columns)).json()
        for columns in ([], [{"name": "a", "kind": "numeric"}], [{"name": "a", "role": "label"}])
    ]
    assert [each["revision"] for each in (first, kind, role)] == [1, 2, 3]
    assert first["reference_digest"] == kind["reference_digest"] != role["reference_digest"]


@pytest.mark.parametrize(
    ("columns", "place"),
    [
        ('[{"name": "amount", "kind": "colour"}]', "columns[0].kind"),
        ('[{"name": "amount", "extra": 1}]', "columns[0].extra"),
        ('[{"name": "secret"}]', "columns[0].name"),
        ('{"name": "amount"}', "columns"),
        ("[", "columns"),
        ("", "columns"),
        ("[" * 5_000, "columns"),
    ],
    ids=range(7),
)
async def test_declarations_that_cannot_be(running_app: Application, columns: str, place: str) -> None:
    body = csv_of({"amount": amounts(100), "city": cities(100)})
    said = {"Content-Type": CSV}
    answer = await running_app.client.put(f"{URL}/reference", content=body, headers=said, params={"columns": columns})
    assert_problem(answer, 422, "invalid-reference")
    assert [error["place"] for error in answer.json()["errors"]] == [place]
    assert "secret" not in answer.text


async def test_the_schema_has_a_tag_that_changes_with_the_registration(running_app: Application) -> None:
    await of_cities(running_app)
    answer = await running_app.client.get(f"{URL}/schema")
    known = {"If-None-Match": answer.headers["ETag"]}
    assert (await running_app.client.get(f"{URL}/schema", headers=known)).status_code == 304
    await register(running_app, csv_of({"amount": amounts(300), "city": cities(300)}))
    changed = await running_app.client.get(f"{URL}/schema", headers=known)
    assert changed.json()["revision"] == answer.json()["revision"] + 1
    missing = await running_app.client.get("/v1/models/nobody/schema")
    assert_problem(missing, 404, "unknown-model")


async def test_rows_tested_at_once_may_hold_text(running_app: Application) -> None:
    await of_cities(running_app)
    body = {"columns": {"amount": amounts(60), "city": ["Basel"] * 60}}
    answer = await running_app.client.post(f"{URL}/evaluations", json=body)
    assert answer.json()["finding"] == "DRIFT"


async def test_many_values_are_matched_as_few_are(running_app: Application) -> None:
    await of_cities(running_app, {**PLAN, "window": {"rows": 5_000}})
    sent = cities(5_000)
    body = csv_of({"amount": [1] * 5_000, "city": sent})
    assert len(body) < MAX_BODY_BYTES
    assert MATCHED_ON_THE_LOOP < 2 * 5_000
    assert (await post(running_app, body, CSV)).status_code == 200
    await judged(running_app, 1)
    assert [line["city"] for line in lines_of(await given(running_app, "verdicts/1/rows"))] == sent


async def test_a_number_in_a_column_of_categories_is_one(running_app: Application) -> None:
    await of_cities(running_app)
    assert (await running_app.observe({"rows": [[0.5, 7], [0.5, "7"]]})).status_code == 200
    assert await mismatches(running_app) == {"unseen_category": 2}


async def test_nobody_who_plans_nothing_has_categories_compared_by_their_size(running_app: Application) -> None:
    def planned(view: Any) -> dict[str, list[str] | None]:
        return {each["name"]: each["features"] for each in view["plan"]["detectors"]}

    async def registered(columns: dict[str, list[Any]]) -> Any:
        answer = await running_app.client.put(
            f"{URL}/reference", content=csv_of(columns), headers={"Content-Type": "text/csv"}
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    first = await registered({"city": cities(200), "amount": amounts(200)})
    assert planned(first)["kolmogorov_smirnov"] == planned(first)["maximum_mean_discrepancy"] == ["amount"]
    assert planned(first)["chi_square"] == planned(first)["unseen_categories"] == ["city"]
    # What follows from the columns follows from the later ones, too; what somebody planned stays.
    other = await registered({"town": cities(200), "amount": amounts(200)})
    assert planned(other)["chi_square"] == ["town"]
    assert planned(await registered({"amount": amounts(200)})) == {
        "kolmogorov_smirnov": None,
        "maximum_mean_discrepancy": None,
    }
    await running_app.client.put(f"{URL}/plan", json={"detectors": [{"name": "kolmogorov_smirnov"}]})
    assert planned(await registered({"city": cities(200), "amount": amounts(200)})) == {"kolmogorov_smirnov": None}


async def test_rows_that_a_sidecar_has_coded_are_no_numbers(running_app: Application) -> None:
    answer = await register(running_app, csv_of({"amount": amounts(200), "city": [0.5, 1.5] * 100}))
    assert answer.status_code == 200, answer.text
    attributes = {"features": ["amount", "city"], "categorical": ["city"]}
    coded = codec.encode("rows", {"rows": np.array([[0.5, code_of("Bern")]])}, attributes)
    answer = await post(running_app, coded, "application/vnd.driftwarden.rows")
    assert_problem(answer, 422, "invalid-batch")
    assert [error["place"] for error in answer.json()["errors"]] == ["categorical"]


@pytest.mark.parametrize(
    "body",
    [
        {"columns": {"customer": ["c1", "c2"], "amount": [0.5, 1.5]}},
        {"rows": [["c1", 0.5], ["c2", 1.5]]},
        {"instances": [["c1", 0.5], ["c2", 1.5]]},
        {"instances": [{"customer": "c1", "amount": 0.5}, {"customer": "c2", "amount": 1.5}]},
    ],
    ids=range(4),
)
async def test_text_that_is_ignored_is_ignored_among_numbers_too(
    running_app: Application, body: dict[str, Any]
) -> None:
    columns = {"customer": [f"c{number}" for number in range(200)], "amount": amounts(200)}
    answer = await register(running_app, csv_of(columns), columns=[{"name": "customer", "role": "ignore"}])
    assert answer.status_code == 200, answer.text
    answer = await post(running_app, json.dumps(body).encode())
    assert answer.status_code == 200, answer.text


async def test_a_logged_request_without_names_may_have_ignored_columns(running_app: Application) -> None:
    columns = {"customer": [f"c{number}" for number in range(600)], "amount": amounts(600)}
    answer = await register(running_app, csv_of(columns), columns=[{"name": "customer", "role": "ignore"}])
    assert answer.status_code == 200, answer.text
    plan = {"window": {"rows": 60}, "detectors": [{"name": "kolmogorov_smirnov"}]}
    assert (await running_app.client.put(f"{URL}/plan", json=plan)).status_code == 200
    body = json.dumps({"instances": [["c1", amount] for amount in amounts(60)]})
    headers = kserve_headers("request", "1")
    answer = await running_app.client.post("/v1/cloudevents", content=body, headers=headers)
    assert answer.status_code == 200
    (verdict,) = await judged(running_app, 1)
    assert (verdict["rows"], verdict["finding"]) == (60, "STABLE")
