"""CloudEvents 1.0 over HTTP, in structured mode: what Knative, Argo Events, KEDA's and most pagers' receivers take.

Where they go comes from configuration alone. Redirects are not followed, and of an answer only the status is read.
"""

import ipaddress
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import anyio
import httpx

from service.domain.errors import InvalidConfiguration, SinkRefused, SinkUnavailable
from service.domain.events import Event

MEDIA_TYPE = "application/cloudevents+json"
_LATER = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})


@dataclass(frozen=True, slots=True)
class SinkAddress:
    """Where it is, and who vouches for it."""

    url: str
    ca_file: Path | None = None
    source: str = "/driftwarden"
    """The `source` of every event."""


@asynccontextmanager
async def event_sink(address: SinkAddress, timeout_seconds: float) -> AsyncIterator["HttpSink"]:
    """Nothing is sent yet. Raises `InvalidConfiguration`."""
    url = _checked(address.url)
    client = httpx.AsyncClient(
        timeout=timeout_seconds,
        verify=_trust(address.ca_file, tls=url.scheme == "https"),
        limits=httpx.Limits(max_connections=1),
        trust_env=False,  # what a proxy would be, is said in settings or not at all
        follow_redirects=False,
    )
    async with client:
        yield HttpSink(client, url, address.source, timeout_seconds)


class HttpSink:
    """`service.ports.EventSink`."""

    def __init__(self, client: httpx.AsyncClient, url: httpx.URL, source: str, timeout_seconds: float) -> None:
        self._client = client
        self._url = url
        self._source = source
        self._timeout = timeout_seconds

    async def send(self, event: Event, /) -> None:
        body = json.dumps(_envelope(event, self._source), allow_nan=False).encode()
        headers = {"Content-Type": MEDIA_TYPE}
        try:
            with anyio.fail_after(self._timeout):  # the client's own is for every single read
                async with self._client.stream("POST", self._url, headers=headers, content=body) as response:
                    status = response.status_code
        except (httpx.HTTPError, httpx.StreamError, TimeoutError, OSError) as error:
            raise SinkUnavailable(f"who is told of events does not answer ({type(error).__name__})") from error
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _LATER:
            raise SinkUnavailable(f"who is told of events answered {status}")
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            raise SinkRefused(f"who is told of events answered {status}")


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


def _checked(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise InvalidConfiguration("DRIFT_EVENTS__URL is no URL") from error
    if url.scheme not in {"http", "https"} or not url.host or url.userinfo or url.fragment:
        raise InvalidConfiguration("DRIFT_EVENTS__URL must be http://... or https://..., without user and fragment")
    if url.port is not None and not 0 < url.port < 2**16:
        raise InvalidConfiguration("DRIFT_EVENTS__URL has a port that is none")
    try:
        address = ipaddress.ip_address(url.host.strip("[]"))
    except ValueError:
        return url  # a name
    address = getattr(address, "ipv4_mapped", None) or address
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        raise InvalidConfiguration(
            "DRIFT_EVENTS__URL is an address of the machine's own surroundings, not of a service"
        )
    return url


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
