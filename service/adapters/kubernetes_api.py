"""Requests to the Kubernetes API; whoever asks makes errors of its own of what comes back."""

import json
import math
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp
from kubernetes_asyncio.client import ApiClient, Configuration
from kubernetes_asyncio.config import ConfigException

from service.adapters.kubernetes_credentials import Credentials
from service.domain.errors import InvalidConfiguration


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
        return str(self.body.get("message") or self.text[:500] or "no message")


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
        """Any status is an answer; raises `KubernetesUnreachable`."""
        if self._client is None:
            raise RuntimeError("the client of the Kubernetes API is not open")
        try:
            answer = await self._exchange(self._client, method, path, body)
            if answer.status == 401:
                await self._credentials.load(self._client.configuration)
                answer = await self._exchange(self._client, method, path, body)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, ConfigException) as error:
            message = f"the Kubernetes API could not be asked to {method} {path}: {str(error) or type(error).__name__}"
            raise KubernetesUnreachable(message) from error
        return answer

    async def _exchange(self, client: ApiClient, method: str, path: str, body: dict[str, Any] | None) -> Answer:
        response = await client.call_api(
            path,
            method,
            header_params={
                "Accept": "application/json",
                "Content-Type": "application/json",
                "User-Agent": "driftwarden",
            },
            body=body,
            auth_settings=["BearerToken"],
            _preload_content=False,  # the bare response: a refusal is an answer here, not an exception of the driver
            _request_timeout=self.request_timeout_s,
        )
        async with response:
            text = (await response.read()).decode(errors="replace")
            return Answer(response.status, _object(text), text, _seconds(response.headers.get("Retry-After")))


def _object(text: str) -> dict[str, Any]:
    try:
        parsed = json.loads(text)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _seconds(header: str | None) -> float | None:
    """Retry-After as seconds; its other form, a date, is left to the caller's own back-off."""
    try:
        seconds = float(header) if header is not None else math.nan
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None
