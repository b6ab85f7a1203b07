"""Whatever is wrong with a request: a problem that says what and where, nothing stored, the service unharmed."""

import gzip
import json
from typing import Any

import httpx
import pytest

from tests.integration.service.conftest import MAX_BODY_BYTES, MAX_REFERENCE_BYTES, Application
from tests.processes.traffic import FEATURES, payload, reference, rows

pytestmark = pytest.mark.anyio

OBSERVATIONS = "/v1/models/churn/observations"
PLAN = "/v1/models/churn/plan"
GOOD = payload(rows(1, 1))


def assert_problem(answer: httpx.Response, status: int, name: str, place: str | None = None) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["type"] == f"urn:driftwarden:problem:{name}"
    assert document["status"] == status
    assert document["title"]
    assert document["detail"]
    if place is not None:
        assert place in [error["place"] for error in document["errors"]]


async def assert_unharmed(app: Application, stored: int = 0) -> None:
    assert await app.stored_batches() == stored
    assert (await app.client.get("/readyz")).status_code == 200
    assert (await app.observe(GOOD)).status_code == 200
    assert await app.stored_batches() == stored + 1


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"rows": [[1, 2]]}, "rows"),
        ({"rows": [[1, 2, 3, 4]]}, "rows"),
        ({"rows": [[1, 2, 3], [4, 5]]}, "rows[1]"),
        ({"rows": [[1, 2, "three"]]}, "rows[0][2]"),
        ({"rows": [[1, 2, None]]}, "rows[0][2]"),
        ({"rows": [[1, 2, True]]}, "rows[0][2]"),
        ({"rows": []}, "rows"),
        ({"rows": [[]]}, "rows[0]"),
        ({}, "rows"),
        ({"rows": [[1, 2, 3]], "features": ["amount", "age", "shoe size"]}, "features[2]"),
        ({"rows": [[1, 2, 3]], "features": ["amount", "age"]}, "rows"),
        ({"rows": [[1, 2, 3]], "surprise": 1}, "surprise"),
        ({"rows": [[1, 2, 3]], "observed_at": "yesterday"}, "observed_at"),
    ],
)
async def test_a_batch_that_does_not_fit_is_refused_with_the_place(
    watched: Application, body: dict[str, Any], place: str
) -> None:
    assert_problem(await watched.observe(body), 422, "invalid-batch", place)
    await assert_unharmed(watched)


@pytest.mark.parametrize("content", [b"", b"   ", b"{", b"\xff\xfe\x00", b"[" * 50_000, b"\x00"])
async def test_a_body_that_cannot_be_read_is_refused(watched: Application, content: bytes) -> None:
    answer = await watched.client.post(OBSERVATIONS, content=content, headers={"Content-Type": "application/json"})
    assert_problem(answer, 400, "unreadable-body")
    await assert_unharmed(watched)


@pytest.mark.parametrize(
    "content", [b"null", b"[]", b'{"rows": [[NaN, 1, 2]]}', b'{"rows": [[1e400, 1, 2]]}', b'{"rows": {}}']
)
async def test_a_document_that_holds_no_rows_is_refused(watched: Application, content: bytes) -> None:
    answer = await watched.client.post(OBSERVATIONS, content=content, headers={"Content-Type": "application/json"})
    assert_problem(answer, 422, "invalid-batch")
    await assert_unharmed(watched)


async def test_a_large_body_is_parsed_off_the_loop_with_the_same_refusals(running_app: Application) -> None:
    content = b'{"rows": [' + b"[1.0, 2.0, 3.0], " * 20_000 + b"[1.0]]}"
    answer = await running_app.client.put("/v1/models/churn/reference", content=content)
    assert_problem(answer, 422, "invalid-reference", "rows[20000]")


@pytest.mark.parametrize("media_type", ["application/xml", "text/plain", "application/x-www-form-urlencoded"])
async def test_a_media_type_that_nobody_reads_is_refused(watched: Application, media_type: str) -> None:
    for answer in (
        await watched.client.post(OBSERVATIONS, content=json.dumps(GOOD), headers={"Content-Type": media_type}),
        await watched.client.put("/v1/models/a/reference", content=b"x", headers={"Content-Type": media_type}),
        await watched.client.put(PLAN, content=b"{}", headers={"Content-Type": media_type}),
    ):
        assert_problem(answer, 415, "unsupported-format", "Content-Type")
    await assert_unharmed(watched)


