"""Envelopes of CloudEvents: what KServe's logger says in headers, and the same in JSON."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.errors import InvalidInput, UnsupportedFormat
from service.http.cloud_events import from_body, from_headers, is_structured
from tests.processes.payloads import kserve_headers


def lowered(headers: dict[str, str]) -> dict[bytes, str]:
    return {name.lower().encode(): value for name, value in headers.items()}


def enveloped(**changes: Any) -> bytes:
    said: dict[str, Any] = {
        "specversion": "1.0",
        "id": "1",
        "source": "x",
        "type": "org.kubeflow.serving.inference.request",
        "time": "2026-08-21T09:30:00Z",
        "inferenceservicename": "churn",
        "data": {"instances": [[1]]},
        **changes,
    }
    return json.dumps({name: value for name, value in said.items() if value is not None}).encode()


@pytest.mark.parametrize("kind", ["request", "response"])
def test_what_the_logger_says_is_understood(kind: str) -> None:
    metadata = '{"Inference-Header-Content-Length":["123"],"X-Request-Id":["a"]}'
    event = from_headers(lowered(kserve_headers(kind, "abc", **{"Ce-Metadata": metadata})))
    assert (event.identifier, event.kind, event.model) == ("abc", kind, "churn")
    assert event.head_bytes == (123 if kind == "request" else None), "the request's header says nothing of the response"
    assert event.observed_at is not None
    assert event.observed_at.isoformat() == "2026-08-21T09:30:00.123456+00:00"


def test_values_may_be_percent_encoded_as_the_standard_has_it() -> None:
    metadata = "%7B%22inference-header-content-length%22:%5B%227%22%5D%7D"
    assert from_headers(lowered(kserve_headers("request", "1", **{"Ce-Metadata": metadata}))).head_bytes == 7


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Ce-Specversion", "0.3"),
        ("Ce-Specversion", ""),
        ("Ce-Id", ""),
        ("Ce-Id", "x" * 201),
        ("Ce-Id", "a\nb"),
        ("Ce-Id", "a%0ab"),
        ("Ce-Id", "ä"),
        ("Ce-Type", "com.example.thing"),
        ("Ce-Type", ""),
        ("Ce-Time", "yesterday"),
        ("Ce-Time", "2026-08-21T09:30:00"),
        ("Ce-Time", "1969-12-31T23:59:59Z"),
        ("Ce-Time", "9999-12-31T23:59:59Z"),
        ("Ce-Metadata", "["),
        ("Ce-Metadata", "[]"),
        ("Ce-Metadata", "[" * 100_000),
        ("Ce-Metadata", '{"Inference-Header-Content-Length":["-1"]}'),
    ],
)
def test_a_header_that_cannot_be_is_named(header: str, value: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        from_headers(lowered(kserve_headers("request", "1", **{header: value})))
    place = raised.value.faults[0].place
    assert place in {header.lower(), "Inference-Header-Content-Length"}


@pytest.mark.parametrize("name", ["Ce-Id", "Ce-Type", "Ce-Specversion"])
def test_a_header_that_is_missing_is_named(name: str) -> None:
    headers = kserve_headers("request", "1")
    del headers[name]
    with pytest.raises(InvalidInput) as raised:
        from_headers(lowered(headers))
    assert raised.value.faults[0].place == name.lower()


def test_an_event_in_json_holds_its_data_in_any_of_three_ways() -> None:
    data = b'{"instances": [[1]]}'
    ways: list[dict[str, Any]] = [
        {"data": {"instances": [[1]]}},
        {"data": data.decode(), "datacontenttype": "text/csv"},
        {"data": None, "data_base64": base64.b64encode(data).decode()},
    ]
    for way in ways:
        event, held = from_body(enveloped(**way))
        assert (event.identifier, event.model, held) == ("1", "churn", data)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"[" * 100_000,
        b"\xff",
        enveloped(id=None),
        enveloped(id=1),
        enveloped(specversion="2.0"),
        enveloped(type="x"),
        enveloped(data=None),
        enveloped(data_base64="AAAA"),
        enveloped(data=None, data_base64="!"),
        enveloped(time="never"),
    ],
    ids=range(13),
)
def test_an_event_in_json_that_cannot_be_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        from_body(body)


@given(st.binary(max_size=100) | st.text().map(str.encode))
def test_arbitrary_bytes_are_an_event_or_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        from_body(body)


@given(st.dictionaries(st.sampled_from(["Ce-Id", "Ce-Time", "Ce-Type", "Ce-Metadata", "Ce-Specversion"]), st.text()))
def test_arbitrary_headers_are_an_event_or_refused(changes: dict[str, str]) -> None:
    try:
        event = from_headers(lowered(kserve_headers("request", "1", **changes)))
    except InvalidInput:
        return
    assert event.identifier.isprintable()


def test_a_batch_of_events_is_refused_as_such() -> None:
    assert is_structured("application/cloudevents+json; charset=utf-8")
    assert not is_structured("application/json")
    with pytest.raises(UnsupportedFormat):
        is_structured("application/cloudevents-batch+json")
