"""The part of the composition root that says who is told what has happened."""

from contextlib import AsyncExitStack

from service.adapters.publisher import SinkAddress, event_sink
from service.settings import EventsSettings
from service.telemetry.metrics import Metrics
from service.usecases.publish_events import PublishEvents


async def open_publishing(settings: EventsSettings, metrics: Metrics, stack: AsyncExitStack) -> PublishEvents:
    """Nothing is sent yet. Raises `InvalidConfiguration`."""
    if settings.url is None:
        return PublishEvents(None, metrics)
    address = SinkAddress(
        settings.url, settings.ca_file, settings.source, settings.signing_secret_file, settings.allow_loopback
    )
    sink = await stack.enter_async_context(event_sink(address, settings.timeout_seconds))
    return PublishEvents(sink, metrics)
