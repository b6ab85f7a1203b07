"""The central service over HTTP, by the routes that every client has: none of them is a sidecar's alone."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from pathlib import Path

import anyio
import httpx
import msgspec

from service.adapters.outgoing_url import parsed_url
from service.domain.errors import (
    CentralRefused,
    CentralUnavailable,
    InvalidConfiguration,
    ParcelRefused,
    ParcelTooLarge,
    UnknownModel,
)
from service.domain.forwarding import Parcel, Told
from service.domain.models import LOG_START, ModelName
from service.domain.plan import Plan
from service.domain.registration import Registration
from service.domain.schema import Column, Schema

ROWS_MEDIA_TYPE = "application/vnd.driftwarden.rows"
SUMMARIES_MEDIA_TYPE = "application/vnd.driftwarden.summaries"
MAXIMUM_REFERENCE_BYTES = 256 * 2**20
MAXIMUM_ANSWER_BYTES = 4 * 2**20
_WHERE = {"rows": ("observations", ROWS_MEDIA_TYPE), "summaries": ("summaries", SUMMARIES_MEDIA_TYPE)}
_LONGER = 12
"""Times the timeout that a reference may take on its way, as long as some of it keeps coming."""
_LATER = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
_URN = "urn:driftwarden:problem:"


@dataclass(frozen=True, slots=True)
class CentralAddress:
    """Where it is, and what it takes to be let in."""

    url: str
    token_file: Path | None = None
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None


@dataclass(frozen=True, slots=True)
class _View:
    """What is read of `GET /v1/models/{model}`; the rest is passed over."""

    model: str
    revision: int
    features: tuple[str, ...]
    reference_digest: str
    reference_rows: int
    plan_digest: str
    plan: Plan
    registered_at: datetime
    columns: tuple[Column, ...] = ()
    """Of a release that says nothing of them: numbers."""


@dataclass(frozen=True, slots=True)
class _Problem:
    type: str = ""


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: httpx.Headers
    body: bytes

    @property
    def problem(self) -> str:
        """The short name of the problem; empty where there is none that is ours."""
        try:
            said = _read_problem(self.body).type
        except (msgspec.MsgspecError, RecursionError):
            return ""
        return said.removeprefix(_URN) if said.startswith(_URN) else ""


_read_view = msgspec.json.Decoder(_View).decode
_read_problem = msgspec.json.Decoder(_Problem).decode


@asynccontextmanager
async def central_service(address: CentralAddress, timeout_seconds: float) -> AsyncIterator["HttpCentral"]:
    """Nothing is asked yet: a sidecar starts while it is away. Raises `InvalidConfiguration`."""
    url = _base(address.url)
    client = httpx.AsyncClient(
        base_url=url,
        timeout=timeout_seconds,
        verify=_trust(address, tls=url.scheme == "https"),
        limits=httpx.Limits(max_connections=16, max_keepalive_connections=4),
        trust_env=False,  # what a proxy or another certificate authority would be, is said in settings or not at all
    )
    async with client:
        yield HttpCentral(client, address.token_file, timeout_seconds)


class HttpCentral:
    """`service.ports.Central`."""

    def __init__(self, client: httpx.AsyncClient, token_file: Path | None, timeout_seconds: float) -> None:
        self._client = client
        self._token_file = token_file
        self._timeout = timeout_seconds

    async def registration(self, model: ModelName, tag: str | None, /) -> Told | None:
        headers = {} if tag is None else {"If-None-Match": tag}
        answer = await self._ask("GET", f"/v1/models/{model}", headers, accepted=(200, 304))
        if answer.status == HTTPStatus.NOT_MODIFIED:
            return None
        try:
            view = _read_view(answer.body)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise CentralRefused(f"the central service describes model {model} in a way not known here") from error
        if view.model != model or view.plan.digest != view.plan_digest:
            raise CentralRefused(f"the plan of model {model} says something that this release does not know")
        schema = Schema(view.columns or Schema.of_numbers(view.features).columns)
        if schema.features != view.features:
            raise CentralRefused(f"the columns of model {model} are other features than it has")
        registration = Registration(
            revision=view.revision,
            model=model,
            features=view.features,
            reference_digest=view.reference_digest,
            reference_rows=view.reference_rows,
            plan=view.plan,
            since=LOG_START,
            registered_at=view.registered_at,
            schema=schema,
        )
        return Told(answer.headers.get("etag", ""), registration)

    async def reference(self, model: ModelName, /) -> bytes:
        path, seconds = f"/v1/models/{model}/reference", self._timeout * _LONGER
        return (await self._ask("GET", path, {}, max_bytes=MAXIMUM_REFERENCE_BYTES, seconds=seconds)).body

    async def deliver(self, model: ModelName, parcel: Parcel, /) -> None:
        route, media_type = _WHERE[parcel.kind]
        headers = {"Content-Type": media_type, "Idempotency-Key": parcel.name}
        if parcel.traceparent is not None:
            headers["traceparent"] = parcel.traceparent
        await self._ask("POST", f"/v1/models/{model}/{route}", headers, body=parcel.body)

    async def _ask(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        *,
        body: bytes | None = None,
        accepted: tuple[int, ...] = (200,),
        max_bytes: int = MAXIMUM_ANSWER_BYTES,
        seconds: float | None = None,
    ) -> _Answer:
        if self._token_file is not None:
            headers["Authorization"] = f"Bearer {await _token(self._token_file)}"
        try:
            with anyio.fail_after(seconds or self._timeout):  # the client's own is for every single read
                async with self._client.stream(method, path, headers=headers, content=body) as response:
                    read = await _bounded(response, max_bytes)
        except (httpx.HTTPError, httpx.StreamError, TimeoutError, OSError) as error:
            message = f"the central service does not answer ({type(error).__name__})"
            raise CentralUnavailable(message) from error
        answer = _Answer(response.status_code, response.headers, read)
        if answer.status not in accepted:
            raise _refusal(answer)
        return answer


async def _bounded(response: httpx.Response, max_bytes: int) -> bytes:
    parts, size = [], 0
    async for part in response.aiter_bytes():
        size += len(part)
        if size > max_bytes:
            raise CentralRefused(f"the central service answers with more than {max_bytes} bytes")
        parts.append(part)
    return b"".join(parts)


def _refusal(answer: _Answer) -> Exception:
    status, problem = answer.status, answer.problem
    said = f"the central service answered {status}" + (f" ({problem})" if problem else "")
    if status == HTTPStatus.NOT_FOUND and problem == "unknown-model":
        return UnknownModel("the central service does not know this model")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _LATER:
        return CentralUnavailable(said, _retry_after(answer.headers))
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return ParcelTooLarge(said)
    if status == HTTPStatus.UNPROCESSABLE_ENTITY or problem == "outdated-summaries":
        return ParcelRefused(said)
    return CentralRefused(said)


def _retry_after(headers: httpx.Headers) -> float | None:
    text = headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 5 else None


async def _token(file: Path) -> str:
    try:
        text = (await anyio.Path(file).read_text(encoding="utf-8")).strip()
    except (OSError, UnicodeDecodeError) as error:
        message = f"the token for the central service cannot be read from {file} ({type(error).__name__})"
        raise CentralUnavailable(message) from error
    if not (text.isascii() and text.isprintable()):
        raise CentralRefused(f"{file} holds no token that could stand in a header")
    return text


def _base(text: str) -> httpx.URL:
    url = parsed_url(text, "DRIFT_FORWARD__URL")
    if url.query:
        raise InvalidConfiguration("DRIFT_FORWARD__URL must be a host, perhaps with a port and a path, and no query")
    return url


def _trust(address: CentralAddress, *, tls: bool) -> ssl.SSLContext:
    if not tls and not (address.ca_file is address.certificate_file is address.key_file is None):
        raise InvalidConfiguration("DRIFT_FORWARD__TLS_... are set, but DRIFT_FORWARD__URL does not begin with https")
    if not tls:
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody, and takes no megabytes of authorities
    if address.key_file is not None and address.certificate_file is None:
        raise InvalidConfiguration("DRIFT_FORWARD__TLS_KEY_FILE is of no use without a TLS_CERTIFICATE_FILE")
    try:
        context = ssl.create_default_context(cafile=None if address.ca_file is None else str(address.ca_file))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if address.certificate_file is not None:
            context.load_cert_chain(address.certificate_file, address.key_file, password=_no_password)
    except (OSError, ssl.SSLError, ValueError) as error:
        message = f"the files for TLS with the central service cannot be used ({type(error).__name__})"
        raise InvalidConfiguration(f"DRIFT_FORWARD__TLS_...: {message}") from error
    return context


def _no_password() -> str:
    """A key that is encrypted; without this OpenSSL would ask at the terminal."""
    raise ValueError("the key is encrypted")
