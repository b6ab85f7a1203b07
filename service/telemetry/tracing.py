"""Traces: spans from the first byte of a batch to the Job it led to, tied together through the log."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.trace import Link, SpanKind, Tracer, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_PROPAGATOR = TraceContextTextMapPropagator()
MAXIMUM_TRACEPARENT = 55


class Tracing:
    """One tracer for the process; without an endpoint its spans are never recorded."""

    def __init__(self, version: str, *, export: bool) -> None:
        self._provider = _exporting(version) if export else None
        provider = self._provider or trace.NoOpTracerProvider()
        self._tracer: Tracer = provider.get_tracer("driftwarden", version)

    @contextmanager
    def span(
        self,
        name: str,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        parent: str | None = None,
        links: Sequence[str] = (),
        attributes: dict[str, AttributeValue] | None = None,
    ) -> Iterator[trace.Span]:
        """A span; `parent` and `links` are W3C traceparents from elsewhere."""
        if self._provider is None:  # the tracer that does nothing takes its time over it
            yield trace.INVALID_SPAN
            return
        context = _PROPAGATOR.extract({"traceparent": parent}) if parent else None
        linked = [link for traceparent in links if (link := _link(traceparent)) is not None]
        with self._tracer.start_as_current_span(
            name, context=context, kind=kind, links=linked, attributes=attributes
        ) as span:
            yield span

    def close(self) -> None:
        """Send what waits, then stop."""
        if self._provider is not None:
            self._provider.shutdown()


def _exporting(version: str) -> "TracerProvider":
    # Half a second and 5 MiB, which most processes do without.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    provider = TracerProvider(resource=Resource.create({"service.name": "driftwarden", "service.version": version}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def current_traceparent(fallback: str | None = None) -> str | None:
    """Of the span under way, to be carried through the log; `fallback` where nothing is recorded."""
    if get_current_span() is trace.INVALID_SPAN:
        return fallback
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier.get("traceparent", fallback)


def checked_traceparent(header: str | None) -> str | None:
    """The header if it is a traceparent at all; anything else is dropped, as the standard asks."""
    if header is None or len(header) > MAXIMUM_TRACEPARENT:
        return None
    return header if _link(header) is not None else None


def _link(traceparent: str) -> Link | None:
    context = get_current_span(_PROPAGATOR.extract({"traceparent": traceparent})).get_span_context()
    return Link(context) if context.is_valid else None
