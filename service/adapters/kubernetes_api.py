"""Requests to the Kubernetes API; whoever asks makes errors of its own of what comes back."""

import json
import math
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp
from kubernetes_asyncio.client import ApiClient, Configuration
from kubernetes_asyncio.config import ConfigException

from service.adapters.kubernetes_credentials import Credentials
from service.domain.errors import InvalidConfiguration

_MEDIA_TYPES = {"PATCH": "application/merge-patch+json"}
_MAXIMUM_MESSAGE = 1_000
"""Characters."""
_MAXIMUM_LINE = 16 * 1024 * 1024
"""Of what is followed: no object that an API server keeps is near as large."""


class KubernetesUnreachable(Exception):
    """No answer, or no credentials to ask with; the message names the request and repeats nothing of its body."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API server said."""

    status: int
    body: dict[str, Any]
    text: str
    retry_after: float | None

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def reason(self) -> str:
        return str(self.body.get("reason", ""))

    @property
    def message(self) -> str:
        """Bounded: it is written down, and whoever wrote the object or a webhook has a say in it."""
        return str(self.body.get("message") or self.text or "no message")[:_MAXIMUM_MESSAGE]


class KubernetesApi:
    """One client. Credentials that are refused (401) are read again at once, so a token that was rotated is noticed."""

    def __init__(self, credentials: Credentials, *, request_timeout_s: float = 10.0) -> None:
        self._credentials = credentials
        self.request_timeout_s = request_timeout_s
        self._client: ApiClient | None = None

    async def open(self) -> None:
        """Read the credentials; sends nothing. Raises `InvalidConfiguration`."""
        configuration = Configuration()
        try:
            await self._credentials.load(configuration)
            self._client = ApiClient(configuration)
        except (ConfigException, OSError) as error:
            raise InvalidConfiguration(str(error)) from error

    async def aclose(self) -> None:
        """Close the connections; a second time has no effect."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def send(self, method: str, path: str, body: dict[str, Any] | None = None) -> Answer:
        """Any status is an answer; raises `KubernetesUnreachable`. The body of a PATCH is a merge patch."""
        try:
            async with await self._asked(method, path, body, self.request_timeout_s) as response:
                return await _answer(response)
        except _UNREACHABLE as error:
            raise _unreachable(method, path, error) from error

    async def follow(self, path: str, seconds: float) -> AsyncGenerator[dict[str, Any], None]:
        """The events of a watch, until the server ends it; a refusal is an `ERROR`, as is what goes wrong later.

        Raises `KubernetesUnreachable`: also where the watch is not over after so many seconds.
        """
        try:
            async with await self._asked("GET", path, None, seconds) as response:
                if response.status != 200:
                    answer = await _answer(response)
                    refused = {"code": answer.status, "message": answer.message}
                    yield {"type": "ERROR", "object": refused}
                    return
                try:
                    async for line in _lines(response):
                        yield _object(line.decode(errors="replace"))
                finally:
                    _hang_up(response)
        except _UNREACHABLE as error:
            raise _unreachable("watch", path, error) from error

    async def _asked(
        self, method: str, path: str, body: dict[str, Any] | None, seconds: float
    ) -> aiohttp.ClientResponse:
        if self._client is None:
            raise RuntimeError("the client of the Kubernetes API is not open")
        response = await _exchange(self._client, method, path, body, seconds)
        if response.status == 401:
            response.release()
            await self._credentials.load(self._client.configuration)
            response = await _exchange(self._client, method, path, body, seconds)
        return response


def group_path(api_version: str) -> str:
    """Where the API says which resources a version of a group has, and what their paths begin with."""
    return f"/{'apis' if '/' in api_version else 'api'}/{api_version}"


def resource_of(kind: str, answer: Answer) -> dict[str, Any] | None:
    """Of what it says there: the resource whose objects are of that kind; None: there is none."""
    return next(
        (
            resource
            for resource in answer.body.get("resources", ())
            if resource.get("kind") == kind and "/" not in resource.get("name", "/")
        ),
        None,
    )


_UNREACHABLE = (aiohttp.ClientError, TimeoutError, OSError, ValueError, ConfigException)


def _unreachable(method: str, path: str, error: Exception) -> KubernetesUnreachable:
    return KubernetesUnreachable(
        f"the Kubernetes API could not be asked to {method} {path}: {str(error) or type(error).__name__}"
    )


async def _exchange(
    client: ApiClient, method: str, path: str, body: dict[str, Any] | None, seconds: float
) -> aiohttp.ClientResponse:
    response: aiohttp.ClientResponse = await client.call_api(
        path,
        method,
        header_params={
            "Accept": "application/json",
            "Content-Type": _MEDIA_TYPES.get(method, "application/json"),
            "User-Agent": "driftwarden",
        },
        body=body,
        auth_settings=["BearerToken"],
        _preload_content=False,  # the bare response: a refusal is an answer here, not an exception of the driver
        _request_timeout=seconds,
    )
    return response


async def _answer(response: aiohttp.ClientResponse) -> Answer:
    text = (await response.read()).decode(errors="replace")
    return Answer(response.status, _object(text), text, _seconds(response.headers.get("Retry-After")))


def _hang_up(response: aiohttp.ClientResponse) -> None:
    """A connection on which more would come is no use for the next request, and a farewell would wait for it."""
    if response.connection is not None and response.connection.transport is not None:
        response.connection.transport.abort()


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The driver's own reader of lines gives up on one of more than 128 KiB."""
    pending = bytearray()
    async for chunk in response.content.iter_any():
        pending += chunk
        while (end := pending.find(b"\n")) >= 0:
            yield bytes(pending[:end])
            del pending[: end + 1]
        if len(pending) > _MAXIMUM_LINE:
            raise ValueError(f"an event is larger than {_MAXIMUM_LINE} bytes")


def _object(text: str) -> dict[str, Any]:
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _seconds(header: str | None) -> float | None:
    """Retry-After as seconds; its other form, a date, is left to the caller's own back-off."""
    try:
        seconds = float(header) if header is not None else math.nan
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None
