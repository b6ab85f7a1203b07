"""A KServe logger's exchange, header by header as its source builds it, replayed: answered 200, read, and judged."""

import gzip
import json
import secrets
from typing import Any

import httpx
import numpy as np
import pytest

from service.settings import StoreSettings
from tests.integration.service.conftest import Application, application
from tests.processes.payloads import kserve_headers, v2_binary
from tests.processes.traffic import FEATURES, SMALL_PLAN, payload, rows
from tests.processes.waiting import eventually_async

pytestmark = pytest.mark.anyio
EVENTS = "/v1/cloudevents"
WITH_PREDICTION = (*FEATURES, "prediction")


async def sent(app: Application, kind: str, identifier: str, body: bytes, **more: str) -> httpx.Response:
    answer = await app.client.post(EVENTS, content=body, headers=kserve_headers(kind, identifier, **more))
    assert answer.status_code == 200, answer.text  # anything else is an error in the logger's eyes, 202 and 204 too
    assert answer.json() == {"event": identifier}
    return answer


async def outcomes(app: Application, kind: str, outcome: str) -> int:
    """How many events of that kind ended so."""
    sample = f'driftwarden_events_total{{kind="{kind}",outcome="{outcome}"}} '
    lines = (await app.client.get("/metrics")).text.splitlines()
    return round(sum(float(line.removeprefix(sample)) for line in lines if line.startswith(sample)))


async def until(app: Application, kind: str, outcome: str, count: int) -> None:
    async def reached() -> bool:
        return await outcomes(app, kind, outcome) == count

    await eventually_async(reached, f"{count} times {kind} {outcome}")


async def watch_predictions(app: Application) -> None:
    """A model whose output is a feature."""
    values = rows(1, 1_000, features=len(WITH_PREDICTION))
    body = payload(values, features=list(WITH_PREDICTION))
    assert (await app.client.put("/v1/models/churn/reference", json=body)).status_code == 200
    assert (await app.client.put("/v1/models/churn/plan", json=SMALL_PLAN)).status_code == 200


def asked(values: np.ndarray[Any, Any]) -> bytes:
    return json.dumps({"instances": values.tolist()}).encode()


def answered(values: np.ndarray[Any, Any]) -> bytes:
    return json.dumps({"predictions": values.tolist()}).encode()


async def test_a_drifting_exchange_ends_in_a_verdict(watched: Application) -> None:
    drifted = rows(5, 50, shift=3.0)
    for number, (first, last) in enumerate([(0, 20), (20, 50)]):
        await sent(watched, "request", f"id-{number}", asked(drifted[first:last]))
        await sent(watched, "response", f"id-{number}", answered(np.ones(last - first)))
    (verdict,) = await eventually_async(watched.verdicts, "a verdict")
    assert (verdict["finding"], verdict["rows"], verdict["batches"]) == ("DRIFT", 50, 2)
    assert verdict["started_at"].startswith("2026-08-21T09:30:00.123"), "the event's time is the rows'"
    await until(watched, "response", "ignored", 2)


async def test_an_exchange_counts_once_however_often_it_comes(watched: Application) -> None:
    for count in (1, 2, 3):
        await sent(watched, "request", "same", asked(rows(1, 10)))
        await until(watched, "request", "observed", count)
    assert await watched.stored_batches() == 1
    await sent(watched, "request", "same", asked(rows(2, 10)))
    await until(watched, "request", "ConflictingBatch", 1)


@pytest.mark.parametrize("told", [False, True], ids=["without a length", "with a length"])
async def test_binary_tensors_are_read_whether_their_length_is_told_or_not(watched: Application, told: bool) -> None:
    values = rows(3, 7)
    body, head = v2_binary({"input-0": ("FP64", values)}, id="x")
    more = {"Content-Type": "application/octet-stream"}
    if told:  # listed under metadataHeaders
        more["Ce-Metadata"] = json.dumps({"Inference-Header-Content-Length": [str(head)]}, separators=(",", ":"))
    await sent(watched, "request", "b", body, **more)
    answer, _ = v2_binary({"output-0": ("FP32", np.ones((7, 1)))}, "outputs", model_name="churn")
    await sent(watched, "response", "b", answer, **more)  # the content type and the metadata are the request's
    await until(watched, "request", "observed", 1)
    await until(watched, "response", "ignored", 1)
    assert await watched.stored_batches() == 1


async def test_named_tensors_may_have_more_than_the_features(watched: Application) -> None:
    tensors: dict[str, Any] = {name: ("FP32", np.ones((4, 1))) for name in (*FEATURES, "more")}
    body, _ = v2_binary(tensors)
    text = json.dumps({"inputs": [{"name": "id", "shape": [4], "datatype": "BYTES", "data": ["a"] * 4}]})
    with_text = json.loads(text)
    with_text["inputs"] += [
        {"name": name, "shape": [4], "datatype": "FP64", "data": [1, 2, 3, 4]} for name in reversed(FEATURES)
    ]
    await sent(watched, "request", "1", body, **{"Content-Type": "application/octet-stream"})
    await sent(watched, "request", "2", json.dumps(with_text).encode())
    await until(watched, "request", "observed", 2)


