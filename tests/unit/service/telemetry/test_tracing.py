"""Trace contexts from outside are taken if they are well-formed, and dropped otherwise."""

import pytest

from service.telemetry.tracing import Tracing, checked_traceparent, current_traceparent

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


@pytest.mark.parametrize("header", [TRACEPARENT, f"00-{TRACE}-00f067aa0ba902b7-00"])
def test_a_traceparent_is_taken_as_it_is(header: str) -> None:
    assert checked_traceparent(header) == header


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "nonsense",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-00f067aa0ba902b7-01",
        f"00-{TRACE}-00f067aa0ba902b7",
        f"00-{TRACE[:-1]}g-00f067aa0ba902b7-01",
        TRACEPARENT + "-extra",
        TRACEPARENT * 100,
        TRACEPARENT + "\n",
    ],
)
def test_anything_else_is_dropped(header: str | None) -> None:
    assert checked_traceparent(header) is None


def test_without_an_exporter_the_callers_trace_is_handed_on() -> None:
    with Tracing("0", export=False).span("observe_batch", parent=TRACEPARENT):
        assert current_traceparent(TRACEPARENT) == TRACEPARENT


def test_without_an_exporter_and_a_caller_there_is_no_trace() -> None:
    with Tracing("0", export=False).span("evaluate_window", links=(TRACEPARENT, "nonsense")):
        assert current_traceparent() is None
