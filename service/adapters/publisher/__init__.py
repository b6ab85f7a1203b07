"""Where what has happened is told."""

from service.adapters.publisher.http_sink import HttpSink, SinkAddress, event_sink

__all__ = ["HttpSink", "SinkAddress", "event_sink"]