async def test_gzip_is_found_by_what_it_begins_with(watched: Application) -> None:
    packed = gzip.compress(asked(rows(1, 5)))
    await sent(watched, "request", "1", packed)  # a proxy took the header away
    await sent(watched, "request", "2", packed, **{"Content-Encoding": "gzip"})
    await until(watched, "request", "observed", 2)


async def test_a_content_type_that_curl_made_up_does_not_matter(watched: Application) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    await sent(watched, "request", "1", asked(rows(1, 5)), **form)
    await until(watched, "request", "observed", 1)


@pytest.mark.parametrize("first", ["request", "response"])
async def test_the_response_completes_rows_that_hold_predictions(running_app: Application, first: str) -> None:
    await watch_predictions(running_app)
    values = rows(2, 50, shift=3.0, features=len(WITH_PREDICTION))
    bodies = {"request": asked(values[:, :-1]), "response": answered(values[:, -1])}
    second = "response" if first == "request" else "request"
    await sent(running_app, first, "1", bodies[first])
    await until(running_app, first, "waits", 1)
    assert await running_app.stored_batches() == 0
    await sent(running_app, second, "1", bodies[second])
    (verdict,) = await eventually_async(running_app.verdicts, "a verdict")
    assert (verdict["rows"], verdict["finding"]) == (50, "DRIFT")
    assert set(verdict["drifted_features"]) == set(WITH_PREDICTION)


async def test_a_response_of_another_size_is_counted_and_nothing_is_stored(running_app: Application) -> None:
    await watch_predictions(running_app)
    await sent(running_app, "request", "1", asked(rows(1, 5)))
    await until(running_app, "request", "waits", 1)
    await sent(running_app, "response", "1", answered(np.ones(4)))
    await until(running_app, "response", "InvalidBatch", 1)
    assert await running_app.stored_batches() == 0


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        (b"", "UnreadableBody"),
        (b"{", "UnreadableBody"),
        (b"\x1f\x8b\x08\x00", "UnreadableBody"),
        (b'{"instances": [["a"]]}', "InvalidInput"),
        (b'{"instances": [[1, 2]]}', "waits"),  # its response may bring the third feature
        (gzip.compress(b" " * 2**20), "BodyTooLarge"),
    ],
)
async def test_what_is_wrong_with_the_data_is_counted_and_not_the_loggers_business(
    watched: Application, body: bytes, outcome: str
) -> None:
    await sent(watched, "request", "1", body)
    await until(watched, "request", outcome, 1)
    assert (await watched.client.get("/readyz")).status_code == 200


async def test_feedback_is_taken_and_ignored(watched: Application) -> None:
    await sent(watched, "feedback", "1", b"{}")
    await until(watched, "feedback", "ignored", 1)


async def test_an_unregistered_model_is_counted_and_makes_no_key(running_app: Application) -> None:
    await sent(running_app, "request", "1", asked(rows(1, 5)))
    await until(running_app, "request", "UnknownModel", 1)
    assert await running_app.redis.keys(f"{running_app.prefix}:*churn*") == []


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"Ce-Inferenceservicename": "a:b"}, 422),
        ({"Ce-Inferenceservicename": ""}, 422),
        ({"Ce-Type": "x"}, 400),
        ({"Ce-Specversion": "0.3"}, 400),
        ({"Ce-Id": "x" * 500}, 400),
        ({"Content-Encoding": "br"}, 415),
        ({"Content-Type": "application/cloudevents-batch+json"}, 415),
    ],
)
async def test_an_envelope_that_cannot_be_is_refused_at_once(
    watched: Application, more: dict[str, str], status: int
) -> None:
    headers = kserve_headers("request", "1", **more)
    answer = await watched.client.post(EVENTS, content=asked(rows(1, 1)), headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


async def test_the_path_may_name_the_model_in_place_of_the_service(watched: Application) -> None:
    headers = kserve_headers("request", "1", **{"Ce-Inferenceservicename": "another-name"})
    path = "/v1/models/churn/cloudevents"
    assert (await watched.client.post(path, content=asked(rows(1, 5)), headers=headers)).status_code == 200
    enveloped = {
        "specversion": "1.0",
        "id": "2",
        "source": "x",
        "type": "io.seldon.serving.inference.request",
        "data": {"instances": rows(2, 5).tolist()},
    }
    told = {"Content-Type": "application/cloudevents+json"}
    assert (await watched.client.post(path, content=json.dumps(enveloped), headers=told)).status_code == 200
    nameless = await watched.client.post(EVENTS, content=json.dumps(enveloped), headers=told)
    assert (nameless.status_code, nameless.json()["errors"][0]["place"]) == (400, "inferenceservicename")
    enveloped |= {"id": "3", "inferenceservicename": "churn"}
    packed = gzip.compress(json.dumps(enveloped).encode())
    assert (await watched.client.post(EVENTS, content=packed, headers=told)).status_code == 200
    await until(watched, "request", "observed", 3)


async def test_what_is_accepted_is_stored_before_the_end(shared_store: str) -> None:
    """The application ends right after the last answer; the log has everything all the same."""
    store = StoreSettings(url=shared_store, prefix=secrets.token_hex(8))
    async with application(store) as app:
        await app.register()
        for number in range(50):
            await sent(app, "request", str(number), asked(rows(number, 5)))
    async with application(store) as again:
        assert await again.stored_batches() == 50