@pytest.mark.parametrize("coding", ["br", "deflate", "gzip, deflate", "gzip, gzip"])
async def test_a_content_coding_that_nobody_undoes_is_refused_as_such(watched: Application, coding: str) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": coding}
    content = gzip.compress(json.dumps(GOOD).encode())
    for method, path in (("POST", OBSERVATIONS), ("PUT", "/v1/models/churn/reference"), ("PUT", PLAN)):
        answer = await watched.client.request(method, path, content=content, headers=headers)
        assert_problem(answer, 415, "unsupported-format", "Content-Encoding")
    await assert_unharmed(watched)


@pytest.mark.parametrize("chunked", [False, True], ids=["declared length", "chunked"])
async def test_a_body_over_the_limit_is_refused(watched: Application, chunked: bool) -> None:
    async def chunks(size: int) -> Any:
        for _ in range(size // 1024 + 1):
            yield b" " * 1024

    limits = {
        ("POST", OBSERVATIONS): MAX_BODY_BYTES,
        ("PUT", "/v1/models/churn/reference"): MAX_REFERENCE_BYTES,
        ("PUT", "/v1/models/churn/plan"): MAX_BODY_BYTES,
    }
    for (method, path), limit in limits.items():
        content = chunks(limit) if chunked else b" " * (limit + 1)
        answer = await watched.client.request(
            method, path, content=content, headers={"Content-Type": "application/json"}
        )
        assert_problem(answer, 413, "content-too-large")
    await assert_unharmed(watched)


async def test_a_plan_is_never_compressed(watched: Application) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = await watched.client.put(PLAN, content=gzip.compress(b"{}"), headers=headers)
    assert_problem(answer, 415, "unsupported-format", "Content-Encoding")


async def test_a_model_that_nobody_registered_is_unknown(watched: Application) -> None:
    assert_problem(await watched.observe(GOOD, model="unheard-of"), 404, "unknown-model")
    assert_problem(await watched.client.get("/v1/models/unheard-of/verdicts"), 404, "unknown-model")
    assert_problem(await watched.client.put("/v1/models/unheard-of/plan", json={}), 404, "unknown-model")
    assert await watched.redis.keys(f"{watched.prefix}:*unheard-of*") == []
    await assert_unharmed(watched)


@pytest.mark.parametrize("name", ["-a", "a b", "a%00b", "ä", "a{b}", "x" * 64, "%2e%2e", "a:b", "*"])
async def test_a_name_that_is_none_is_refused(watched: Application, name: str) -> None:
    for answer in (
        await watched.observe(GOOD, model=name),
        await watched.client.put(f"/v1/models/{name}/reference", json=reference()),
        await watched.client.put(f"/v1/models/{name}/plan", json={}),
        await watched.client.get(f"/v1/models/{name}/verdicts"),
    ):
        assert_problem(answer, 422, "invalid-model-name", "model")
    await assert_unharmed(watched)


async def test_a_period_that_is_none_is_told_what_one_is(watched: Application) -> None:
    plan = {"decision": {"false_alarms": {"per": "1000 windows"}}}
    answer = await watched.client.put("/v1/models/churn/plan", json=plan)
    assert_problem(answer, 422, "invalid-plan", "decision.false_alarms.per")
    message = "must be a number and s, m, h, d or w, such as 30d; a number of windows is per_windows"
    assert answer.json()["errors"][0]["message"] == message


@pytest.mark.parametrize(
    ("plan", "name", "place"),
    [
        ({"detectors": [{"name": "crystal_ball"}]}, "invalid-plan", "detectors[0].name"),
        ({"detectors": [{"name": "alibi_ks_drift"}]}, "invalid-plan", "detectors[0].name"),
        (
            {"detectors": [{"name": "kolmogorov_smirnov", "features": ["nowhere"]}]},
            "invalid-plan",
            "detectors[0].features[0]",
        ),
        ({"detectors": []}, "invalid-plan", "detectors"),
        ({"window": {"rows": 3}}, "invalid-plan", "window.rows"),
        ({"response": {"confirm": 3, "out_of": 2}}, "invalid-plan", "response.confirm"),
        ({"decision": {"false_alarm_rate": 0}}, "invalid-plan", "decision.false_alarm_rate"),
        ({"decision": {"false_alarms": {}}}, "invalid-plan", "decision.false_alarms"),
        (
            {"decision": {"false_alarms": {"at_most": 0, "per_windows": 9}}},
            "invalid-plan",
            "decision.false_alarms.at_most",
        ),
        ({"decision": {"false_alarms": {"per": "0d"}}}, "invalid-plan", "decision.false_alarms.per"),
        ({"decision": {"false_alarms": {"per": "a while"}}}, "invalid-plan", "decision.false_alarms.per"),
        ({"decision": {"false_alarms": {"per": "999999999w"}}}, "invalid-plan", "decision.false_alarms.per"),
        (
            {"detectors": [{"name": "kolmogorov_smirnov", "parameters": {"depth": 1}}]},
            "invalid-plan",
            "detectors[0].parameters.depth",
        ),
        ({"windows": {"rows": 50}}, "invalid-plan", "windows"),
        ({"window": {"rows": "many"}}, "invalid-plan", "window.rows"),
        ([], "invalid-plan", "body"),
        (None, "invalid-plan", "body"),
        (
            {"detectors": [{"name": "kolmogorov_smirnov", "parameters": {"method": ["exact"]}}]},
            "invalid-plan",
            "detectors[0].parameters.method",
        ),
    ],
)
async def test_a_plan_that_cannot_work_is_refused_with_the_place(
    watched: Application, plan: Any, name: str, place: str
) -> None:
    answer = await watched.client.put("/v1/models/churn/plan", json=plan)
    assert_problem(answer, 422, name, place)
    again = await watched.client.put("/v1/models/churn/reference", json=reference())
    assert again.json()["revision"] == 2  # the plan in force is still the one before
    await assert_unharmed(watched)


@pytest.mark.parametrize(
    ("content", "place", "said"),
    [
        (b"", "body", "is empty"),
        (b"  ", "body", "is empty"),
        (b"{", "body", "line 1 column 1"),
        (b"[" * 30_000, "body", "recursion limit exceeded at line 1 column"),
        (b'{"window":\n "\xff"}', "byte 13", "is not UTF-8"),
        (b'{"detectors": [{"name": "\\ud800"}]}', "body", "line 1 column 3"),
        (b'{"\\ud800": 1}', "body", "line 1 column"),
        (b'{"detectors": [{"name": "kolmogorov_smirnov", "parameters": {"\\ud800": 1}}]}', "body", "column 69"),
        (
            b'{"detectors": [{"name": "kolmogorov_smirnov", "minimum_effect": NaN}]}',
            "detectors[0].minimum_effect",
            "at least 0",
        ),
        (
            b'{"detectors": [{"name": "maximum_mean_discrepancy", "parameters": {"bandwidth": Infinity}}]}',
            "detectors[0].parameters.bandwidth",
            "a finite number above zero",
        ),
        (
            b'{"detectors": [{"name": "maximum_mean_discrepancy", "parameters": {"bandwidth": 1' + b"0" * 400 + b"}}]}",
            "detectors[0].parameters.bandwidth",
            "a finite number above zero",
        ),
        (b'{"window": {"rows": 1' + b"0" * 5_000 + b"}}", "body", "number out of range at line 1 column"),
        (b'{"window": {"rows": 1e400}}', "window.rows", "finite"),
    ],
)
async def test_a_plan_that_is_no_document_is_refused_with_the_place(
    watched: Application, content: bytes, place: str, said: str
) -> None:
    answer = await watched.client.put(PLAN, content=content, headers={"Content-Type": "application/json"})
    assert_problem(answer, 422, "invalid-plan", place)
    assert said in answer.json()["errors"][0]["message"]
    await assert_unharmed(watched)


@pytest.mark.parametrize("content_type", [None, "application/json", "Application/JSON; charset=utf-8"])
async def test_a_plan_is_json_whether_it_says_so_or_not(watched: Application, content_type: str | None) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    answer = await watched.client.put(PLAN, content=json.dumps({"window": {"rows": 40}}), headers=headers)
    assert (answer.status_code, answer.json()["plan"]["window"]["rows"]) == (200, 40), answer.text


@pytest.mark.parametrize(
    "detector",
    [
        {"name": "4711.0815"},
        {"name": "kolmogorov_smirnov", "parameters": {"method": "4711.0815"}},
        {"name": "maximum_mean_discrepancy", "parameters": {"seed": "4711.0815"}},
        {"name": "maximum_mean_discrepancy", "parameters": {"permutations": 4711.0815}},
        {"name": "maximum_mean_discrepancy", "parameters": {"bandwidth": -4711.0815}},
        {"name": "maximum_mean_discrepancy", "parameters": {"standardise": 4711.0815}},
        {"name": "fisher_exact", "parameters": {"event": "4711.0815"}},
        {"name": "kolmogorov_smirnov", "features": ["4711.0815"]},
        {"name": "kolmogorov_smirnov", "minimum_effect": -4711.0815},
    ],
)
async def test_a_refused_plan_does_not_repeat_what_was_sent(watched: Application, detector: dict[str, Any]) -> None:
    answer = await watched.client.put(PLAN, json={"detectors": [detector]})
    assert_problem(answer, 422, "invalid-plan")
    assert "4711.0815" not in answer.text


async def test_a_refusal_never_grows_with_the_request(watched: Application) -> None:
    plan = {"detectors": [{"name": "x" * 50_000}] * 1, "y" * 10_000: 1}
    only_name = {"detectors": [{"name": "x" * 50_000}]}
    for body in (plan, only_name, {"detectors": [{"name": "kolmogorov_smirnov", "parameters": {"x" * 50_000: 1}}]}):
        answer = await watched.client.put("/v1/models/churn/plan", json=body)
        assert answer.status_code == 422
        assert len(answer.content) < 10_000


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (reference(count=99), "rows"),
        (payload(rows(1, 200), features=["a", "b"]), "rows"),
        (payload(rows(1, 200), features=["a", "b", "b"]), "features[1]"),
        (payload(rows(1, 200), features=["a", "b", ""]), "features[2]"),
        ({"rows": []}, "rows"),
        ({"rows": [[1, None]]}, "rows[0][1]"),
    ],
)
async def test_a_reference_that_nothing_can_be_held_against_is_refused(
    running_app: Application, body: dict[str, Any], place: str
) -> None:
    answer = await running_app.client.put("/v1/models/churn/reference", json=body)
    assert_problem(answer, 422, "invalid-reference", place)
    assert await running_app.redis.keys(f"{running_app.prefix}:*churn*") == []
    assert (await running_app.client.get("/v1/models/churn/verdicts")).status_code == 404


