"""CloudEvents 1.0 over HTTP, in structured mode: what Knative, Argo Events, KEDA's and most pagers' receivers take.

Where they go comes from configuration alone, and is looked at whenever it is connected to (`outgoing_url`). Redirects
are not followed, and of an answer only the status is read.
"""

import json
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import anyio
import httpx
from anyio import to_thread

from service.adapters.outgoing_url import (
    AddressRefused,
    CheckedTransport,
    Resolve,
    parsed_url,
    refuse_literal,
    resolved,
)
from service.adapters.publisher.webhook_signature import read_secrets, signature_headers
from service.domain.errors import InvalidConfiguration, SinkRefused, SinkUnavailable
from service.domain.events import Event

MEDIA_TYPE = "application/cloudevents+json"
_SETTING = "DRIFT_EVENTS__URL"
_LATER = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})


@dataclass(frozen=True, slots=True)
class SinkAddress:
    """Where it is, and who vouches for it."""

    url: str
    ca_file: Path | None = None
    source: str = "/driftwarden"
    """The `source` of every event."""
    secret_file: Path | None = None
    """What bodies are signed with; None: they are not."""
    allow_loopback: bool = False
    """Whether it may be this machine."""


@asynccontextmanager
async def event_sink(
    address: SinkAddress, timeout_seconds: float, resolve: Resolve = resolved, clock: Callable[[], float] = time.time
) -> AsyncIterator["HttpSink"]:
    """Nothing is sent yet. `clock`: seconds since 1970. Raises `InvalidConfiguration`."""
    url = parsed_url(address.url, _SETTING)
    refuse_literal(url, _SETTING, loopback=address.allow_loopback)
    if address.secret_file is not None:
        await to_thread.run_sync(read_secrets, address.secret_file)
    connects = httpx.AsyncHTTPTransport(
        verify=_trust(address.ca_file, tls=url.scheme == "https"),
        limits=httpx.Limits(max_connections=1),
        trust_env=False,  # what a proxy would be, is said in settings or not at all
    )
    transport = CheckedTransport(connects, resolve, loopback=address.allow_loopback)
    async with httpx.AsyncClient(
        transport=transport, timeout=timeout_seconds, trust_env=False, follow_redirects=False
    ) as client:
        yield HttpSink(client, url, address, timeout_seconds, clock)


class HttpSink:
    """`service.ports.EventSink`."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        url: httpx.URL,
        address: SinkAddress,
        timeout_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self._client = client
        self._url = url
        self._source = address.source
        self._secret_file = address.secret_file
        self._timeout = timeout_seconds
        self._clock = clock

    async def send(self, event: Event, /) -> None:
        body = json.dumps(_envelope(event, self._source), allow_nan=False).encode()
        headers = {"Content-Type": MEDIA_TYPE, **await self._signature(event.identifier, body)}
        try:
            with anyio.fail_after(self._timeout):  # the client's own is for every single read
                async with self._client.stream("POST", self._url, headers=headers, content=body) as response:
                    status = response.status_code
        except AddressRefused as error:
            raise SinkUnavailable(f"nothing is sent to where {_SETTING} leads: {error}") from error
        except (httpx.HTTPError, httpx.StreamError, TimeoutError, OSError) as error:
            raise SinkUnavailable(f"who is told of events does not answer ({type(error).__name__})") from error
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _LATER:
            raise SinkUnavailable(f"who is told of events answered {status}")
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            raise SinkRefused(f"who is told of events answered {status}")

    async def _signature(self, identifier: str, body: bytes) -> Mapping[str, str]:
        """Of this try, with the secrets that the file has now."""
        if self._secret_file is None:
            return {}
        try:
            secrets = await to_thread.run_sync(read_secrets, self._secret_file)
        except InvalidConfiguration as error:
            raise SinkUnavailable(str(error)) from error
        return signature_headers(secrets, identifier, int(self._clock()), body)


def _envelope(event: Event, source: str) -> dict[str, object]:
    return {
        "specversion": "1.0",
        "id": event.identifier,
        "source": source,
        "type": event.type,
        "subject": event.subject,
        "time": event.time.isoformat().replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "data": dict(event.data),
    }


def _trust(ca_file: Path | None, *, tls: bool) -> ssl.SSLContext:
    if not tls:
        if ca_file is not None:
            raise InvalidConfiguration("DRIFT_EVENTS__CA_FILE is set, but DRIFT_EVENTS__URL does not begin with https")
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody, and takes no megabytes of authorities
    try:
        context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except (OSError, ssl.SSLError) as error:
        message = f"DRIFT_EVENTS__CA_FILE cannot be used ({type(error).__name__})"
        raise InvalidConfiguration(message) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
