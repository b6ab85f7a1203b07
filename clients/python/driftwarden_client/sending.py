"""The way to the sidecar: one copy as one request over a connection that is kept, and what the answer means."""

import encodings.idna  # noqa: F401 - a fork while another thread imports it, to look up a host, would lose it for ever
import json
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from types import MappingProxyType
from urllib.parse import unquote, urlsplit

from driftwarden_client.waiting import Copy, Dropped

_REASONS: Mapping[int, Dropped] = MappingProxyType(
    {
        HTTPStatus.BAD_REQUEST: Dropped.UNREADABLE,
        HTTPStatus.UNAUTHORIZED: Dropped.NOT_ALLOWED,
        HTTPStatus.FORBIDDEN: Dropped.NOT_ALLOWED,
        HTTPStatus.NOT_FOUND: Dropped.UNKNOWN_MODEL,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE: Dropped.TOO_LARGE,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE: Dropped.UNSUPPORTED,
        HTTPStatus.UNPROCESSABLE_ENTITY: Dropped.INVALID,
    }
)
_LATER = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
_MOST_OF_AN_ANSWER = 64 * 2**10
_MOST_OF_A_DETAIL = 300


class Away(Exception):
    """The sidecar did not answer, or not as HTTP; whether it has taken the copy is not known."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request."""

    dropped: Dropped | None = None
    """Why trying again would not help; None: it is acknowledged, or `later` says when to try again."""
    later: float | None = None
    """Seconds to wait at least."""
    said: str = ""
    """Its status and, of a problem, the detail: places, and no values."""


ACCEPTED = Answer()


class Way:
    """Where the sidecar is, and what it takes to be let in. The constructor raises `ValueError`, `OSError`."""

    def __init__(self, url: str, token_file: Path | None, ca_file: Path | None, timeout_seconds: float) -> None:
        asked = urlsplit(url)
        unix = asked.scheme == "unix" and asked.path and not asked.netloc
        there = asked.scheme in {"http", "https"} and asked.hostname and not asked.path.strip("/")
        if not (unix or there) or asked.query or asked.fragment or asked.username:
            raise ValueError("the sidecar's URL must be http://HOST:PORT, https://HOST:PORT or unix:///PATH")
        self.url = url
        self._socket = unquote(asked.path) if unix else None
        self._host, self._port = asked.hostname or "localhost", asked.port
        self._tls = ssl.create_default_context(cafile=ca_file) if asked.scheme == "https" else None
        self._token_file = token_file
        self._timeout = timeout_seconds

    def connection(self) -> HTTPConnection:
        """Not open yet; it opens itself."""
        if self._socket is not None:
            return _UnixConnection(self._socket, self._timeout)
        if self._tls is not None:
            return HTTPSConnection(self._host, self._port, timeout=self._timeout, context=self._tls)
        return HTTPConnection(self._host, self._port, timeout=self._timeout)

    def token(self) -> str | None:
        """Read anew for every request: it is renewed while the application runs. Raises `Away`."""
        try:
            return None if self._token_file is None else self._token_file.read_bytes().decode("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise Away from error


class Connection:
    """Kept open between copies; used by one thread."""

    def __init__(self, way: Way) -> None:
        self._way = way
        self.url = way.url
        self._http = way.connection()

    def post(self, copy: Copy) -> Answer:
        """Raises `Away`."""
        token = self._way.token()
        answer = self._posted(copy, token)
        if answer.dropped is Dropped.NOT_ALLOWED and (renewed := self._way.token()) != token:
            answer = self._posted(copy, renewed)
        return answer

    def close(self) -> None:
        """It is opened again when it is needed."""
        self._http.close()

    def _posted(self, copy: Copy, token: str | None) -> Answer:
        kept = self._http.sock is not None
        try:
            return self._exchanged(copy, token)
        except Away as error:
            # A server closes connections that have been quiet for a while, which is noticed no sooner.
            if not (kept and isinstance(error.__cause__, ConnectionError)):
                raise
        return self._exchanged(copy, token)

    def _exchanged(self, copy: Copy, token: str | None) -> Answer:
        headers = dict(copy.headers) if token is None else {**copy.headers, "Authorization": f"Bearer {token}"}
        try:
            # Whoever refuses a body before it is read may close the connection, and has answered all the same.
            with suppress(BrokenPipeError, ConnectionResetError):
                self._http.request("POST", copy.path, b"".join(copy.pieces), headers)
            response = self._http.getresponse()
            body = response.read(_MOST_OF_AN_ANSWER)
        except (OSError, HTTPException) as error:
            self._http.close()
            raise Away from error
        except ValueError:  # a header or a token that HTTP cannot carry
            self._http.close()
            return Answer(Dropped.REFUSED, said="nothing: a header or the token cannot be sent")
        if not response.isclosed():
            self._http.close()
        return _meaning(response.status, response.headers.get("Retry-After"), body)


def _meaning(status: int, retry_after: str | None, body: bytes = b"") -> Answer:
    if 200 <= status < 300:
        return ACCEPTED
    said = _said(status, body)
    if status in _LATER or status >= 500:
        told = (retry_after or "").strip()
        seconds = float(told) if told.isascii() and told.isdecimal() and len(told) < 10 else 0.0
        return Answer(later=seconds, said=said)
    return Answer(_REASONS.get(status, Dropped.REFUSED), said=said)


def _said(status: int, body: bytes) -> str:
    try:
        detail = json.loads(body)["detail"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return str(status)
    return f"{status}, {detail[:_MOST_OF_A_DETAIL]}" if isinstance(detail, str) else str(status)


class _UnixConnection(HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(self._path)
        except OSError:
            self.close()
            raise