@pytest.mark.parametrize("key", ["", "x" * 201, "tab\there", "ä"])
async def test_a_key_that_is_none_is_refused(watched: Application, key: str) -> None:
    answer = await watched.client.post(OBSERVATIONS, json=GOOD, headers=[(b"Idempotency-Key", key.encode("latin-1"))])
    assert_problem(answer, 422, "invalid-batch", "Idempotency-Key")
    await assert_unharmed(watched)


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=many", "before=0", "before=-1", f"before={10**30}"])
async def test_a_page_that_cannot_be_is_refused(watched: Application, query: str) -> None:
    answer = await watched.client.get(f"/v1/models/churn/verdicts?{query}")
    assert_problem(answer, 422, "invalid-request", f"query.{query.partition('=')[0]}")


async def test_an_unknown_route_or_method_is_a_problem_like_any_other(watched: Application) -> None:
    assert_problem(await watched.client.get("/v2/models"), 404, "not-found")
    assert_problem(await watched.client.get("/v1/models/a/b/c/verdicts"), 404, "not-found")
    refused = await watched.client.delete("/v1/models/churn/verdicts")
    assert_problem(refused, 405, "method-not-allowed")
    assert refused.headers["allow"] == "GET"
    await assert_unharmed(watched)


async def test_a_refusal_does_not_repeat_what_was_sent(watched: Application) -> None:
    personal = "4711.0815"
    bodies = [
        {"rows": [[1, 2, personal]]},
        {"rows": [[1, 2, 3]], "features": ["amount", "age", personal]},
        {"rows": [[1, 2, 3]], "observed_at": personal + "x"},
    ]
    for body in bodies:
        answer = await watched.observe(body)
        assert answer.status_code == 422
        assert personal not in answer.text


async def test_refused_batches_lose_nothing_of_the_window_around_them(watched: Application) -> None:
    for first in range(0, 50, 10):
        assert (await watched.observe(payload(rows(first, 10), features=list(FEATURES)))).status_code == 200
        assert (await watched.observe({"rows": [[1]]})).status_code == 422
    assert await watched.stored_batches() == 5
