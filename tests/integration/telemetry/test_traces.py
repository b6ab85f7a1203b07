"""A batch, the verdict on its window and the action that follows are one story for whoever reads traces."""

from collections.abc import Iterator

import httpx
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.integration.telemetry.receiver import Receiver, receiving
from tests.processes.fixtures import MakeService
from tests.processes.services import ServiceProcess
from tests.processes.traffic import SMALL_PLAN, payload, reference, rows
from tests.processes.waiting import eventually

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as listening:
        yield listening


def attributes(span: Span) -> dict[str, str | int]:
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


def watch_and_drift(client: httpx.Client, headers: dict[str, str]) -> None:
    assert client.put("/v1/models/churn/reference", json=reference()).status_code == 200
    assert client.put("/v1/models/churn/plan", json=SMALL_PLAN).status_code == 200
    body = payload(rows(1, 50, shift=3.0))
    assert client.post("/v1/models/churn/observations", json=body, headers=headers).status_code == 200
    eventually(lambda: client.get("/v1/models/churn/verdicts").json()["verdicts"], "a verdict")
    eventually(
        lambda: client.get("/v1/models/churn/verdicts").json()["verdicts"][0]["action"]["outcome"], "the delivery"
    )


def started(make_service: MakeService, **settings: str) -> ServiceProcess:
    service = make_service(**settings)
    service.start()
    return service


def test_the_story_is_told_from_the_callers_trace_to_the_action(make_service: MakeService, receiver: Receiver) -> None:
    service = started(make_service, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.endpoint)
    with service.client() as client:
        watch_and_drift(client, {"traceparent": f"00-{TRACE}-{PARENT}-01"})
    assert service.stop() == 0  # what waited to be sent is sent before the end

    (observed,) = receiver.spans("observe_batch")
    assert (observed.trace_id.hex(), observed.parent_span_id.hex()) == (TRACE, PARENT)
    assert attributes(observed) == {"driftwarden.model": "churn", "driftwarden.rows": 50}

    (evaluated,) = receiver.spans("evaluate_window")
    assert [(link.trace_id, link.span_id) for link in evaluated.links] == [(observed.trace_id, observed.span_id)]
    described = attributes(evaluated)
    assert (described["driftwarden.verdict"], described["driftwarden.finding"]) == (1, "DRIFT")

    (fired,) = receiver.spans("fire_trigger")
    assert (fired.trace_id, fired.parent_span_id) == (evaluated.trace_id, evaluated.span_id)
    assert attributes(fired)["driftwarden.outcome"] == "DRY_RUN"
    assert receiver.services == {"driftwarden"}


def test_without_a_callers_trace_one_is_begun(make_service: MakeService, receiver: Receiver) -> None:
    service = started(make_service, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.endpoint)
    with service.client() as client:
        watch_and_drift(client, {"traceparent": "nonsense"})
    service.stop()
    (observed,) = receiver.spans("observe_batch")
    assert observed.parent_span_id == b""
    assert [link.span_id for link in receiver.spans("evaluate_window")[0].links] == [observed.span_id]


def test_a_caller_that_does_not_sample_is_not_traced(make_service: MakeService, receiver: Receiver) -> None:
    service = started(make_service, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.endpoint)
    with service.client() as client:
        watch_and_drift(client, {"traceparent": f"00-{TRACE}-{PARENT}-00"})
    service.stop()
    assert receiver.spans("observe_batch") == []


def test_a_receiver_that_is_down_is_no_obstacle(make_service: MakeService) -> None:
    service = started(make_service, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1", OTEL_EXPORTER_OTLP_TIMEOUT="1")
    with service.client() as client:
        watch_and_drift(client, {})
        assert client.get("/readyz").status_code == 200
    assert service.stop() == 0
