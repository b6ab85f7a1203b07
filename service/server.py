"""The HTTP server around the application: one process, signals, draining."""

import asyncio
import errno
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import anyio
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.http.authentication import CERTIFICATE_NAMES, CONNECTION
from service.http.cut_off import AnswerWhenCutOff
from service.http.errors import unreadable
from service.http.tls import RenewedTls, certificate_names

MAXIMUM_HEAD_BYTES = 64 * 2**10
"""Of a request's headers together."""
_HEADER_BYTES = 32
"""What a header costs beside its letters."""


class DrainingServer(uvicorn.Server):
    """Stops on SIGTERM and SIGINT after the requests under way, and then *returns*.

    Uvicorn itself raises the signal again when it is done, which would end the process before the store is closed.
    """

    def __init__(self, config: uvicorn.Config, stop_begins: Callable[[], None]) -> None:
        super().__init__(config)
        self._stop_begins = stop_begins

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._stop_begins()
        super().handle_exit(sig, frame)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)


class ProblemProtocol(HttpToolsProtocol):
    """Answers what is no HTTP request (a Content-Length that is no number, for one) with a problem document, too.

    Uvicorn answers it in plain text, before any application sees it, and takes headers of any length. And tells the
    application which requests share a connection, and what the client's certificate is called, which uvicorn does not.
    """

    _in_head = False
    _head_bytes = 0
    _unfinished_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._known: dict[object, object] = {}
        connection = transport.get_extra_info("ssl_object")
        if connection is not None:
            self._known[CERTIFICATE_NAMES] = certificate_names(connection.getpeercert())

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_head:  # a header that goes on and on is not told before it ends
            self._unfinished_bytes += len(data)
            if self._unfinished_bytes > MAXIMUM_HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response("")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_bytes, self._unfinished_bytes = True, 0, 0
        self.scope["extensions"] = {CONNECTION: self._known}

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value) + _HEADER_BYTES
        if self._head_bytes > MAXIMUM_HEAD_BYTES:
            raise ValueError("headers are too large")  # to the parser, for which the request is malformed then
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's own words
        answer = unreadable()
        headers = b"".join(b"%b: %b\r\n" % header for header in answer.raw_headers)
        head = b"HTTP/1.1 400 Bad Request\r\n" + headers + b"connection: close\r\n\r\n"
        self.transport.write(head + bytes(answer.body))
        self.transport.close()


def listening_socket(host: str, port: int) -> socket.socket:
    """Bound before anything else starts, so that a taken port is found out first; raises `OSError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


def unix_socket(path: Path) -> socket.socket:
    """The same in the file system; one that a process left there when it was killed is replaced. Raises `OSError`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        if path.is_socket() and probe.connect_ex(str(path)) == errno.ECONNREFUSED:
            path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        path.chmod(0o666)  # other containers have other users: its directory says who may enter
    except OSError:
        listener.close()
        raise
    return listener


class SideServer(uvicorn.Server):
    """Listens as long as the other one does; signals are that one's."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass(frozen=True, slots=True)
class Served:
    """An application and where it is reached."""

    app: FastAPI
    listener: socket.socket
    tls: RenewedTls | None = None


async def serve(main: Served, drain_seconds: int, stop_begins: Callable[[], None], side: Served | None = None) -> None:
    """Until a signal says stop; `stop_begins` is called first of all then. `side` is served until `main` is drained."""
    server = DrainingServer(_config(main, drain_seconds), stop_begins)
    if side is None:
        await _run(server, main.listener)
        return
    beside = SideServer(_config(side, 1))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_run, beside, side.listener)
        await _run(server, main.listener)
        beside.should_exit = True


def _config(served: Served, drain_seconds: int) -> uvicorn.Config:
    config = uvicorn.Config(
        AnswerWhenCutOff(served.app),
        http=ProblemProtocol,
        lifespan="off",  # what the application needs is open already
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=drain_seconds,
    )
    if served.tls is not None:
        config.load()
        config.ssl = served.tls.context
    return config


async def _run(server: uvicorn.Server, listener: socket.socket) -> None:
    try:
        await server.serve(sockets=[listener])
    except asyncio.CancelledError:
        server.force_exit = True  # what these requests need is gone
        with anyio.CancelScope(shield=True):
            await server.shutdown(sockets=[listener])
        raise
